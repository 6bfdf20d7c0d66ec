import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { nextPace, type Pace, SLOW_START } from './pace.js';

const pace = (concurrency: number, pacedSuccesses = 0, pacedFailures = 0): Pace => ({
  concurrency,
  pacedSuccesses,
  pacedFailures,
});

describe('nextPace', () => {
  it.each<[string, Pace, { succeeded: number; failed: number }, number, Pace]>([
    ['starts with one', SLOW_START, { succeeded: 0, failed: 0 }, 10, pace(1)],
    ['doubles when the one succeeded', SLOW_START, { succeeded: 1, failed: 0 }, 10, pace(2, 1)],
    ['waits until as many succeeded as may be under way', pace(2, 1), { succeeded: 2, failed: 0 }, 10, pace(2, 1)],
    ['doubles again', pace(2, 1), { succeeded: 3, failed: 0 }, 10, pace(4, 3)],
    ['catches up on rounds it did not see', SLOW_START, { succeeded: 7, failed: 0 }, 100, pace(8, 7)],
    ['stops at the ceiling', pace(8, 7), { succeeded: 15, failed: 0 }, 10, pace(10, 15)],
    ['halves on a failure', pace(8, 7), { succeeded: 9, failed: 1 }, 10, pace(4, 9, 1)],
    ['halves for each failure', pace(8, 7), { succeeded: 9, failed: 2 }, 10, pace(2, 9, 2)],
    ['never stops altogether', pace(1), { succeeded: 0, failed: 5 }, 10, pace(1, 0, 5)],
    ['forgives nothing twice', pace(4, 9, 1), { succeeded: 9, failed: 1 }, 10, pace(4, 9, 1)],
    ['takes retried failures out of its memory', pace(4, 9, 3), { succeeded: 9, failed: 0 }, 10, pace(4, 9, 0)],
    ['follows a ceiling that was lowered', pace(64, 9, 0), { succeeded: 9, failed: 0 }, 5, pace(5, 9, 0)],
  ])('%s', (_name, before, outcomes, maxInFlight, after) => {
    expect(nextPace({ pace: before, outcomes, maxInFlight })).toEqual(after);
  });

  it('stays between one and the ceiling, and is stable when nothing happens', () => {
    const outcome = fc.record({ succeeded: fc.nat(5), failed: fc.nat(3) });
    fc.assert(
      fc.property(fc.array(outcome, { maxLength: 30 }), fc.integer({ min: 1, max: 50 }), (steps, maxInFlight) => {
        let now = SLOW_START;
        const outcomes = { succeeded: 0, failed: 0 };
        for (const step of steps) {
          outcomes.succeeded += step.succeeded;
          outcomes.failed += step.failed;
          const next = nextPace({ pace: now, outcomes, maxInFlight });
          expect(next.concurrency).toBeGreaterThanOrEqual(1);
          expect(next.concurrency).toBeLessThanOrEqual(maxInFlight);
          if (step.failed > 0) expect(next.concurrency).toBeLessThanOrEqual(Math.max(1, now.concurrency / 2));
          // Never more than doubles per success that was seen.
          expect(next.concurrency).toBeLessThanOrEqual(now.concurrency + outcomes.succeeded - now.pacedSuccesses);
          expect(nextPace({ pace: next, outcomes, maxInFlight })).toEqual(next);
          now = next;
        }
      }),
    );
  });
});
