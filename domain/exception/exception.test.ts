import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { Selectable } from '../fleet/selector.js';
import {
  type Exception,
  exceptionFor,
  exceptionInWords,
  exceptionState,
  exceptionsByEndpoint,
  splitByExceptions,
} from './exception.js';

const NOW = Date.parse('2026-11-23T12:00:00Z');
const HOUR = 3_600_000;
const exception = (id: string, changes: Partial<Exception> = {}): Exception => ({
  id,
  selector: { all: true },
  target: { package: 'curl' },
  reason: 'breaks the shop',
  ownerName: 'Ada',
  createdAt: NOW - HOUR,
  expiresAt: NOW + HOUR,
  revokedAt: null,
  ...changes,
});
const cve = (id: string, name: string, expiresAt = NOW + HOUR) => exception(id, { target: { cve: name }, expiresAt });
const curl = { name: 'libcurl4', source: 'curl', cves: ['CVE-2026-0001', 'CVE-2026-0002'] };

test.each<[string, Partial<Exception>, string]>([
  ['until it expires', {}, 'inForce'],
  ['not at its expiry', { expiresAt: NOW }, 'expired'],
  ['not when revoked', { revokedAt: NOW - 1 }, 'revoked'],
  ['not with an expiry nobody can read', { expiresAt: Number.NaN }, 'expired'],
])('in force %s', (_, changes, state) => {
  expect(exceptionState(exception('x', changes), NOW)).toBe(state);
});

describe('which exception takes an update out', () => {
  const hit = (exceptions: Exception[]) => exceptionFor({ update: curl, exceptions })?.id ?? null;
  test.each<[string, Exception[], string | null]>([
    ['none', [], null],
    ['the source’s name', [exception('a')], 'a'],
    ['the package’s name', [exception('a', { target: { package: 'libcurl*' } })], 'a'],
    ['another name', [exception('a', { target: { package: 'curl-dbg' } })], null],
    ['one of two CVEs', [cve('a', 'CVE-2026-0001')], null],
    ['both CVEs, until the first ends', [cve('a', 'CVE-2026-0001'), cve('b', 'CVE-2026-0002', NOW + 1)], 'b'],
    ['a name before CVEs', [cve('a', 'CVE-2026-0001'), exception('b')], 'b'],
    ['the longest of several', [exception('a'), exception('b', { expiresAt: NOW + 2 * HOUR })], 'b'],
  ])('%s', (_, exceptions, id) => expect(hit(exceptions)).toBe(id));

  test('an update that fixes no CVE is under no exception for one', () => {
    expect(exceptionFor({ update: { ...curl, cves: [] }, exceptions: [cve('a', 'CVE-2026-0001')] })).toBeNull();
  });

  test('in words', () => {
    expect(exceptionInWords(cve('a', 'CVE-2026-0001'))).toBe(
      'until 2026-11-23T13:00:00.000Z by Ada: breaks the shop (CVE-2026-0001)',
    );
  });
});

describe('who is excepted', () => {
  const endpoint = fc.record({ id: fc.uuid(), name: fc.constantFrom('web', 'db'), labels: fc.constant({}) });
  const some = fc.array(
    fc
      .tuple(fc.uuid(), fc.constantFrom('web', 'db', 'none'), fc.integer({ min: -2, max: 2 }), fc.boolean())
      .map(([id, name, hours, revoked]) =>
        exception(id, { selector: { names: [name] }, expiresAt: NOW + hours * HOUR, revokedAt: revoked ? NOW : null }),
      ),
    { maxLength: 6 },
  );
  test('exactly those selected by one in force; divided, everyone is in one part, with exactly their own', () => {
    fc.assert(
      fc.property(fc.uniqueArray(endpoint, { maxLength: 8, selector: (e) => e.id }), some, (endpoints, exceptions) => {
        const found = exceptionsByEndpoint({
          exceptions,
          endpoints: endpoints as Selectable[],
          groups: new Map(),
          now: NOW,
        });
        for (const one of endpoints) {
          const own = exceptions.filter(
            (x) => x.selector.names?.includes(one.name) && x.expiresAt > NOW && x.revokedAt === null,
          );
          expect(found.get(one.id) ?? []).toEqual(own);
        }
        const ids = endpoints.map((one) => one.id);
        const parts = splitByExceptions(ids, found);
        expect(parts.flatMap((part) => part.endpointIds).sort()).toEqual([...ids].sort());
        for (const part of parts) {
          for (const id of part.endpointIds) expect(part.exceptions).toEqual(found.get(id) ?? []);
        }
      }),
    );
  });
});
