import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { type ContentStore, openContentStore } from './store.js';

let root: string;
let store: ContentStore;
beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'content-store-'));
  store = await openContentStore({ root, reserveBytes: 0 });
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const shaOf = (text: string): string => createHash('sha256').update(text).digest('hex');
async function* chunks(...texts: string[]): AsyncGenerator<Uint8Array> {
  for (const text of texts) yield Buffer.from(text);
}
const put = (text: string, to = store) =>
  to.put({ what: text, sha256: shaOf(text), size: text.length, stream: chunks(text) });
const fileOf = (sha: string): string => join(root, sha.slice(0, 2), sha.slice(2, 4), sha);
const leftovers = (): string[] => readdirSync(join(root, 'partial'));

describe('put', () => {
  test('stores by digest, once', async () => {
    const sha256 = shaOf('hello world');
    const first = await store.put({ what: 'x', sha256, size: 11, stream: chunks('hello ', '', 'world') });
    expect(first).toEqual({ sha256, size: 11, existed: false });
    expect(readFileSync(fileOf(sha256), 'utf8')).toBe('hello world');
    const unread = (async function* (): AsyncGenerator<Uint8Array> {
      yield Buffer.from(await Promise.reject(new Error('was read')));
    })();
    expect(await store.put({ what: 'x', sha256, size: 11, stream: unread })).toMatchObject({ existed: true });
    expect(await store.has(sha256)).toBe(true);
    expect(await store.size(sha256)).toBe(11);
    expect(leftovers()).toEqual([]);
  });

  test.each([
    ['other bytes', { sha256: shaOf('b'), size: 1 }, 'digestMismatch'],
    ['too many', { sha256: shaOf('a'), size: 0 }, 'sizeMismatch'],
    ['too few', { sha256: shaOf('a'), size: 2 }, 'sizeMismatch'],
    ['no digest', { sha256: '../../etc/passwd', size: 1 }, 'badDigest'],
    ['upper case', { sha256: shaOf('a').toUpperCase(), size: 1 }, 'badDigest'],
  ])('refuses %s and keeps nothing', async (_, expected, code) => {
    await expect(store.put({ what: 'x', ...expected, stream: chunks('a') })).rejects.toMatchObject({
      name: 'ContentError',
      code,
    });
    expect(leftovers()).toEqual([]);
    expect(await store.has(shaOf('a'))).toBe(false);
  });

  test('a stream that fails leaves nothing, and its own error', async () => {
    const failing = (async function* (): AsyncGenerator<Uint8Array> {
      yield Buffer.from('a');
      throw new Error('line cut');
    })();
    await expect(store.put({ what: 'x', sha256: shaOf('ab'), size: 2, stream: failing })).rejects.toThrow('line cut');
    expect(leftovers()).toEqual([]);
  });

  test('two writers of the same file both succeed', async () => {
    const results = await Promise.all([put('same'), put('same')]);
    expect(results.map((r) => r.size)).toEqual([4, 4]);
    expect(readFileSync(fileOf(shaOf('same')), 'utf8')).toBe('same');
    expect(leftovers()).toEqual([]);
  });

  test('a file cut short by something else is fetched anew', async () => {
    await put('whole');
    writeFileSync(fileOf(shaOf('whole')), 'wh');
    expect(await put('whole')).toMatchObject({ existed: false });
    expect(await store.verify(shaOf('whole'))).toBe(true);
  });
});

describe('space', () => {
  test('is checked before anything is read, counting the reserve and other writers', async () => {
    const tight = await openContentStore({ root, reserveBytes: 10, freeBytes: async () => 15 });
    await expect(tight.ensureSpace(6)).rejects.toMatchObject({ code: 'noSpace', details: { needed: 6, available: 5 } });
    await tight.ensureSpace(5);
    let release = (): void => undefined;
    const slow = (async function* (): AsyncGenerator<Uint8Array> {
      await new Promise<void>((resolve) => {
        release = resolve;
      });
      yield Buffer.from('slow');
    })();
    const writing = tight.put({ what: 'slow', sha256: shaOf('slow'), size: 4, stream: slow });
    // The slow writer has promised its bytes once it waits for its stream.
    while (leftovers().length === 0) await new Promise((resolve) => setImmediate(resolve));
    await expect(put('two', tight)).rejects.toMatchObject({ code: 'noSpace', details: { needed: 3, available: 1 } });
    release();
    await writing;
    await put('two', tight);
  });

  test('of another disk that must not run full is kept, too: nothing is put while it has less than the reserve', async () => {
    let left = 9;
    const sparing = await openContentStore({
      root,
      reserveBytes: 10,
      alsoSpare: [
        { name: 'postgresql', path: '/pg' },
        { name: 'gone', path: '/gone' },
      ],
      freeBytes: async (folder) => {
        if (folder === '/gone') throw new Error('no such folder');
        return folder === '/pg' ? left : 1_000;
      },
    });
    await expect(put('spared', sparing)).rejects.toMatchObject({
      code: 'noSpace',
      message: expect.stringContaining('the disk of postgresql (/pg) has 9 bytes free'),
    });
    // What needs nothing goes on.
    await sparing.ensureSpace(0);
    left = 10;
    await put('spared', sparing);
  });

  test('a full disk while writing has the same name', async () => {
    const full = (async function* (): AsyncGenerator<Uint8Array> {
      yield Buffer.from('a');
      throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });
    })();
    await expect(store.put({ what: 'x', sha256: shaOf('ab'), size: 2, stream: full })).rejects.toMatchObject({
      code: 'noSpace',
    });
  });

  test('a root that is no folder is refused by name', async () => {
    writeFileSync(join(root, 'file'), '');
    await expect(openContentStore({ root: join(root, 'file') })).rejects.toMatchObject({ code: 'storeUnusable' });
  });
});

describe('open and verify', () => {
  test('what is not there is named', async () => {
    await expect(store.open(shaOf('none'))).rejects.toMatchObject({ code: 'notStored' });
    await expect(store.verify(shaOf('none'))).rejects.toMatchObject({ code: 'notStored' });
    expect(await store.size(shaOf('none'))).toBeNull();
  });

  test('what rotted is found and taken away', async () => {
    await put('fresh');
    expect(await store.verify(shaOf('fresh'))).toBe(true);
    writeFileSync(fileOf(shaOf('fresh')), 'rot!!');
    expect(await store.verify(shaOf('fresh'))).toBe(false);
    expect(await store.has(shaOf('fresh'))).toBe(false);
  });

  test('open gives the bytes', async () => {
    await put('bytes');
    const { handle, size } = await store.open(shaOf('bytes'));
    expect([size, await handle.readFile('utf8')]).toEqual([5, 'bytes']);
    await handle.close();
  });
});

describe('collectGarbage', () => {
  const age = (path: string): void => utimesSync(path, new Date(1_000), new Date(1_000));

  test('removes what nobody keeps and dead writers’ remains, but nothing recent', async () => {
    for (const text of ['kept', 'old', 'recent']) await put(text);
    writeFileSync(join(root, 'partial', 'dead'), 'xyz');
    for (const path of [fileOf(shaOf('kept')), fileOf(shaOf('old')), join(root, 'partial', 'dead')]) age(path);
    expect(await store.collectGarbage({ keep: new Set([shaOf('kept')]), unusedSince: 2_000 })).toEqual({
      removed: 2,
      freedBytes: 6,
    });
    expect(await Promise.all(['kept', 'old', 'recent'].map((t) => store.has(shaOf(t))))).toEqual([true, false, true]);
    expect(leftovers()).toEqual([]);
  });

  test('what was asked for again meanwhile stays', async () => {
    await put('wanted');
    age(fileOf(shaOf('wanted')));
    await put('wanted');
    expect(await store.collectGarbage({ keep: new Set(), unusedSince: 2_000 })).toMatchObject({ removed: 0 });
  });
});
