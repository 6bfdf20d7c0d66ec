import { describe, expect, test } from '@jest/globals';
import type { OrderState } from '../../domain/order/index.js';
import { STATE_TRAITS } from '../../domain/order/index.js';
import { isAtWork, nextPollSeconds } from './next-poll.js';

const quiet = {
  holding: 0,
  idle: 0,
  wantsScan: false,
  wakeable: true,
  untilWindow: null,
  idleSeconds: 30,
  random: 0.5,
};

describe('nextPollSeconds', () => {
  test.each([
    ['nothing to do, wakeable', quiet, 900],
    ['nothing to do, not wakeable', { ...quiet, wakeable: false }, 30],
    ['an order is out', { ...quiet, holding: 1 }, 3],
    ['an order waits for its permit', { ...quiet, holding: 1, idle: 1 }, 5],
    ['one waits, one works', { ...quiet, holding: 2, idle: 1 }, 3],
    ['a scan is wanted', { ...quiet, wantsScan: true }, 3],
    ['a window opens soon', { ...quiet, untilWindow: 60_000 }, 300],
    ['a window is open, not wakeable', { ...quiet, wakeable: false, untilWindow: -60_000 }, 30],
    ['a window opens tomorrow', { ...quiet, untilWindow: 86_400_000 }, 900],
    ['an impatient installation', { ...quiet, holding: 1, idle: 1, idleSeconds: 1 }, 1],
  ])('%s', (_, pace, seconds) => {
    expect(nextPollSeconds(pace)).toBe(seconds);
  });

  test('spreads by a fifth either way', () => {
    expect(nextPollSeconds({ ...quiet, random: 0 })).toBe(720);
    expect(nextPollSeconds({ ...quiet, random: 0.9999 })).toBeCloseTo(1_080, 0);
  });
});

describe('isAtWork', () => {
  const order = (state: OrderState, nextOpen: number | null = null, nextClose: number | null = null) => ({
    state,
    phase: STATE_TRAITS[state].phase,
    nextOpen,
    nextClose,
  });
  test.each<[string, Parameters<typeof isAtWork>[0], boolean]>([
    ['nothing there', [], false],
    ['an order in its window', [order('staged', 900, 1_100)], true],
    ['at the opening', [order('released', 1_000, 1_100)], true],
    ['at the last start', [order('staged', 900, 1_000)], false],
    ['before the window', [order('staged', 1_100, 1_200)], false],
    ['in its window, and not let out', [order('pending', 900, 1_100)], false],
    ['a scan, which has no window', [order('released')], false],
    ['begun, and the window over', [order('applying', 100, 200)], true],
    ['undoing by itself', [order('reverting')], true],
    ['one of several', [order('pending'), order('verifying')], true],
  ])('%s', (_name, orders, expected) => {
    expect(isAtWork(orders, 1_000)).toBe(expected);
  });
});
