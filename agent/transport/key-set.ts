/**
 * Which keys may sign orders. A key set is signed by the offline root, whose fingerprint came with the join token; sets
 * are numbered and never go back, so a revoked key can't be brought back by replaying an older set (design §4).
 */
import type { KeyObject } from 'node:crypto';
import { type Envelope, KEY_SET_TYPE, keyIdOf, openEnvelope, publicKeyObject } from '../../protocol/envelope.js';
import { type KeySetDocument, keySetDocument } from '../../protocol/messages.js';

export type KeySetResult =
  | { readonly ok: true; readonly keySet: KeySetDocument }
  | { readonly ok: false; readonly reason: string };

/**
 * Verifies a key set against the root and the newest version seen. Expiry is not judged here but at each use, so that an
 * agent that was off for long can still take in the set that replaces its own.
 */
export function acceptKeySet(args: {
  readonly envelope: Envelope;
  readonly rootPublicKey: string;
  /** SHA-256 (hex) of the root's public key, from the join token. */
  readonly rootFingerprint: string;
  readonly newestVersion: number;
}): KeySetResult {
  if (keyIdOf(args.rootPublicKey) !== args.rootFingerprint) {
    return { ok: false, reason: "the server's root key is not the one the join token names" };
  }
  const trusted = new Map([[args.rootFingerprint, publicKeyObject(args.rootPublicKey)]]);
  const opened = openEnvelope({ envelope: args.envelope, type: KEY_SET_TYPE, trusted });
  if (!opened.ok) return { ok: false, reason: `key set: ${opened.reason}` };
  const parsed = keySetDocument.safeParse(opened.document);
  if (!parsed.success) return { ok: false, reason: `key set: ${parsed.error.issues[0]?.path.join('.')} is malformed` };
  const keySet = parsed.data;
  if (keySet.version < args.newestVersion) {
    return {
      ok: false,
      reason: `key set ${keySet.version} is older than ${args.newestVersion}, which was seen before`,
    };
  }
  const misnamed = keySet.keys.find((key) => keyIdOf(key.publicKey) !== key.keyid);
  if (misnamed !== undefined) return { ok: false, reason: `key set names ${misnamed.keyid} a key that it is not` };
  return { ok: true, keySet };
}

/** Keys whose signature counts at `now` (server time): in their validity, not revoked, of a set that has not expired. */
export function trustedKeys(keySet: KeySetDocument, now: number): ReadonlyMap<string, KeyObject> {
  if (now >= keySet.expiresAt) return new Map();
  const valid = keySet.keys.filter((key) => !key.revoked && key.notBefore <= now && now < key.notAfter);
  return new Map(valid.map((key) => [key.keyid, publicKeyObject(key.publicKey)]));
}
