import { describe, expect, test } from '@jest/globals';
import type { ChangeSpec, Limit, RingSpec } from './spec.js';
import { limitCount, stragglersSpec } from './stragglers.js';

test.each<[Limit, number, number]>([
  [{ count: 3 }, 10, 3],
  [{ percent: 10 }, 19, 1],
  [{ percent: 100 }, 7, 7],
  [{ count: Number.NaN }, 10, 0],
  [{ count: -1 }, 10, 0],
  [{ percent: 101 }, 10, 0],
  [{ percent: Number.NaN }, 10, 0],
])('%j of %d is %d', (limit, of, count) => {
  expect(limitCount(limit, of)).toBe(count);
});

describe('the lane of stragglers', () => {
  const ring = (errorBudget: Limit, maxInFlight: number) => ({ errorBudget, maxInFlight }) as RingSpec;

  test('has the budgets of all rings together, asks nobody, and selects nobody', () => {
    const spec = {
      rings: [ring({ count: 1 }, 5), ring({ percent: 10 }, 50)],
      deadlineMinutes: 99,
    } as unknown as ChangeSpec;
    expect(stragglersSpec(spec, [4, 30])).toMatchObject({
      select: {},
      errorBudget: { count: 4 },
      maxInFlight: 50,
      approvals: [],
      soakMinutes: 0,
      deadlineMinutes: 99,
    });
  });
});
