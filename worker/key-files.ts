/** The files of a keys folder: made whole, private to their owner, and the same for everybody who races to make them. */
import { randomBytes } from 'node:crypto';
import { link, open, readFile, rename, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { generateSigningKeyPem, type SigningKey, signingKeyFromPem } from '../protocol/envelope.js';

const SIGNING = 'worker.pem';
/** The next signing key, until it takes the place of the one before. */
const NEXT = 'worker-next.pem';
const ROOT = 'root.pem';

export const rootFile = (dir: string): string => join(dir, ROOT);

/** Reads a file, or makes it (mode 0600) when it is not there; racing starters end with the same content. */
export async function readOrMake(path: string, make: () => Buffer): Promise<Buffer> {
  const there = await read(path);
  if (there !== null) return there;
  // Whole before it has its name: a replica that starts at the same moment must not read half a key.
  const made = `${path}.${randomBytes(6).toString('hex')}.new`;
  const file = await open(made, 'wx', 0o600);
  try {
    await file.writeFile(make());
    await file.sync();
  } finally {
    await file.close();
  }
  try {
    await link(made, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    await unlink(made);
  }
  return readFile(path);
}

/** The key orders are signed with, made on first use. */
export const signingKey = (dir: string): Promise<SigningKey> => keyAt(join(dir, SIGNING));

/** The key that will follow it, made when there is none yet. */
export const nextSigningKey = (dir: string): Promise<SigningKey> => keyAt(join(dir, NEXT));

/** The key that will follow it; null when none was made, or it has followed already. */
export async function waitingSigningKey(dir: string): Promise<SigningKey | null> {
  const pem = await read(join(dir, NEXT));
  return pem === null ? null : signingKeyFromPem(pem.toString());
}

/** The next key takes the place of the signing key, which is gone then. Done already by another: nothing happens. */
export async function adoptNextKey(dir: string): Promise<void> {
  await rename(join(dir, NEXT), join(dir, SIGNING)).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
  });
  const folder = await open(dir, 'r');
  await folder.sync().finally(() => folder.close());
}

/** The root key, made when `first`; null when it rests elsewhere. */
export async function rootKey(path: string, first: boolean): Promise<SigningKey | null> {
  if (first) return keyAt(path);
  const pem = await read(path);
  return pem === null ? null : signingKeyFromPem(pem.toString());
}

async function keyAt(path: string): Promise<SigningKey> {
  return signingKeyFromPem((await readOrMake(path, () => Buffer.from(generateSigningKeyPem()))).toString());
}

async function read(path: string): Promise<Buffer | null> {
  try {
    return await readFile(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    return null;
  }
}
