import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { DAY } from '../time.js';
import { namesMatch, type ProposedUpdate, type TriageRules, triageUpdates, type VerifiedPackage } from './triage.js';
import { updateSet } from './update-set.js';

const NOW = Date.parse('2026-11-23T12:00:00Z');
const RULES: TriageRules = {
  include: 'all',
  allow: [],
  deny: [],
  minAgeDays: 0,
  minAgeDaysSecurity: 0,
  exceptions: [],
  localNeverTouch: [],
};
const proposed = (name: string, changes: Partial<ProposedUpdate> = {}): ProposedUpdate => ({
  name,
  arch: 'amd64',
  from: '1.0-1',
  to: '1.0-2',
  source: name,
  ...changes,
});
const found = (source: string, changes: Partial<VerifiedPackage> = {}): VerifiedPackage => ({
  source,
  sha256: 'a'.repeat(64),
  size: 10,
  pocket: 'release',
  publishedAt: NOW - 10 * DAY,
  ...changes,
});
const triage = (
  updates: ProposedUpdate[],
  rules: Partial<TriageRules> = {},
  index: Record<string, VerifiedPackage | null> = {},
) =>
  triageUpdates({
    proposed: updates,
    rules: { ...RULES, ...rules },
    now: NOW,
    verified: ({ name }) =>
      name in index ? (index[name] ?? null) : found(updates.find((u) => u.name === name)?.source ?? name),
  });
const first = (
  updates: ProposedUpdate[],
  rules: Partial<TriageRules> = {},
  index: Record<string, VerifiedPackage | null> = {},
) => triage(updates, rules, index).decisions[0];

describe('one update', () => {
  test.each([
    ['included', {}, {}, null, 'included', 'included'],
    ['declined when no verified index names it', {}, {}, null, 'declined', 'unverified', { curl: null }],
    ['declined when it is a removal', { to: null }, {}, null, 'declined', 'removal'],
    ['declined when it is a downgrade', { to: '0.9' }, {}, null, 'declined', 'version'],
    ['declined when its installed version does not parse', { from: 'odd' }, {}, null, 'declined', 'version'],
    ['declined by the owner', {}, { localNeverTouch: ['curl'] }, null, 'declined', 'localNeverTouch'],
    ['declined by a pattern', {}, { deny: ['cu*'] }, null, 'declined', 'deny'],
    ['declined when not on the list', {}, { allow: ['openssl'] }, null, 'declined', 'allow'],
    ['included when on the list', {}, { allow: ['c?rl', 'curl'] }, null, 'included', 'included'],
    ['deferred when not security', {}, { include: 'security' }, null, 'deferred', 'include'],
    [
      'included when security',
      {},
      { include: 'security' },
      null,
      'included',
      'included',
      { curl: found('curl', { pocket: 'security' }) },
    ],
    ['deferred while young', {}, { minAgeDays: 14 }, NOW + 4 * DAY, 'deferred', 'minAge'],
    ['included when just old enough', {}, { minAgeDays: 10 }, null, 'included', 'included'],
    [
      'deferred when its age is not known',
      {},
      { minAgeDays: 1 },
      null,
      'deferred',
      'minAge',
      { curl: found('curl', { publishedAt: null }) },
    ],
    [
      'soaked by its own rule for security',
      {},
      { minAgeDays: 14, minAgeDaysSecurity: 1 },
      null,
      'included',
      'included',
      { curl: found('curl', { pocket: 'security' }) },
    ],
    [
      'deferred by an exception',
      {},
      { exceptions: [{ pattern: 'curl', until: NOW + 1, reason: 'demo' }] },
      NOW + 1,
      'deferred',
      'exception',
    ],
    [
      'included once the exception ends',
      {},
      { exceptions: [{ pattern: 'curl', until: NOW, reason: 'demo' }] },
      null,
      'included',
      'included',
    ],
    [
      'deferred without end',
      {},
      { exceptions: [{ pattern: '*', until: null, reason: 'demo' }] },
      null,
      'deferred',
      'exception',
    ],
  ] as [
    string,
    Partial<ProposedUpdate>,
    Partial<TriageRules>,
    number | null,
    string,
    string,
    Record<string, VerifiedPackage | null>?,
  ][])('is %s', (_, update, rules, until, outcome, rule, index = {}) => {
    expect(first([proposed('curl', update)], rules, index)).toMatchObject({ outcome, rule, until });
  });

  test('reasons are sentences people can read', () => {
    expect(first([proposed('curl')], {}, { curl: null })?.reason).toBe('no verified index names this version');
    expect(first([proposed('curl')], { exceptions: [{ pattern: 'curl', until: NOW, reason: 'x' }] })?.reason).toContain(
      'verified',
    );
  });

  test.each([[-1], [0.5], [Number.NaN]])('a rule of %p days lets nothing through', (days) => {
    expect(() => triage([proposed('curl')], { minAgeDays: days })).toThrow(RangeError);
    expect(() => triage([proposed('curl')], { minAgeDaysSecurity: days })).toThrow(RangeError);
  });

  test('the index’s word on the source wins over the endpoint’s', () => {
    const result = triage([proposed('curl', { source: 'lie' })], { deny: ['curl-src'] }, { curl: found('curl-src') });
    expect(result.decisions[0]).toMatchObject({ source: 'curl-src', outcome: 'declined' });
  });
});

describe('what belongs together', () => {
  const ssl = [proposed('openssl'), proposed('libssl3', { source: 'openssl' }), proposed('curl')];

  test('the binaries of a source share the strictest outcome, with the cause named', () => {
    const { decisions, updates } = triage(ssl, { localNeverTouch: ['libssl3'] });
    expect(decisions.map((d) => d.outcome)).toEqual(['declined', 'declined', 'included']);
    expect(decisions[0]).toMatchObject({ rule: 'together' });
    expect(decisions[0]?.reason).toContain('libssl3:amd64');
    expect(updates.map((u) => u.name)).toEqual(['curl']);
  });

  test('a new package is listed with from null, and comes along although no rule names it', () => {
    const fresh = proposed('libnew', { from: null, neededBy: ['curl:amd64'] });
    const { updates } = triage(
      [proposed('curl'), fresh],
      { include: 'security', allow: ['curl'] },
      { curl: found('curl', { pocket: 'security' }) },
    );
    expect(updates).toEqual([
      { name: 'curl', arch: 'amd64', from: '1.0-1', to: '1.0-2', source: 'curl', sha256: 'a'.repeat(64), size: 10 },
      { name: 'libnew', arch: 'amd64', from: null, to: '1.0-2', source: 'libnew', sha256: 'a'.repeat(64), size: 10 },
    ]);
  });

  test('a new package that may not come keeps back what needs it, and the rest of that source', () => {
    const fresh = proposed('libnew', { from: null, neededBy: ['openssl:amd64'] });
    const { decisions } = triage([...ssl, fresh], {}, { libnew: null });
    expect(decisions.map((d) => d.outcome)).toEqual(['declined', 'declined', 'included', 'declined']);
  });

  test('a new package only goes where something that needs it goes', () => {
    const fresh = proposed('libnew', { from: null, neededBy: ['openssl:amd64', 'curl:amd64'] });
    const outcome = (deny: string[]) => triage([...ssl, fresh], { deny }).decisions[3]?.outcome;
    expect(outcome(['openssl', 'curl'])).toBe('declined');
    expect(outcome(['openssl'])).toBe('included');
    expect(outcome([])).toBe('included');
  });

  test('what needs a removal is declined', () => {
    const removal = proposed('oldlib', { to: null, neededBy: ['curl:amd64'] });
    expect(first([proposed('curl'), removal])).toMatchObject({ outcome: 'declined', rule: 'together' });
  });

  test('does not depend on the order, never splits a source, and gives a valid set', () => {
    const names = ['a1', 'b1', 'c1', 'd1', 'e1', 'f1'];
    const updates = fc.uniqueArray(
      fc.record({
        name: fc.constantFrom(...names),
        arch: fc.constant('amd64'),
        from: fc.constantFrom(null, '1.0-1'),
        to: fc.constantFrom(null, '1.0-2', '1.0-2', '1.0-2'),
        source: fc.constantFrom('s1', 's2', 's3'),
        neededBy: fc.subarray(names.map((n) => `${n}:amd64`)),
      }),
      { selector: (u) => u.name },
    );
    const twice = updates.chain((u) =>
      fc.tuple(fc.constant(u), fc.shuffledSubarray(u, { minLength: u.length }), fc.subarray(names)),
    );
    fc.assert(
      fc.property(twice, ([list, shuffled, deny]) => {
        const one = triage(list, { deny });
        const other = triage(shuffled, { deny });
        const byName = (d: readonly { name: string }[]) => [...d].sort((a, b) => (a.name < b.name ? -1 : 1));
        expect(byName(other.decisions)).toEqual(byName(one.decisions));
        for (const source of ['s1', 's2', 's3']) {
          const outcomes = one.decisions.filter((d) => d.source === source).map((d) => d.outcome);
          expect(new Set(outcomes).size).toBeLessThanOrEqual(1);
        }
        expect(updateSet(one.updates).ok).toBe(true);
      }),
    );
  });
});

test.each([
  ['curl', 'curl', true],
  ['cur', 'curl', false],
  ['lib*', 'libssl3', true],
  ['*', 'x', true],
  ['lib.sl3', 'libssl3', false],
  ['g++*', 'g++-12', true],
])('namesMatch %s on %s: %s', (pattern, name, matches) => {
  expect(namesMatch(pattern, [name])).toBe(matches);
});
