import { tmpdir } from 'node:os';
import { describe, expect, test } from '@jest/globals';
import { watchDisks } from './disks.js';
import { readSettings } from './settings.js';

const env = (disks?: string) => ({
  DATABASE_URL: 'postgresql://a@b/c',
  TEMPORAL_ADDRESS: '127.0.0.1:1',
  RINGMASTER_DATA: '/data',
  RINGMASTER_KEYS_DIR: '/keys',
  ...(disks === undefined ? {} : { RINGMASTER_DISKS: disks }),
});

describe('disks that are watched', () => {
  test.each([
    [undefined, []],
    ['', []],
    [
      'postgresql=/var/lib/a b, temporal=/t',
      [
        { name: 'postgresql', path: '/var/lib/a b' },
        { name: 'temporal', path: '/t' },
      ],
    ],
    [
      'postgresql=/srv/one, two/data,temporal=/srv/one, two,',
      [
        { name: 'postgresql', path: '/srv/one, two/data' },
        { name: 'temporal', path: '/srv/one, two' },
      ],
    ],
  ])('%j, beside the content store’s', (text, named) => {
    expect(readSettings(env(text)).watched).toEqual([{ name: 'content', path: '/data/content' }, ...named]);
  });

  test.each(['postgresql', 'postgresql=', 'postgresql=relative', '=/a', '/b,c'])('%j is refused by name', (text) => {
    expect(() => readSettings(env(text))).toThrow(/^RINGMASTER_DISKS: must look like name=\/folder/);
  });

  test('have sizes, and one that is not there has none', async () => {
    const found = await watchDisks([
      { name: 'here', path: tmpdir() },
      { name: 'gone', path: '/no/such/folder' },
    ]).look();
    expect(found).toEqual([
      { name: 'here', path: tmpdir(), freeBytes: expect.any(Number), totalBytes: expect.any(Number) },
      { name: 'gone', path: '/no/such/folder', freeBytes: null, totalBytes: null },
    ]);
    expect(found[0]?.totalBytes).toBeGreaterThanOrEqual(found[0]?.freeBytes as number);
  });

  test('one that does not answer is not waited for, and not asked again meanwhile', async () => {
    let asked = 0;
    let answer: (size: { freeBytes: number; totalBytes: number }) => void = () => undefined;
    const hangs = () => {
      asked += 1;
      return new Promise<{ freeBytes: number; totalBytes: number }>((resolve) => {
        answer = resolve;
      });
    };
    const watch = watchDisks([{ name: 'away', path: '/net' }], hangs, 1);
    expect([await watch.look(), await watch.look()].flat().map((disk) => disk.freeBytes)).toEqual([null, null]);
    expect(asked).toBe(1);
    answer({ freeBytes: 1, totalBytes: 2 });
    await new Promise((resolve) => setImmediate(resolve));
    await watch.look();
    expect(asked).toBe(2);
  });
});
