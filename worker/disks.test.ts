import { tmpdir } from 'node:os';
import { describe, expect, test } from '@jest/globals';
import { lookAtDisks } from './disks.js';
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
  ])('%j, beside the content store’s', (text, named) => {
    expect(readSettings(env(text)).watched).toEqual([{ name: 'content', path: '/data/content' }, ...named]);
  });

  test.each(['postgresql', 'postgresql=', 'postgresql=relative', '=/a', 'a=/b,c'])('%j is refused by name', (text) => {
    expect(() => readSettings(env(text))).toThrow(/^RINGMASTER_DISKS: must look like name=\/folder/);
  });

  test('have sizes, and one that is not there has none', async () => {
    const found = await lookAtDisks([
      { name: 'here', path: tmpdir() },
      { name: 'gone', path: '/no/such/folder' },
    ]);
    expect(found).toEqual([
      { name: 'here', path: tmpdir(), freeBytes: expect.any(Number), totalBytes: expect.any(Number) },
      { name: 'gone', path: '/no/such/folder', freeBytes: null, totalBytes: null },
    ]);
    expect(found[0]?.totalBytes).toBeGreaterThanOrEqual(found[0]?.freeBytes as number);
  });
});
