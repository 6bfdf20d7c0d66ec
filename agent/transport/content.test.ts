import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { ContentDiffers, createContentCache } from './content.js';
import { TransportError } from './http.js';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'content-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const bytes = Buffer.from('the exact bytes of a package'.repeat(100));
const file = { sha256: createHash('sha256').update(bytes).digest('hex'), size: bytes.length };
const unlimited = { bytesPerSecond: null };
const reply = (body: Buffer, statusCode = 200, breaksAfter?: number) => {
  const sent = breaksAfter === undefined ? body : body.subarray(0, breaksAfter);
  return Object.assign(Readable.from([sent.subarray(0, 10), sent.subarray(10)].filter((b) => b.length > 0)), {
    statusCode,
  }) as unknown as IncomingMessage;
};
const cache = (fetch: (sha256: string, offset: number) => Promise<IncomingMessage>, over = {}) =>
  createContentCache({ dir, fetch, freeBytes: () => 1e12, ...over });

test('fetched once, verified, and then served from the disk', async () => {
  let calls = 0;
  const content = cache(async () => {
    calls += 1;
    return reply(bytes);
  });
  const path = await content.ensure(file, unlimited);
  expect(readFileSync(path)).toEqual(bytes);
  expect(await content.ensure(file, unlimited)).toBe(path);
  expect(calls).toBe(1);
});

test('a connection that breaks is resumed where it broke', async () => {
  const offsets: number[] = [];
  const content = cache(async (_, offset) => {
    offsets.push(offset);
    return offset === 0 ? reply(bytes, 200, 1_000) : reply(bytes.subarray(offset), 206);
  });
  await expect(content.ensure(file, unlimited)).rejects.toThrow(TransportError);
  expect(content.has(file)).toBe(false);
  expect(readFileSync(await content.ensure(file, unlimited))).toEqual(bytes);
  expect(offsets).toEqual([0, 1_000]);
});

describe('other bytes than the digest names are never kept', () => {
  const flipped = Buffer.from(bytes);
  flipped[500] = (flipped[500] ?? 0) ^ 1;
  test.each([
    ['one bit differs', flipped],
    ['more than there should be', Buffer.concat([bytes, bytes])],
  ])('%s', async (_, served) => {
    const content = cache(async () => reply(served));
    await expect(content.ensure(file, unlimited)).rejects.toThrow(ContentDiffers);
    expect(content.has(file)).toBe(false);
    expect(existsSync(join(dir, `${file.sha256}.part`))).toBe(false);
  });

  test('a first half from elsewhere, resumed with a good second half', async () => {
    writeFileSync(join(dir, `${file.sha256}.part`), flipped.subarray(0, 1_000));
    const content = cache(async (_, offset) => reply(bytes.subarray(offset), 206));
    await expect(content.ensure(file, unlimited)).rejects.toThrow(ContentDiffers);
    expect(readFileSync(await content.ensure(file, unlimited))).toEqual(bytes);
  });
});

test('what rotted in the cache is fetched anew before it is used', async () => {
  let calls = 0;
  const content = cache(async () => {
    calls += 1;
    return reply(bytes);
  });
  const path = await content.ensure(file, unlimited);
  const rotten = Buffer.from(bytes);
  rotten[500] = (rotten[500] ?? 0) ^ 1;
  writeFileSync(path, rotten);
  expect(content.has(file)).toBe(true);
  expect(readFileSync(await content.ensure(file, unlimited))).toEqual(bytes);
  expect(calls).toBe(2);
});

test('a server without ranges: begun anew', async () => {
  writeFileSync(join(dir, `${file.sha256}.part`), bytes.subarray(0, 1_000));
  const content = cache(async () => reply(bytes));
  await expect(content.ensure(file, unlimited)).rejects.toThrow('whole file');
  expect(readFileSync(await content.ensure(file, unlimited))).toEqual(bytes);
});

test('a rate limit makes it wait as long as the bytes should take', async () => {
  let slept = 0;
  const content = cache(async () => reply(bytes), {
    sleep: async (ms: number) => {
      slept = Math.max(slept, ms);
    },
  });
  await content.ensure(file, { bytesPerSecond: 100 });
  expect(slept).toBeGreaterThan((bytes.length / 100) * 1_000 - 5_000);
});

test('disk space is looked at before anything is fetched', () => {
  const free = (bytesFree: number) =>
    cache(async () => reply(bytes), { freeBytes: () => bytesFree, installRoot: '/' }).spaceObjection([
      { sha256: 'a', size: 100e6 },
    ]);
  expect(free(1e9)).toBeNull();
  expect(free(300e6)).toBe(
    'not enough disk space on /: 367108864 bytes (351 MB) needed, 300000000 bytes (287 MB) free',
  );
});

test('unused files go, files of open orders stay', async () => {
  const content = cache(async () => reply(bytes));
  const path = await content.ensure(file, unlimited);
  const now = Date.now() + 40 * 24 * 3_600_000;
  content.clean(new Set([file.sha256]), now);
  expect(existsSync(path)).toBe(true);
  content.clean(new Set(), now);
  expect(existsSync(path)).toBe(false);
});
