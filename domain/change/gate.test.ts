import { describe, expect, it } from '@jest/globals';
import type { RingCounts } from './counts.js';
import { judgeGate } from './gate.js';

const counts = (some: Partial<RingCounts>): RingCounts => ({
  planned: 10,
  pending: 0,
  inFlight: 0,
  succeeded: 0,
  failed: 0,
  none: 0,
  byState: {},
  offline: 0,
  windowless: 0,
  stragglers: 0,
  mayStillStartUntil: null,
  ...some,
});
const spec = { successThresholdPercent: 90, minSample: 5 };

describe('judgeGate', () => {
  it.each<[string, unknown, Partial<RingCounts>, 'promote' | 'hold', string]>([
    ['all good', spec, { succeeded: 10 }, 'promote', '10 of 10 outcomes'],
    ['exactly the threshold', spec, { succeeded: 9, failed: 1 }, 'promote', '9 of 10 outcomes'],
    ['below the threshold', spec, { succeeded: 8, failed: 1 }, 'hold', '90 % are needed'],
    ['offline ones are no failures', spec, { succeeded: 6, offline: 4 }, 'promote', '4 offline'],
    ['windowless ones are named', spec, { succeeded: 6, windowless: 4 }, 'promote', '4 without a window'],
    ['skipped ones are named', spec, { succeeded: 6, none: 4 }, 'promote', '4 skipped'],
    ['too few outcomes', spec, { succeeded: 4, offline: 6 }, 'hold', '5 outcomes are needed'],
    ['a whole small ring is enough', spec, { planned: 2, succeeded: 2 }, 'promote', '2 planned'],
    ['a small ring with one away', spec, { planned: 2, succeeded: 1, offline: 1 }, 'hold', '2 outcomes are needed'],
    ['still under way', spec, { succeeded: 9, inFlight: 1 }, 'hold', '1 still under way'],
    ['nothing proven', { successThresholdPercent: 0, minSample: 0 }, { none: 10 }, 'hold', 'nothing was proven'],
    [
      'two thirds of 66.67',
      { ...spec, successThresholdPercent: 66.67, minSample: 0 },
      { succeeded: 2, failed: 1 },
      'hold',
      '66.67',
    ],
    [
      'two thirds of 66',
      { ...spec, successThresholdPercent: 66, minSample: 0 },
      { succeeded: 2, failed: 1 },
      'promote',
      '66',
    ],
    ['no spec', null, { succeeded: 10 }, 'hold', 'successThresholdPercent'],
    ['no threshold', { minSample: 0 }, { succeeded: 10 }, 'hold', 'successThresholdPercent'],
    [
      'a threshold in words',
      { successThresholdPercent: '90', minSample: 0 },
      { succeeded: 10 },
      'hold',
      'successThresholdPercent',
    ],
    [
      'a threshold out of range',
      { successThresholdPercent: 101, minSample: 0 },
      { succeeded: 10 },
      'hold',
      'successThresholdPercent',
    ],
    ['no minimum', { successThresholdPercent: 90 }, { succeeded: 10 }, 'hold', 'minSample'],
    ['a broken minimum', { successThresholdPercent: 90, minSample: 1.5 }, { succeeded: 10 }, 'hold', 'minSample'],
  ])('%s', (_name, terms, some, kind, said) => {
    const verdict = judgeGate({ spec: terms, counts: counts(some) });
    expect(verdict.kind).toBe(kind);
    expect(verdict.reason).toContain(said);
  });
});
