import { describe, expect, test } from '@jest/globals';
import type { PolicySet } from '../policy/policy-set.js';
import { DAY } from '../time.js';
import type { ScopeEndpoint } from './scope.js';
import { decideScope, isFresh } from './scope.js';

const NOW = Date.parse('2026-11-23T12:00:00Z');
const host = (id: string, changes: Partial<ScopeEndpoint> = {}): ScopeEndpoint => ({
  id,
  name: id,
  labels: {},
  state: 'active',
  stateReason: null,
  scanOnly: false,
  simulated: false,
  holdUntil: null,
  holdReason: null,
  scannedAt: NOW,
  incompleteReason: null,
  provider: 'apt',
  ...changes,
});
const policy = { id: 'p', version: 1, name: 'All', precedence: 0, document: { appliesTo: { all: true } } } as PolicySet;
const decide = (endpoints: readonly ScopeEndpoint[], policies: readonly PolicySet[] = [policy]) =>
  decideScope({ endpoints, scope: { all: true }, groups: new Map(), policies, deadline: NOW + 7 * DAY });

describe('decideScope', () => {
  test.each<[string, Partial<ScopeEndpoint>, string]>([
    ['quarantined', { state: 'quarantined', stateReason: 'journal went back' }, 'quarantined: journal went back'],
    ['retired', { state: 'retired' }, 'retired'],
    ['scan-only', { scanOnly: true }, 'enrolled for scans only'],
    [
      'on hold to the end',
      { holdUntil: NOW + 8 * DAY, holdReason: 'year end' },
      "on hold beyond the change's deadline: year end",
    ],
    ['simulated beside a real one', { simulated: true }, 'simulated, and the change has real endpoints in scope'],
  ])('%s is left out', (_, changes, reason) => {
    const { included, excluded } = decide([host('real'), host('odd', changes)]);
    expect(included.map((one) => one.endpoint.id)).toEqual(['real']);
    expect(excluded).toEqual([{ endpointId: 'odd', reason }]);
  });

  test('a hold that ends in time, and a fleet of only simulated endpoints, take part', () => {
    expect(decide([host('a', { holdUntil: NOW + DAY })]).included).toHaveLength(1);
    expect(decide([host('a', { simulated: true }), host('b', { simulated: true })]).included).toHaveLength(2);
    // A real endpoint that can't take part anyway changes nothing for simulated ones.
    expect(decide([host('a', { simulated: true }), host('b', { state: 'retired' })]).included).toHaveLength(1);
  });

  test('no policy, no change', () => {
    expect(decide([host('a')], [])).toEqual({
      included: [],
      excluded: [{ endpointId: 'a', reason: 'no policy set applies' }],
    });
  });

  test('what the scope does not select is not even mentioned', () => {
    const result = decideScope({
      endpoints: [host('a'), host('b')],
      scope: { names: ['a'] },
      groups: new Map(),
      policies: [policy],
      deadline: NOW,
    });
    expect(result.included.map((one) => one.endpoint.id)).toEqual(['a']);
    expect(result.excluded).toEqual([]);
  });
});

test.each<[Partial<ScopeEndpoint>, boolean]>([
  [{}, true],
  [{ scannedAt: NOW - DAY }, true],
  [{ scannedAt: NOW - DAY - 1 }, false],
  [{ scannedAt: null }, false],
  [{ incompleteReason: 'dpkg is locked' }, false],
])('a scan %j is fresh: %s', (changes, fresh) => {
  expect(isFresh(host('a', changes), NOW, DAY)).toBe(fresh);
});
