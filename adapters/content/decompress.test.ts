import { gzipSync } from 'node:zlib';
import { describe, expect, test } from '@jest/globals';
import { collect } from './bytes.js';
import { type Compression, compressionOf, decompress } from './decompress.js';

const TEXT = 'ringmaster '.repeat(20);
// The same text as `xz -9` and `zstd -19` pack it.
const XZ = Buffer.from(
  '/Td6WFoAAATm1rRGAgAhARwAAAAQz1jM4ADbABJdADkaSh83Y7o7rXxyVbw0s9UAAAAAAN9HQ2GlTg4bAAEu3AEAAACmRUoKscRn+wIAAAAABFla',
  'base64',
);
const ZST = Buffer.from('KLUv/QRolQAAWHJpbmdtYXN0ZXIgAQBOU8ULbPhrXg==', 'base64');
const PACKED: [Compression, Buffer][] = [
  ['gz', gzipSync(TEXT)],
  ['xz', XZ],
  ['zst', ZST],
];

async function* cut(bytes: Buffer, step: number): AsyncGenerator<Uint8Array> {
  for (let i = 0; i < bytes.length; i += step) yield bytes.subarray(i, i + step);
}
const unpack = async (bytes: Buffer, as: Compression, step = 7): Promise<string> =>
  (await collect(decompress(cut(bytes, step), as, 'file'))).toString();

describe('decompress', () => {
  test.each(PACKED)('%s in pieces of any size', async (as, bytes) => {
    for (const step of [1, 7, 4096]) expect(await unpack(bytes, as, step)).toBe(TEXT);
  });

  test('none passes bytes on', async () => expect(await unpack(Buffer.from(TEXT), 'none')).toBe(TEXT));

  test.each(PACKED)('%s that ends early, is damaged or empty is refused by name', async (as, bytes) => {
    const broken = Buffer.from(bytes);
    broken.fill(0xff, 0, 12);
    for (const bad of [
      bytes.subarray(0, bytes.length - 9),
      bytes.subarray(0, 20),
      broken,
      Buffer.from('hello hello hello'),
      Buffer.alloc(0),
    ]) {
      await expect(unpack(bad, as)).rejects.toMatchObject({ code: 'compressionBroken' });
    }
    // And the next one is none the worse for it.
    expect(await unpack(bytes, as)).toBe(TEXT);
  });

  test.each(PACKED)('%s: a failing source keeps its own error', async (as, bytes) => {
    const failing = (async function* (): AsyncGenerator<Uint8Array> {
      yield bytes.subarray(0, 10);
      throw new RangeError('line cut');
    })();
    await expect(collect(decompress(failing, as, 'file'))).rejects.toThrow(RangeError);
  });

  test.each(PACKED)('%s: many at once, some left halfway', async (as, bytes) => {
    const leave = async (): Promise<string> => {
      for await (const _ of decompress(cut(bytes, 5), as, 'file')) return TEXT;
      return '';
    };
    const all = await Promise.all(Array.from({ length: 12 }, (_, i) => (i % 3 === 0 ? leave() : unpack(bytes, as))));
    expect(new Set(all)).toEqual(new Set([TEXT]));
  });
});

test.each([
  ['Packages.gz', 'gz'],
  ['data.tar.xz', 'xz'],
  ['data.tar.zst', 'zst'],
  ['data.tar', 'none'],
  ['x.bz2', 'none'],
])('compressionOf %s is %s', (name, expected) => expect(compressionOf(name)).toBe(expected));
