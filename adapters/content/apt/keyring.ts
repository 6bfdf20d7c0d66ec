import { readFile } from 'node:fs/promises';
import { type Key, readKeys } from 'openpgp';
import { ContentError, messageOf } from '../errors.js';
import type { KeySource } from './repository.js';

const BLOCK = /-----BEGIN PGP PUBLIC KEY BLOCK-----[\s\S]*?-----END PGP PUBLIC KEY BLOCK-----/g;
const MAX_KEYRING_BYTES = 8 * 1024 * 1024;

/**
 * Reads the OpenPGP keys that may sign for a repository.
 * @throws ContentError `keyringUnusable`, naming the file, when one can't be read or nothing remains to verify with.
 */
export async function loadKeyring(source: KeySource): Promise<Key[]> {
  const keys: Key[] = [];
  for (const path of source.files ?? []) {
    const bytes = await readFile(path).catch((error: unknown) => {
      throw unusable(`${path}: ${messageOf(error)}`);
    });
    keys.push(...(await keysOf(bytes, path)));
  }
  if (source.armored !== undefined) keys.push(...(await keysOf(Buffer.from(source.armored), 'the configured key')));
  const wanted = source.fingerprints?.map((text) => text.replace(/[\s!]|^0x/gi, '').toLowerCase());
  const chosen =
    wanted === undefined ? keys : keys.filter((key) => wanted.some((one) => fingerprintsOf(key).includes(one)));
  if (chosen.length === 0) {
    const of = [...(source.files ?? []), ...(source.armored === undefined ? [] : ['the configured key'])].join(', ');
    throw unusable(
      wanted === undefined ? `${of || 'none configured'}: holds no key` : `${of}: holds no key ${wanted.join(', ')}`,
    );
  }
  return chosen;
}

/** Fingerprints of a key and its subkeys, lower-case hex. */
export function fingerprintsOf(key: Key): string[] {
  return [key.getFingerprint(), ...key.getSubkeys().map((subkey) => subkey.getFingerprint())];
}

async function keysOf(bytes: Buffer, where: string): Promise<Key[]> {
  if (bytes.length > MAX_KEYRING_BYTES) throw unusable(`${where}: is larger than ${MAX_KEYRING_BYTES} bytes`);
  // GnuPG's own data base, which apt does not read either.
  if (bytes.subarray(8, 12).toString('latin1') === 'KBXf') {
    throw unusable(`${where}: is a keybox; export its keys with "gpg --export"`);
  }
  let keys: Key[];
  try {
    const text = bytes.toString('latin1');
    const begun = text.match(/-----BEGIN PGP/g)?.length ?? 0;
    const blocks = text.match(BLOCK) ?? [];
    if (begun !== blocks.length) throw new Error('holds something else than whole public key blocks');
    keys =
      begun === 0
        ? await readKeys({ binaryKeys: bytes })
        : (await Promise.all(blocks.map((armoredKeys) => readKeys({ armoredKeys })))).flat();
  } catch (error) {
    throw unusable(`${where}: ${messageOf(error)}`);
  }
  if (keys.length === 0) throw unusable(`${where}: holds no key`);
  return keys;
}

const unusable = (text: string): ContentError => new ContentError('keyringUnusable', `keyring ${text}`);
