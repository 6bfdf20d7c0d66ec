import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { changeSpecSchema } from './spec-schema.js';

const rule = {
  from: { role: 'Manager' },
  quorum: 1,
  remindEveryMinutes: 60,
  escalateAfterMinutes: 120,
  escalateTo: { role: 'Administrator' },
  expireAfterMinutes: 1_440,
  highRisk: false,
};
const ring = {
  name: 'test',
  select: { groups: ['test'] },
  maxInFlight: 5,
  errorBudget: { count: 0 },
  successThresholdPercent: 100,
  minSample: 1,
  soakMinutes: 0,
  approvals: [rule],
  deadlineMinutes: 600,
  haltAction: 'pause',
};
const spec = {
  kind: 'patch',
  name: 'November',
  reason: 'monthly cycle',
  scope: { all: true },
  rings: [ring, { ...ring, name: 'rest', select: { sharePercent: 100 } }],
  priority: 0,
  deadlineMinutes: 10_080,
  offlineAfterMinutes: 60,
  parameters: {},
};

const fields = (value: unknown): string[] => {
  const result = changeSpecSchema.safeParse(value);
  return result.success
    ? []
    : result.error.issues.map((i) => [...i.path, ...('keys' in i ? i.keys : [])].map(String).join('.'));
};
const withRing = (change: object) => ({ ...spec, rings: [{ ...ring, ...change }] });

describe('changeSpecSchema', () => {
  test('takes a whole change as it is', () => {
    expect(changeSpecSchema.parse(spec)).toEqual(spec);
  });

  test.each([
    ['a bare number as budget', withRing({ errorBudget: 3 }), 'rings.0.errorBudget'],
    ['no budget', withRing({ errorBudget: undefined }), 'rings.0.errorBudget'],
    ['a budget of both kinds', withRing({ errorBudget: { count: 1, percent: 1 } }), 'rings.0.errorBudget'],
    ['a negative budget', withRing({ errorBudget: { count: -1 } }), 'rings.0.errorBudget.count'],
    ['a threshold above 100', withRing({ successThresholdPercent: 101 }), 'rings.0.successThresholdPercent'],
    ['a threshold as text', withRing({ successThresholdPercent: '95' }), 'rings.0.successThresholdPercent'],
    ['no threshold', withRing({ successThresholdPercent: undefined }), 'rings.0.successThresholdPercent'],
    ['NaN', withRing({ successThresholdPercent: Number.NaN }), 'rings.0.successThresholdPercent'],
    ['nothing in flight', withRing({ maxInFlight: 0 }), 'rings.0.maxInFlight'],
    ['an unknown halt action', withRing({ haltAction: 'continue' }), 'rings.0.haltAction'],
    ['an empty selector', withRing({ select: {} }), 'rings.0.select'],
    ['a selector with a typo', withRing({ select: { group: ['x'] } }), 'rings.0.select'],
    ['an unknown field', { ...spec, soak: 3 }, 'soak'],
    ['no rings', { ...spec, rings: [] }, 'rings'],
    ['two rings of one name', { ...spec, rings: [ring, ring] }, 'rings.1.name'],
    ['a ring that outlives its change', withRing({ deadlineMinutes: 20_000 }), 'rings.0.deadlineMinutes'],
    ['a quorum of nobody', withRing({ approvals: [{ ...rule, quorum: 0 }] }), 'rings.0.approvals.0.quorum'],
    [
      'an approval that expires before it escalates',
      withRing({ approvals: [{ ...rule, expireAfterMinutes: 60 }] }),
      'rings.0.approvals.0.escalateAfterMinutes',
    ],
    ['approvals left out', withRing({ approvals: undefined }), 'rings.0.approvals'],
  ])('refuses %s, naming the field', (_, value, field) => {
    expect(fields(value)).toContain(field);
  });

  test('never takes a threshold that is not a number from 0 to 100', () => {
    fc.assert(
      fc.property(fc.oneof(fc.double(), fc.anything()), (value) => {
        const fits = typeof value === 'number' && value >= 0 && value <= 100;
        expect(changeSpecSchema.safeParse(withRing({ successThresholdPercent: value })).success).toBe(fits);
      }),
    );
  });
});
