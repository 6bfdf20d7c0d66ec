import { describe, expect, it } from '@jest/globals';
import { searchRules, standingParts } from './compliance-view.js';

const standing = { endpoints: 8, passing: 4, failing: 2, erring: 0, unmeasured: 2, unanswered: 1 };

it('parts of a standing fill its bar, each beginning where the one before ends', () => {
  const parts = standingParts({ ...standing, findings: 9, falsePositives: 0, oldest: null });
  expect(parts.map(({ kind, count, x, width }) => [kind, count, x, width])).toEqual([
    ['ok', 4, 0, 50],
    ['bad', 2, 50, 25],
    ['work', 0, 75, 0],
    ['none', 2, 75, 25],
  ]);
  const nobody = { endpoints: 0, passing: 0, failing: 0, erring: 0, unmeasured: 0, unanswered: 0 };
  const none = standingParts({ ...nobody, findings: 0, falsePositives: 0, oldest: null });
  expect(none.every(({ width }) => width === 0)).toBe(true);
});

describe('rules', () => {
  const rule = (name: string, severity: string, fail: number, error = 0) => ({
    ...{ id: `xccdf_x_rule_${name}`, name, title: `Title of ${name}`, severity, pass: 1, fail, error },
    ...{ packageFix: null, noFixReason: null },
  });
  const rules = [
    rule('a', 'low', 3),
    rule('b', 'high', 3),
    rule('c', 'odd', 0),
    rule('d', 'high', 0, 2),
    rule('e', 'medium', 7),
  ];
  const names = (search: object) =>
    searchRules(rules, { text: '', severity: '', all: false, ...search }).map(
      ({ name, position }) => `${name}${position}`,
    );

  it.each([
    ['those that fail on most endpoints, then the more severe, come first', {}, ['e4', 'b1', 'a0', 'd3']],
    ['all', { all: true }, ['e4', 'b1', 'a0', 'd3', 'c2']],
    ['by severity', { severity: 'high' }, ['b1', 'd3']],
    ['by title, in any case', { text: 'TITLE OF B' }, ['b1']],
    ['by id', { text: 'rule_e' }, ['e4']],
  ])('%s', (_, search, expected) => {
    expect(names(search)).toEqual(expected);
  });
});
