import { describe, expect, test } from '@jest/globals';
import { MINUTE, SECOND } from '../../domain/time.js';
import { scanBegan } from './scan-begun.js';

const NOW = Date.parse('2026-11-30T16:00:00.700Z');
const whole = (ms: number) => Math.floor(ms / SECOND) * SECOND;

describe('when a scan began, on our clock', () => {
  test.each<[string, { reckoning: number; took: number; underWay: number }, number]>([
    ['as the agent says, when it reckons our time rightly', { reckoning: 0, took: 20_000, underWay: 100 }, -20_100],
    [
      'earlier, never later, by a reckoning that is ahead',
      { reckoning: 4 * MINUTE, took: 20_000, underWay: 0 },
      -20_300,
    ],
    [
      'not minutes ago, by a reckoning that is behind',
      { reckoning: -4 * MINUTE, took: 20_000, underWay: 0 },
      -25_000 + 700,
    ],
    ['not before the longest scan there may be', { reckoning: 0, took: 300 * MINUTE, underWay: 0 }, -30 * MINUTE],
    ['not after it arrived', { reckoning: 0, took: -5 * MINUTE, underWay: 0 }, 0],
  ])('%s', (_, { reckoning, took, underWay }, expected) => {
    const signing = NOW - underWay + reckoning;
    const began = scanBegan({ startedAt: signing - took, signedAt: whole(signing), arrivedAt: NOW });
    // Signatures are rounded to the second.
    expect(Math.abs(began - (NOW + expected))).toBeLessThan(SECOND);
  });

  test('a reckoning that is ahead by a second or more never makes it later than it was', () => {
    for (let ahead = 0; ahead < 3_000; ahead += 70) {
      const signing = NOW + ahead;
      const began = scanBegan({ startedAt: signing - 8_000, signedAt: whole(signing), arrivedAt: NOW });
      expect(began - (NOW - 8_000)).toBeLessThan(ahead < SECOND ? SECOND : 1);
    }
  });
});
