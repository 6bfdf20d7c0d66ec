import { expect, test } from '@jest/globals';
import { type Assignment, resolveAssignments } from './assignment.js';
import { countResults, whyNoAnswer } from './results.js';
import { ruleNames } from './rule-name.js';

const assign = (name: string, over: Partial<Assignment> = {}): Assignment => ({
  id: name,
  name,
  baseline: 'debian12',
  checklistId: 1,
  appliesTo: { all: true },
  precedence: 0,
  mode: 'observe',
  trial: null,
  ...over,
});
const endpoint = { id: 'e', name: 'web-1', labels: { constituency: 'shop', device: 'server' } };
const held = (...assignments: Assignment[]) =>
  resolveAssignments({ assignments, endpoints: [endpoint], groups: new Map() }).map(
    ({ assignment, mode }) => `${assignment.name} ${mode}`,
  );

test('of one baseline the highest precedence counts, of several baselines each', () => {
  const shop = assign('shop', { precedence: 5, appliesTo: { labels: { constituency: 'shop' } } });
  const servers = assign('servers', { precedence: 9, appliesTo: { labels: { device: 'server' } } });
  const house = assign('house', { baseline: 'house', precedence: 7 });
  const clerks = assign('clerks', { precedence: 99, appliesTo: { labels: { constituency: 'clerks' } } });
  expect(held(assign('all'), shop, servers, house, clerks)).toEqual(['servers observe', 'house observe']);
  expect(held(assign('b'), assign('a'))).toEqual(['a observe']);
});

test('a subset may be a step ahead', () => {
  const trial = { mode: 'enforce', appliesTo: { names: ['web-1'] } } as const;
  expect(held(assign('all', { mode: 'propose', trial }))).toEqual(['all enforce']);
  expect(held(assign('all', { trial: { ...trial, appliesTo: { names: ['web-2'] } } }))).toEqual(['all observe']);
});

test('rules get names that packages could have, each its own', () => {
  expect(
    ruleNames([
      'xccdf_org.x_rule_sshd_a',
      'xccdf_org.y_rule_sshd_a',
      'xccdf_org.x_rule_SSHD_A',
      'xccdf_org.x_rule_-',
      'odd',
    ]),
  ).toEqual(['sshd-a', 'sshd-a-n1', 'sshd-a-n2', 'rule-n3', 'odd']);
});

test('nothing that applies is no answer, and neither is nothing that could be tested', () => {
  expect(whyNoAnswer(countResults('nnnn'))).toMatch(/^none of the 4 rules applies here/);
  expect(whyNoAnswer(countResults('neu'))).toMatch(/2 ended in an error/);
  expect(whyNoAnswer(countResults('nnf'))).toBeNull();
  expect(countResults('ppxfeunci')).toEqual({ pass: 3, fail: 1, error: 2, notApplicable: 1, notChecked: 2 });
});
