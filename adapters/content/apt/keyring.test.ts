import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { generateKey, readKey } from 'openpgp';
import { fingerprintsOf, loadKeyring } from './keyring.js';

let folder: string;
let armored: string[];
let prints: string[][];
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'keyring-'));
  const make = async (name: string) => (await generateKey({ userIDs: [{ name }], format: 'armored' })).publicKey;
  armored = await Promise.all(['one', 'two'].map(make));
  const keys = await Promise.all(armored.map((armoredKey) => readKey({ armoredKey })));
  prints = keys.map(fingerprintsOf);
  writeFileSync(join(folder, 'both.asc'), armored.join('\n'));
  writeFileSync(join(folder, 'both.gpg'), Buffer.concat(keys.map((key) => Buffer.from(key.write()))));
  writeFileSync(join(folder, 'empty.gpg'), '');
  writeFileSync(join(folder, 'text.asc'), '-----BEGIN PGP PUBLIC KEY BLOCK-----\nrubbish');
  writeFileSync(join(folder, 'rubbish.gpg'), 'no key at all');
  writeFileSync(join(folder, 'box.gpg'), Buffer.from('\0\0\0\0\0\0\0\0KBXf\0\0'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const load = (...names: string[]) => loadKeyring({ files: names.map((name) => join(folder, name)) });

describe('loadKeyring', () => {
  test.each([['both.asc'], ['both.gpg']])('%s: every key in it', async (name) => {
    expect((await load(name)).map((key) => key.getFingerprint())).toEqual(prints.map(([primary]) => primary));
  });

  test('configured keys, and only those chosen by fingerprint, of the key or a subkey', async () => {
    expect(await loadKeyring({ armored: armored.join('') })).toHaveLength(2);
    for (const print of prints.flat()) {
      const chosen = await loadKeyring({
        files: [join(folder, 'both.gpg')],
        fingerprints: [`0x${print.toUpperCase()}!`],
      });
      expect(chosen.map(fingerprintsOf)).toEqual(prints.filter((p) => p.includes(print)));
    }
  });

  test.each([['empty.gpg'], ['text.asc'], ['rubbish.gpg'], ['box.gpg'], ['not-there.gpg']])(
    '%s is refused by name',
    async (name) => {
      await expect(load(name)).rejects.toMatchObject({
        code: 'keyringUnusable',
        message: expect.stringContaining(name),
      });
      // One bad file spoils the keyring: a key somebody counts on may be in it.
      await expect(load('both.gpg', name)).rejects.toMatchObject({ code: 'keyringUnusable' });
    },
  );
});
