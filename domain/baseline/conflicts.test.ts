// Of one rule that two baselines want different things of, the one that comes first decides.
import { expect, test } from '@jest/globals';
import { valuesOfRule } from './checklist.js';
import { conflictInWords, type RuleWish, ruleConflicts } from './conflicts.js';
import type { BaselineRule } from './model.js';

const wish = (ruleId: string, over: Partial<RuleWish> = {}): RuleWish => ({
  ruleId,
  values: {},
  fixSha256: 'a',
  ...over,
});
const above = (...names: string[]) => names.map((name) => ({ assignment: name, checklist: `${name}.v1` }));
const conflicts = (ours: readonly RuleWish[], theirs: Readonly<Record<string, readonly RuleWish[]>>) =>
  ruleConflicts({
    rules: ours,
    above: above(...Object.keys(theirs)),
    rulesOf: (checklist) => theirs[checklist.replace('.v1', '')] ?? [],
  });

test.each<[string, Partial<RuleWish>, Partial<RuleWish>, boolean]>([
  ['the same', { values: { tmout: '300' } }, { values: { tmout: '300' } }, false],
  ['another value', { values: { tmout: '300' } }, { values: { tmout: '600' } }, true],
  ['a value the other does not use', { values: { tmout: '300' } }, {}, true],
  ['another fix', { fixSha256: 'b' }, {}, true],
  ['no fix there', { fixSha256: null }, {}, false],
  ['no fix there, and another value', { fixSha256: null, values: { tmout: '1' } }, { values: { tmout: '2' } }, true],
])('of a rule of which the higher one wants %s', (_, theirs, ours, differ) => {
  const found = conflicts([wish('r', ours), wish('only-ours')], { high: [wish('r', theirs), wish('only-theirs')] });
  expect(found.map((one) => `${one.ruleId} ${one.decidedBy}`)).toEqual(differ ? ['r high'] : []);
});

test('of several that come first, the first that has the rule decides; whether those below it agree is nothing to us', () => {
  const three = wish('r', { values: { v: '3' } });
  expect(
    conflicts([three], { first: [wish('other')], second: [three], third: [wish('r', { values: { v: '9' } })] }),
  ).toEqual([]);
  expect(conflicts([three], { first: [wish('r', { values: { v: '9' } })], second: [three] })).toMatchObject([
    { decidedBy: 'first', values: [{ id: 'v', theirs: '9', ours: '3' }] },
  ]);
});

test('in words: who decides, and what differs', () => {
  const id = 'xccdf_org.x_value_var_tmout';
  expect(conflictInWords({ decidedBy: 'servers', values: [{ id, theirs: '300', ours: '600' }] })).toBe(
    'decided by assignment servers, which comes first here and wants var_tmout 300 where this one wants 600',
  );
  expect(conflictInWords({ decidedBy: 'servers', values: [] })).toMatch(/and has another fix for it$/);
});

test('a rule uses the values that its fix and its check name, and no others', () => {
  const rule = {
    fix: { parts: ['a', { value: 'in-fix' }], reboot: false },
    checkValues: ['in-check', 'unknown'],
  } satisfies Pick<BaselineRule, 'fix' | 'checkValues'>;
  expect(valuesOfRule(rule, { 'in-fix': '1', 'in-check': '2', other: '3' })).toEqual({
    'in-check': '2',
    'in-fix': '1',
  });
  expect(valuesOfRule({ fix: null }, { other: '3' })).toEqual({});
});
