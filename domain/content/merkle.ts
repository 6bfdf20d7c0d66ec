import { createHash } from 'node:crypto';

const LEAF = Uint8Array.of(0);
const NODE = Uint8Array.of(1);

const hash = (prefix: Uint8Array, ...parts: readonly (string | Uint8Array)[]): Buffer => {
  const digest = createHash('sha256').update(prefix);
  for (const part of parts) digest.update(part);
  return digest.digest();
};

/**
 * Merkle tree hash of an ordered list (RFC 6962 §2.1): leaves and nodes are hashed with different prefixes, so that no node passes
 * for a leaf, and an odd node moves up unpaired, so that no list passes for one with its last leaf doubled.
 * @returns lower-case hex SHA-256.
 */
export function merkleRoot(leaves: readonly string[]): string {
  let level = leaves.map((leaf) => hash(LEAF, leaf));
  if (level.length === 0) return createHash('sha256').digest('hex');
  while (level.length > 1) {
    const above: Buffer[] = [];
    for (let i = 0; i < level.length; i += 2) {
      const left = level[i] as Buffer;
      const right = level[i + 1];
      above.push(right === undefined ? left : hash(NODE, left, right));
    }
    level = above;
  }
  return (level[0] as Buffer).toString('hex');
}
