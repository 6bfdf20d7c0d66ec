/** Keys and passwords under a passphrase: scrypt makes the key of it, AES-256-GCM keeps and proves the content. */
import { createCipheriv, createDecipheriv, randomBytes, scryptSync } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { UpError } from '../up/errors.js';

/** About half a second and 128 MB for each guess. */
const COST = { N: 2 ** 17, r: 8, p: 1, maxmem: 256 * 1024 * 1024 };
export const SHORTEST_PASSPHRASE = 12;

const box = z.strictObject({
  kdf: z.literal('scrypt'),
  cipher: z.literal('aes-256-gcm'),
  salt: z.base64(),
  iv: z.base64(),
  tag: z.base64(),
  data: z.base64(),
});
const content = z.record(z.string().regex(/^(?!.*\.\.)[A-Za-z0-9_][A-Za-z0-9_./-]*$/), z.base64());
/** File contents by path relative to the installation. */
export type SecretFiles = Readonly<Record<string, Buffer>>;

/** Every file below `root`/`folder`, by its path below `root`. */
export function collectFiles(root: string, folder: string, as = folder): SecretFiles {
  const dir = join(root, folder);
  if (!existsSync(dir)) return {};
  const found: Record<string, Buffer> = {};
  for (const entry of readdirSync(dir, { withFileTypes: true })) {
    const name = `${as}/${entry.name}`;
    if (entry.isDirectory()) Object.assign(found, collectFiles(root, join(folder, entry.name), name));
    else if (entry.isFile()) found[name] = readFileSync(join(dir, entry.name));
  }
  return found;
}

export function sealSecrets(files: SecretFiles, passphrase: string): string {
  const salt = randomBytes(32);
  const iv = randomBytes(12);
  const cipher = createCipheriv('aes-256-gcm', scryptSync(passphrase.normalize('NFC'), salt, 32, COST), iv);
  const plain = JSON.stringify(Object.fromEntries(Object.entries(files).map(([p, b]) => [p, b.toString('base64')])));
  const data = Buffer.concat([cipher.update(plain, 'utf8'), cipher.final()]);
  const text = (bytes: Buffer) => bytes.toString('base64');
  return JSON.stringify({
    kdf: 'scrypt',
    cipher: 'aes-256-gcm',
    salt: text(salt),
    iv: text(iv),
    tag: text(cipher.getAuthTag()),
    data: text(data),
  });
}

/** @throws UpError when the passphrase is another one, or a byte was changed */
export function openSecrets(sealed: string, passphrase: string): SecretFiles {
  const parsed = box.safeParse(JSON.parse(sealed));
  if (!parsed.success) throw new UpError('the backup’s keys are damaged');
  const { salt, iv, tag, data } = parsed.data;
  const bytes = (text: string) => Buffer.from(text, 'base64');
  const key = scryptSync(passphrase.normalize('NFC'), bytes(salt), 32, COST);
  try {
    const decipher = createDecipheriv('aes-256-gcm', key, bytes(iv), { authTagLength: 16 });
    decipher.setAuthTag(bytes(tag));
    const plain = Buffer.concat([decipher.update(bytes(data)), decipher.final()]).toString('utf8');
    return Object.fromEntries(Object.entries(content.parse(JSON.parse(plain))).map(([p, b]) => [p, bytes(b)]));
  } catch (cause) {
    throw new UpError('the passphrase is not the one the backup’s keys were sealed with', [], { cause });
  }
}

/** For their owner alone. */
export function writeSecretFiles(root: string, files: SecretFiles): void {
  for (const [path, bytes] of Object.entries(files)) {
    const to = join(root, path);
    mkdirSync(dirname(to), { recursive: true, mode: 0o700 });
    writeFileSync(to, bytes, { mode: 0o600 });
    chmodSync(to, 0o600);
  }
}
