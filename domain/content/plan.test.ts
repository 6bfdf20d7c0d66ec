import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  type FrozenPlan,
  freezePlan,
  isNarrowing,
  type PlanEntry,
  type PlanHeader,
  type PlanInput,
  planDigest,
} from './plan.js';
import { EMPTY_UPDATE_SET, type PackageUpdate, type UpdateSet, updateSet } from './update-set.js';

const update = (name: string, to = '2.0'): PackageUpdate => ({
  name,
  arch: 'amd64',
  from: '1.0',
  to,
  source: name,
  sha256: 'a'.repeat(64),
  size: 1,
});
const setOf = (...updates: PackageUpdate[]): UpdateSet => {
  const result = updateSet(updates);
  if (!result.ok) throw new Error(result.reason);
  return result.set;
};
const FULL = setOf(update('curl'), update('openssl'));
const CURL = setOf(update('curl'));
const NEWER = setOf(update('curl', '3.0'));
const SETS = [FULL, CURL, NEWER, EMPTY_UPDATE_SET];
const HEADER: PlanHeader = {
  changeId: 'c1',
  kind: 'patch',
  deadline: 1_800_000_000_000,
  rings: [
    { ordinal: 0, name: 'test', haltAction: 'rollback', terms: { maxInFlight: 2, errorBudget: 0 } },
    { ordinal: 1, name: 'rest', haltAction: 'pause', terms: { maxInFlight: 10, errorBudget: 1 } },
  ],
  budgets: { failures: 5 },
};
const entry = (endpointId: string, changes: Partial<PlanEntry> = {}): PlanEntry => ({
  endpointId,
  ring: 1,
  updateSetDigest: FULL.digest,
  policyVersion: 'p@1',
  ...changes,
});
const freeze = (entries: readonly PlanEntry[], header: PlanHeader = HEADER): FrozenPlan => {
  const result = freezePlan({ header, entries, updateSets: SETS });
  if (!result.ok) throw new Error(result.reason);
  return result.plan;
};
const reasons = (before: FrozenPlan, after: FrozenPlan): readonly string[] => {
  const result = isNarrowing(before, after);
  return result.narrowing ? [] : result.reasons;
};

const entries = fc.uniqueArray(
  fc.record({
    endpointId: fc.uuid(),
    ring: fc.constantFrom(0, 1),
    updateSetDigest: fc.constantFrom(...SETS.map((s) => s.digest)),
    policyVersion: fc.constantFrom('p@1', 'p@2', 'q@1'),
  }),
  { selector: (e) => e.endpointId, minLength: 1, maxLength: 40 },
);

describe('planDigest', () => {
  test('does not depend on the order of endpoints, rings or keys', () => {
    const shuffled = entries.chain((e) => fc.tuple(fc.constant(e), fc.shuffledSubarray(e, { minLength: e.length })));
    const other: PlanHeader = {
      budgets: HEADER.budgets,
      rings: [...HEADER.rings].reverse(),
      deadline: HEADER.deadline,
      kind: 'patch',
      changeId: 'c1',
    };
    fc.assert(fc.property(shuffled, ([one, two]) => freeze(one).digest === freeze(two, other).digest));
  });

  test('any change to any endpoint is another digest', () => {
    const mutation = fc.constantFrom<(e: PlanEntry) => PlanEntry | null>(
      () => null,
      (e) => ({ ...e, endpointId: `${e.endpointId}x` }),
      (e) => ({ ...e, ring: 1 - e.ring }),
      (e) => ({ ...e, policyVersion: `${e.policyVersion}0` }),
      (e) => ({ ...e, updateSetDigest: SETS.find((s) => s.digest !== e.updateSetDigest)?.digest ?? '' }),
    );
    fc.assert(
      fc.property(entries, fc.nat(), mutation, (list, at, mutate) => {
        const changed = list.flatMap((e, i) => (i === at % list.length ? (mutate(e) ?? []) : e));
        return freeze(list).digest !== freeze(changed).digest;
      }),
    );
  });

  test('any change to the terms is another digest', () => {
    const [test0, rest] = HEADER.rings as [PlanHeader['rings'][0], PlanHeader['rings'][0]];
    const headers: PlanHeader[] = [
      HEADER,
      { ...HEADER, changeId: 'c2' },
      { ...HEADER, kind: 'remediation' },
      { ...HEADER, deadline: HEADER.deadline + 1 },
      { ...HEADER, budgets: { failures: 6 } },
      { ...HEADER, budgets: {} },
      { ...HEADER, rings: [test0, { ...rest, haltAction: 'ask' }] },
      { ...HEADER, rings: [test0, { ...rest, name: 'all' }] },
      { ...HEADER, rings: [test0, { ...rest, terms: { ...rest.terms, errorBudget: 2 } }] },
      { ...HEADER, rings: [...HEADER.rings, { ...rest, ordinal: 2 }] },
    ];
    expect(new Set(headers.map((header) => planDigest({ header, entries: [entry('e1')] }))).size).toBe(headers.length);
  });

  test('fields cannot lend characters to their neighbours', () => {
    const a = entry('e1', { policyVersion: 'p@1' });
    expect(freeze([{ ...a, endpointId: 'e1",1' }]).digest).not.toBe(freeze([a]).digest);
  });

  test('100,000 endpoints share their update sets', () => {
    const plan = freeze(Array.from({ length: 100_000 }, (_, i) => entry(`e${i}`)));
    expect(plan.updateSets.size).toBe(1);
    expect(plan.digest).toMatch(/^[0-9a-f]{64}$/);
  });
});

describe('freezePlan refuses', () => {
  const input = (changes: Partial<PlanInput>): PlanInput => ({
    header: HEADER,
    entries: [entry('e1')],
    updateSets: SETS,
    ...changes,
  });
  test.each([
    [
      'an endpoint planned twice',
      input({ entries: [entry('e1'), entry('e1', { ring: 0 })] }),
      'endpoint e1 is planned twice',
    ],
    ['a ring the header lacks', input({ entries: [entry('e1', { ring: 7 })] }), 'ring 7 is not in the plan'],
    ['an endpoint without policy', input({ entries: [entry('e1', { policyVersion: '' })] }), 'no policy version'],
    ['an endpoint without id', input({ entries: [entry('')] }), 'no id'],
    ['a missing update set', input({ updateSets: [] }), 'is missing'],
    [
      'a set that is not its digest',
      input({ updateSets: [{ ...FULL, updates: CURL.updates }] }),
      'not what its digest says',
    ],
    [
      'two rings of one ordinal',
      input({ header: { ...HEADER, rings: HEADER.rings.map((r) => ({ ...r, ordinal: 1 })) } }),
      'same ordinal',
    ],
    ['a fraction', input({ header: { ...HEADER, budgets: { share: 0.1 } } }), 'header: 0.1'],
    [
      'an unknown halt action',
      input({ header: { ...HEADER, rings: HEADER.rings.map((r) => ({ ...r, haltAction: 'shrug' as 'ask' })) } }),
      'haltAction shrug',
    ],
  ])('%s', (_, plan, reason) => {
    const result = freezePlan(plan);
    expect(!result.ok && result.reason).toContain(reason);
  });
});

describe('isNarrowing', () => {
  const before = freeze([entry('e1'), entry('e2'), entry('e3', { ring: 0 })]);

  test('the same plan, endpoints and updates fallen away keep approvals', () => {
    expect(isNarrowing(before, before)).toEqual({ narrowing: true, endpointsRemoved: 0, updatesRemoved: 0 });
    const after = freeze([
      entry('e1', { updateSetDigest: CURL.digest }),
      entry('e2', { updateSetDigest: EMPTY_UPDATE_SET.digest }),
    ]);
    expect(isNarrowing(before, after)).toEqual({ narrowing: true, endpointsRemoved: 1, updatesRemoved: 3 });
    expect(isNarrowing(before, freeze([]))).toMatchObject({ narrowing: true, endpointsRemoved: 3 });
  });

  test.each([
    ['an endpoint added', [entry('e1'), entry('e9')], HEADER, 'e9 is added'],
    ['a ring changed', [entry('e1', { ring: 0 })], HEADER, 'moves from ring 1 to 0'],
    ['a policy changed', [entry('e1', { policyVersion: 'p@2' })], HEADER, 'another policy version'],
    ['a version changed', [entry('e1', { updateSetDigest: NEWER.digest })], HEADER, 'curl:amd64 is changed'],
    ['a budget changed, even to less', [entry('e1')], { ...HEADER, budgets: { failures: 0 } }, 'terms'],
  ])('%s voids them', (_, list, header, reason) => {
    expect(reasons(before, freeze(list, header)).join()).toContain(reason);
  });

  test('an update added voids them', () => {
    const small = freeze([entry('e1', { updateSetDigest: CURL.digest })]);
    expect(reasons(small, before).join()).toContain('openssl:amd64 is added');
  });

  test('lists no more reasons than people read', () => {
    const many = Array.from({ length: 500 }, (_, i) => entry(`n${i}`));
    expect(reasons(before, freeze(many)).length).toBeLessThanOrEqual(20);
  });

  test('property: any subset narrows; the way back does not, unless it is the same; and it is transitive', () => {
    const pair = entries.chain((e) => fc.tuple(fc.constant(e), fc.subarray(e)));
    fc.assert(
      fc.property(pair, ([all, some]) => {
        const [big, small] = [freeze(all), freeze(some)];
        expect(isNarrowing(big, small).narrowing).toBe(true);
        expect(isNarrowing(small, big).narrowing).toBe(big.digest === small.digest);
        const least = freeze(some.map((e) => ({ ...e, updateSetDigest: EMPTY_UPDATE_SET.digest })));
        expect(isNarrowing(small, least).narrowing).toBe(true);
        expect(isNarrowing(big, least).narrowing).toBe(true);
      }),
    );
  });
});
