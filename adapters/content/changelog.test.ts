import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Header, pack } from 'tar-stream';
import { collect } from './bytes.js';
import { readChangelog } from './changelog.js';
import { type ContentStore, openContentStore } from './store.js';

let root: string;
let store: ContentStore;
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'changelog-'));
  store = await openContentStore({ root, reserveBytes: 0 });
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

type Member = readonly [name: string, bytes: Buffer];
type Entry = readonly [name: string, content: string | Buffer | Partial<Header>];

const ar = (members: readonly Member[]): Buffer =>
  Buffer.concat([
    Buffer.from('!<arch>\n'),
    ...members.flatMap(([name, bytes]) => [
      Buffer.from(
        `${name.padEnd(16)}${'0'.padEnd(12)}${'0'.padEnd(6)}${'0'.padEnd(6)}${'100644'.padEnd(8)}${String(bytes.length).padEnd(10)}\`\n`,
      ),
      bytes,
      Buffer.alloc(bytes.length % 2, '\n'),
    ]),
  ]);
const tar = async (entries: readonly Entry[]): Promise<Buffer> => {
  const archive = pack();
  for (const [name, content] of entries) {
    if (typeof content === 'string' || Buffer.isBuffer(content)) archive.entry({ name }, content as Buffer);
    else archive.entry({ name, ...content });
  }
  archive.finalize();
  return collect(archive as unknown as AsyncIterable<Uint8Array>);
};
const deb = async (entries: readonly Entry[]): Promise<Buffer> =>
  ar([
    ['debian-binary', Buffer.from('2.0\n')],
    ['control.tar.gz', gzipSync(await tar([['./control', 'Package: x\n']]))],
    ['data.tar.gz', gzipSync(await tar(entries))],
  ]);
const stored = async (bytes: Buffer): Promise<string> => {
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  await store.put({
    what: 'test',
    sha256,
    size: bytes.length,
    stream: (async function* () {
      yield bytes;
    })(),
  });
  return sha256;
};
const read = async (bytes: Buffer, limits = {}, name = 'curl') =>
  readChangelog(store, { sha256: await stored(bytes), name }, limits);

const DOC = './usr/share/doc/curl';
const OLD = gzipSync('upstream changes');
const TEXT = 'curl (2.0-1) river; urgency=high\n\n  * CVE-2026-0001\n';

describe('readChangelog', () => {
  test.each([
    [
      'the Debian one, before the package’s own',
      [
        [`${DOC}/changelog.gz`, OLD],
        [`${DOC}/changelog.Debian.gz`, gzipSync(TEXT)],
      ],
    ],
    [
      'also when it comes first',
      [
        [`${DOC}/changelog.Debian.gz`, gzipSync(TEXT)],
        [`${DOC}/changelog.gz`, OLD],
      ],
    ],
    ['not compressed', [[`${DOC}/changelog.Debian`, TEXT]]],
    [
      'of a rebuild, beside an upstream one',
      [
        [`${DOC}/changelog.Debian.amd64.gz`, gzipSync(TEXT)],
        [`${DOC}/changelog.gz`, OLD],
      ],
    ],
    [
      'of a native package',
      [
        ['./usr/bin/curl', Buffer.alloc(100_000)],
        [`${DOC}/changelog.gz`, gzipSync(TEXT)],
      ],
    ],
    ['without the leading dot', [['usr/share/doc/curl/changelog.gz', gzipSync(TEXT)]]],
  ] as [string, Entry[]][])('%s', async (_, entries) => {
    expect(await read(await deb(entries))).toEqual({ kind: 'changelog', text: TEXT, truncated: false });
  });

  test.each([
    ['no documentation', [['./usr/bin/curl', 'x']], 'has no usr/share/doc/curl/changelog'],
    ['another package’s documentation', [['./usr/share/doc/curl2/changelog.gz', OLD]], 'has no'],
    [
      'a documentation folder that is a link',
      [[DOC, { type: 'symlink', linkname: 'libcurl4' }]],
      'is a link to libcurl4',
    ],
    [
      'a changelog that is a link',
      [[`${DOC}/changelog.Debian.gz`, { type: 'symlink', linkname: '../x' }]],
      'is a link to ../x',
    ],
    ['nothing at all', [], 'has no'],
  ] as [string, Entry[], string][])('%s is no failure', async (_, entries, reason) => {
    const result = await read(await deb(entries));
    expect(result).toMatchObject({ kind: 'none', reason: expect.stringContaining(reason) });
  });

  test('the newest part of a long one, however it is packed', async () => {
    const long = TEXT + Array.from({ length: 5_000 }, (_, i) => `line ${i * 7919}\n`).join('');
    const packed = await deb([[`${DOC}/changelog.Debian.gz`, gzipSync(long)]]);
    expect(await read(packed, { maxBytes: 40_000 })).toEqual({
      kind: 'changelog',
      text: long.slice(0, 40_000),
      truncated: true,
    });
    const cut = await read(packed, { maxBytes: 10_000 });
    expect(cut).toMatchObject({ kind: 'changelog', truncated: true, text: expect.stringContaining('CVE-2026-0001') });
    const plain = await deb([[`${DOC}/changelog.Debian`, long]]);
    expect(await read(plain, { maxBytes: 100 })).toEqual({
      kind: 'changelog',
      text: long.slice(0, 100),
      truncated: true,
    });
  });

  test('a small file that unpacks to a very large one is refused', async () => {
    const bomb = await deb([['./usr/bin/zeroes', Buffer.alloc(4 * 1024 * 1024)]]);
    await expect(read(bomb, { maxPackageBytes: 1024 * 1024 })).rejects.toMatchObject({ code: 'tooLarge' });
  });

  test('an unreadable packing is an answer', async () => {
    const bytes = ar([
      ['debian-binary', Buffer.from('2.0\n')],
      ['data.tar.bz2', Buffer.from('BZh')],
    ]);
    expect(await read(bytes)).toMatchObject({ kind: 'none' });
  });

  test.each([
    ['no archive', Buffer.from('hello, world. hello, world.')],
    ['an empty file', Buffer.alloc(0)],
    ['another format', ar([['debian-binary', Buffer.from('3.0\n')]])],
    ['a format of more than a line', ar([['debian-binary', Buffer.from(`2.0\n${'x'.repeat(61)}`)]])],
    ['no format', ar([['data.tar.gz', OLD]])],
    [
      'a member that ends after the file',
      ar([
        ['debian-binary', Buffer.from('2.0\n')],
        ['data.tar.gz', Buffer.alloc(100)],
      ]).subarray(0, 150),
    ],
    [
      'a member list without end',
      ar(Array.from({ length: 40 }, () => ['debian-binary', Buffer.from('2.0\n')] as const)),
    ],
    [
      'content that is no tar',
      ar([
        ['debian-binary', Buffer.from('2.0\n')],
        ['data.tar', Buffer.alloc(1024, 'x')],
      ]),
    ],
  ])('%s is malformed, by name', async (_, bytes) => {
    await expect(read(bytes)).rejects.toMatchObject({ code: 'archiveMalformed' });
  });

  test('damaged content is refused by name', async () => {
    const bytes = ar([
      ['debian-binary', Buffer.from('2.0\n')],
      ['data.tar.gz', gzipSync(await tar([['./x', 'y'.repeat(10_000)]])).subarray(0, 60)],
    ]);
    await expect(read(bytes)).rejects.toMatchObject({ code: 'compressionBroken' });
  });

  test('what is not in the store is named', async () => {
    await expect(readChangelog(store, { sha256: 'a'.repeat(64), name: 'curl' })).rejects.toMatchObject({
      code: 'notStored',
    });
  });
});
