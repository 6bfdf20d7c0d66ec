import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { judgeBudget, readTerms, roomFor } from './budget.js';

const spec = { maxInFlight: 10, errorBudget: { count: 1 } };

describe('readTerms', () => {
  it.each([
    [{ count: 0 }, 200, 0],
    [{ count: 3 }, 1, 3],
    [{ percent: 5 }, 199, 9],
    [{ percent: 100 }, 7, 7],
    [{ percent: 0 }, 1_000, 0],
    [{ percent: 0.5 }, 399, 1],
  ])('allows %j of %d endpoints: %d failures', (errorBudget, planned, failuresAllowed) => {
    const read = readTerms({ ...spec, errorBudget }, planned);
    expect(read).toEqual({ ok: true, terms: { maxInFlight: 10, failuresAllowed, disruptionBudget: null } });
  });

  it.each([
    [undefined, 'no terms'],
    [null, 'no terms'],
    ['10', 'no terms'],
    [{ ...spec, maxInFlight: undefined }, 'maxInFlight'],
    [{ ...spec, maxInFlight: 0 }, 'maxInFlight'],
    [{ ...spec, maxInFlight: 2.5 }, 'maxInFlight'],
    [{ ...spec, maxInFlight: '10' }, 'maxInFlight'],
    [{ maxInFlight: 10 }, 'errorBudget'],
    [{ ...spec, errorBudget: 3 }, 'errorBudget'],
    [{ ...spec, errorBudget: {} }, 'errorBudget'],
    [{ ...spec, errorBudget: { count: -1 } }, 'errorBudget'],
    [{ ...spec, errorBudget: { count: Number.NaN } }, 'errorBudget'],
    [{ ...spec, errorBudget: { percent: 101 } }, 'errorBudget'],
    [{ ...spec, errorBudget: { percent: '5' } }, 'errorBudget'],
    [{ ...spec, errorBudget: { count: 1, percent: 5 } }, 'errorBudget'],
    [{ ...spec, disruptionBudget: 0 }, 'disruptionBudget'],
    [{ ...spec, disruptionBudget: null }, 'disruptionBudget'],
  ])('refuses %j, naming %s', (malformed, field) => {
    const read = readTerms(malformed, 10);
    expect(read.ok ? '' : read.reason).toContain(field);
    expect(judgeBudget({ spec: malformed, planned: 10, failed: 0 }).kind).toBe('malformed');
  });
});

describe('judgeBudget', () => {
  it.each([
    [0, 0, 'within'],
    [1, 0, 'within'],
    [2, 0, 'spent'],
    [2, 2, 'within'],
    [3, 2, 'within'],
    [4, 2, 'spent'],
    [0, 9, 'within'],
  ])('with one failure allowed, %d failed of which %d are forgiven: %s', (failed, forgiven, kind) => {
    expect(judgeBudget({ spec, planned: 20, failed, forgiven }).kind).toBe(kind);
  });

  it('states the numbers', () => {
    expect(judgeBudget({ spec, planned: 20, failed: 2 })).toEqual({
      kind: 'spent',
      reason: 'error budget spent: 2 failed, 1 allowed of 20 planned',
    });
  });
});

describe('roomFor', () => {
  it('never lets pace, ceiling or disruption budget be exceeded', () => {
    const small = fc.nat(20);
    const some = fc.integer({ min: 1, max: 20 });
    fc.assert(
      fc.property(
        some,
        fc.option(some),
        some,
        small,
        small,
        (maxInFlight, disruptionBudget, concurrency, failed, inFlight) => {
          const terms = { maxInFlight, failuresAllowed: 0, disruptionBudget };
          const room = roomFor({ terms, concurrency, failed, inFlight });
          expect(room).toBeGreaterThanOrEqual(0);
          if (room === 0) return;
          expect(inFlight + room).toBeLessThanOrEqual(Math.min(maxInFlight, concurrency));
          expect(failed + inFlight + room).toBeLessThanOrEqual(disruptionBudget ?? Number.POSITIVE_INFINITY);
        },
      ),
    );
  });
});
