import { describe, expect, test } from '@jest/globals';
import { troublesOf, workerParts } from './readiness.js';

const now = 1_800_000_000_000;
const states = (heartbeat: unknown) =>
  Object.fromEntries(workerParts(heartbeat, now).map(({ name, state }) => [name, state]));

describe('workerParts', () => {
  test.each([
    ['all is well', { at: now - 1_000, temporal: { reachable: true, detail: null } }, { worker: 'up', temporal: 'up' }],
    [
      'Temporal is away',
      { at: now - 1_000, temporal: { reachable: false, detail: 'refused' } },
      { worker: 'up', temporal: 'away' },
    ],
    [
      'the worker is silent',
      { at: now - 60_000, temporal: { reachable: true } },
      { worker: 'away', temporal: 'unknown' },
    ],
    [
      'a disk fills',
      {
        at: now,
        temporal: { reachable: true },
        diskReserveBytes: 100,
        disks: [{ name: 'content', path: '/c', freeBytes: 199, totalBytes: 1e9 }],
      },
      { worker: 'up', temporal: 'up', disk: 'low' },
    ],
    [
      'disks are fine',
      {
        at: now,
        temporal: { reachable: true },
        diskReserveBytes: 100,
        disks: [{ name: 'content', path: '/c', freeBytes: 200, totalBytes: 1e9 }],
      },
      { worker: 'up', temporal: 'up', disk: 'up' },
    ],
    ['no worker ever', undefined, { worker: 'away', temporal: 'unknown' }],
    ['something else in its place', { at: 'soon' }, { worker: 'away', temporal: 'unknown' }],
  ])('%s', (_, heartbeat, expected) => {
    expect(states(heartbeat)).toEqual(expected);
  });
});

describe('troublesOf', () => {
  const unknown = { name: 'temporal', path: '/t', freeBytes: null, totalBytes: null };
  const full = { name: 'content', path: '/c', freeBytes: 0, totalBytes: 9 };
  test.each([
    ['nothing while all is well', { at: now, temporal: { reachable: true } }, []],
    ['nothing where no worker was ever heard of', undefined, []],
    [
      'a silent worker, and nothing it can not know',
      { at: now - 60_000, temporal: { reachable: false } },
      ['No worker'],
    ],
    [
      'Temporal and a disk',
      { at: now, temporal: { reachable: false }, disks: [unknown, full], diskReserveBytes: 1 },
      ['Temporal does not answer', 'The server runs out of space'],
    ],
    [
      'a disk that can not be looked at, which need not be full',
      { at: now, temporal: { reachable: true }, disks: [unknown], diskReserveBytes: 1 },
      ['is not known'],
    ],
  ])('%s', (_, heartbeat, begins) => {
    expect(troublesOf(heartbeat, now)).toEqual(begins.map((text) => expect.stringContaining(text)));
  });
});
