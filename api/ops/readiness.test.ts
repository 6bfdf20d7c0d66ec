import { describe, expect, test } from '@jest/globals';
import { workerParts } from './readiness.js';

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
    ['no worker ever', undefined, { worker: 'away', temporal: 'unknown' }],
    ['something else in its place', { at: 'soon' }, { worker: 'away', temporal: 'unknown' }],
  ])('%s', (_, heartbeat, expected) => {
    expect(states(heartbeat)).toEqual(expected);
  });
});
