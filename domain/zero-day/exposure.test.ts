import { describe, expect, test } from '@jest/globals';
import { REASON_CODES, type ReasonCode } from '../why/reason.js';
import { EXPOSURE_STATES, exposureOf, isStartable, proven, standingOf } from './exposure.js';

const why = (...codes: ReasonCode[]) => ({
  code: codes[0] as ReasonCode,
  sentence: 'web-1: it is so.',
  chain: codes.map((code) => ({ code, text: `because of ${code}`, until: 7 })),
});
const OFFERED = { offered: true, inScope: true };

describe('exposureOf', () => {
  test.each(REASON_CODES)('%s comes down to a state that is not “fixed”, with its own words', (code) => {
    const exposure = exposureOf({ why: why(code), ...OFFERED });
    expect(EXPOSURE_STATES).toContain(exposure.state);
    expect(exposure).not.toMatchObject({ state: 'fixed' });
    expect(exposure).toMatchObject({ code, reason: `because of ${code}`, until: 7, since: null });
  });

  test.each<[string, ReasonCode[], { offered: boolean; inScope: boolean }, string, ReasonCode | null]>([
    ['nothing on offer', ['notInChange'], { offered: false, inScope: true }, 'noFix', null],
    [
      'nothing on offer, and out of reach',
      ['notInChange', 'offline'],
      { offered: false, inScope: true },
      'offline',
      'offline',
    ],
    [
      'nothing on offer, but it is being installed',
      ['underWay'],
      { offered: false, inScope: true },
      'inProgress',
      'underWay',
    ],
    ['nothing on offer, and no policy', ['noPolicy'], { offered: false, inScope: true }, 'noPolicy', 'noPolicy'],
    ['out of scope', ['notInChange'], { offered: true, inScope: false }, 'outOfScope', null],
    [
      'out of scope, but another change is at it',
      ['mayStart'],
      { offered: true, inScope: false },
      'inProgress',
      'mayStart',
    ],
  ])('%s', (_, codes, rest, state, code) => {
    expect(exposureOf({ why: why(...codes), ...rest })).toMatchObject({ state, code });
  });

  test('proven fixed: since the scan that shows it', () => {
    expect(proven(5)).toMatchObject({ state: 'fixed', code: null, since: 5 });
  });
});

describe('standingOf', () => {
  const one = (code: ReasonCode, over: { offered?: boolean; taken?: boolean } = {}) => {
    const { offered = true, taken = false } = over;
    return { ...exposureOf({ why: why(code), offered, inScope: true }), offered, taken, endpoints: 1 };
  };

  test('counts by state and by what decides, and says what to do, the most useful first', () => {
    const exposed = [one('approval', { taken: true }), one('failed'), one('hold'), one('hold'), one('offline')];
    const { counted, byState, byReason, nextSteps } = standingOf({ id: 'z', exposed });
    expect({ counted, byState }).toEqual({ counted: 5, byState: { waiting: 3, failed: 1, offline: 1 } });
    expect(byReason).toEqual({ approval: 1, failed: 1, hold: 2, offline: 1 });
    expect(nextSteps.map(({ action, endpoints }) => [action, endpoints])).toEqual([
      ['start', 1],
      ['approve', 1],
      ['retry', 1],
      ['reach', 1],
      ['wait', 2],
    ]);
  });

  test('nobody: nothing to do', () => {
    expect(standingOf({ id: 'z', exposed: [] })).toEqual({ counted: 0, byState: {}, byReason: {}, nextSteps: [] });
  });

  test.each<[ReasonCode, { offered?: boolean; taken?: boolean }, boolean]>([
    ['notInChange', {}, true],
    ['failed', {}, true],
    ['failed', { taken: true }, false],
    ['notInChange', { offered: false }, false],
    ['noPolicy', {}, false],
    ['skipped', {}, false],
  ])('starting again helps with %s %j: %s', (code, over, helps) => expect(isStartable(one(code, over))).toBe(helps));
});
