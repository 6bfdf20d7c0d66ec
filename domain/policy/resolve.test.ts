import { describe, expect, test } from '@jest/globals';
import type { Group, Selector } from '../fleet/selector.js';
import type { PolicySet } from './policy-set.js';
import { resolvePolicy } from './resolve.js';

const endpoint = { id: 'e-1', name: 'web-1', labels: { env: 'prod', region: 'eu' } };
const groups = new Map<string, Group>([
  ['ERP', { name: 'ERP', selector: { labels: { env: 'prod' } } }],
  ['Test', { name: 'Test', selector: { labels: { env: 'test' } } }],
]);
const policy = (name: string, precedence: number, appliesTo: Selector): PolicySet => ({
  id: name,
  version: 1,
  name,
  precedence,
  document: {
    appliesTo,
    hours: {},
    freezeCalendars: [],
    reboot: 'never',
    expectedMinutes: 10,
    healthChecks: [],
    hooks: [],
    stageRateLimit: null,
  },
});

describe('resolvePolicy', () => {
  test.each([
    ['no sets', [], 'no policy set applies'],
    ['a set for others', [policy('A', 1, { groups: ['Test'] })], 'no policy set applies'],
    ['an empty selector', [policy('A', 1, {})], 'no policy set applies'],
    ['an unknown group', [policy('A', 1, { groups: ['Gone'] })], 'no policy set applies'],
    [
      'a tie at the top',
      [policy('B', 5, { all: true }), policy('A', 5, { groups: ['ERP'] }), policy('C', 1, { all: true })],
      'policy sets A, B apply with the same precedence 5: give one of them more',
    ],
    [
      'a precedence that is not a number',
      [policy('A', Number.NaN, { all: true }), policy('B', 1, { all: true })],
      'a policy set that applies has no usable precedence: A, B',
    ],
  ])('%s: none, because %3$s', (_, policies, reason) => {
    expect(resolvePolicy({ endpoint, policies, groups })).toEqual({ kind: 'none', reason });
  });

  test.each([
    [{ groups: ['Test', 'ERP'] }, 'from policy set A on group ERP'],
    [{ labels: { region: 'eu' } }, 'from policy set A on label region=eu'],
    [{ names: ['web-1'] }, 'from policy set A on endpoint web-1'],
    [{ all: true }, 'from policy set A on every endpoint'],
    [{ groups: ['ERP'], labels: { region: 'eu' } }, 'from policy set A on group ERP and label region=eu'],
  ] as const)('%j applies: %s', (selector, reason) => {
    const a = policy('A', 2, selector);
    const result = resolvePolicy({ endpoint, policies: [policy('B', 1, { all: true }), a], groups });
    expect(result).toEqual({ kind: 'policy', policy: a, reason });
  });
});
