import { describe, expect, test } from '@jest/globals';
import { diskTrouble, stateOfDisk } from './server-disk.js';

const MIB = 1024 ** 2;
const disk = (free: number | null) => ({
  name: 'postgresql',
  path: '/data/postgres',
  freeBytes: free === null ? null : free * MIB,
  totalBytes: free === null ? null : 20_000 * MIB,
});

describe('a disk of the server', () => {
  test.each([
    [2_000, 'ok', null],
    [1_024, 'ok', null],
    [1_023, 'low', 'the disk of postgresql (/data/postgres) has 1023 MiB of 20000 MiB free'],
    [512, 'low', 'the disk of postgresql (/data/postgres) has 512 MiB of 20000 MiB free'],
    [
      511,
      'full',
      'the disk of postgresql (/data/postgres) has 511 MiB of 20000 MiB free: nothing is fetched until there are 512 MiB',
    ],
    [
      0,
      'full',
      'the disk of postgresql (/data/postgres) has 0 MiB of 20000 MiB free: nothing is fetched until there are 512 MiB',
    ],
    [null, 'unknown', "the disk of postgresql (/data/postgres) can't be looked at"],
  ] as const)('with %s MiB free is %s', (free, state, trouble) => {
    expect(stateOfDisk(disk(free), 512 * MIB)).toBe(state);
    expect(diskTrouble(disk(free), 512 * MIB)).toBe(trouble);
  });
});
