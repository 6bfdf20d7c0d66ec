import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { EMPTY_UPDATE_SET, groupBySource, isGenuine, type PackageUpdate, updateSet } from './update-set.js';

const update = (changes: Partial<PackageUpdate> = {}): PackageUpdate => ({
  name: 'openssl',
  arch: 'amd64',
  from: '3.0.14-1',
  to: '3.0.15-1',
  source: 'openssl',
  sha256: 'a'.repeat(64),
  size: 1_000,
  ...changes,
});
const digest = (updates: readonly PackageUpdate[]): string => {
  const result = updateSet(updates);
  if (!result.ok) throw new Error(result.reason);
  return result.set.digest;
};
const anyUpdates = fc.uniqueArray(
  fc.record({
    name: fc.constantFrom('a1', 'b1', 'c1', 'd1', 'libx'),
    arch: fc.constantFrom('amd64', 'i386', 'all'),
    from: fc.constantFrom(null, '1.0', '1:0~rc1'),
    to: fc.constantFrom('1:1.0', '1:2.0-1'),
    source: fc.constantFrom('s1', 's2'),
    sha256: fc.string({ unit: fc.constantFrom(...'0123456789abcdef'), minLength: 64, maxLength: 64 }),
    size: fc.integer({ min: 1, max: 1e9 }),
  }),
  { selector: (u) => `${u.name}:${u.arch}`, minLength: 1 },
);

describe('updateSet', () => {
  test('is the same set in any order, and with anything else carried along', () => {
    fc.assert(
      fc.property(
        anyUpdates.chain((u) => fc.tuple(fc.constant(u), fc.shuffledSubarray(u, { minLength: u.length }))),
        ([updates, shuffled]) => digest(updates) === digest(shuffled.map((u) => ({ ...u, note: 'carried along' }))),
      ),
    );
  });

  test('any change to any field is another digest', () => {
    const base = [update(), update({ name: 'libssl3' })];
    const changed: Partial<PackageUpdate>[] = [
      { name: 'openssl2' },
      { arch: 'arm64' },
      { from: '3.0.13-1' },
      { from: null },
      { to: '3.0.15-2' },
      { source: 'openssl3' },
      { sha256: 'b'.repeat(64) },
      { size: 1_001 },
    ];
    const digests = changed.map((change) => digest([update(change), update({ name: 'libssl3' })]));
    expect(new Set([digest(base), digest([update()]), EMPTY_UPDATE_SET.digest, ...digests]).size).toBe(
      changed.length + 3,
    );
  });

  test.each([
    [{ name: 'Open SSL' }, 'not a package name'],
    [{ arch: '' }, 'architecture'],
    [{ source: '../x' }, 'source'],
    [{ sha256: 'A'.repeat(64) }, 'sha256'],
    [{ size: 0 }, 'size'],
    [{ size: 1.5 }, 'size'],
    [{ to: 'latest' }, 'to: version'],
    [{ from: 'old' }, 'from: version'],
    [{ to: '3.0.14-1' }, 'not newer'],
    [{ to: '3.0.14-1~bpo1' }, 'not newer'],
  ] as [Partial<PackageUpdate>, string][])('refuses %p: %s', (change, reason) => {
    const result = updateSet([update(change)]);
    expect(!result.ok && result.reason).toContain(reason);
  });

  test('refuses two updates of one package; other architectures are other packages', () => {
    expect(updateSet([update(), update({ to: '3.0.16-1' })])).toEqual({
      ok: false,
      reason: 'openssl:amd64: is updated twice',
    });
    expect(updateSet([update(), update({ arch: 'i386' })]).ok).toBe(true);
  });

  test('isGenuine tells a set whose content was changed', () => {
    const result = updateSet([update()]);
    if (!result.ok) throw new Error(result.reason);
    expect(isGenuine(result.set)).toBe(true);
    expect(isGenuine({ ...result.set, updates: [update({ size: 2 })] })).toBe(false);
    expect(isGenuine({ ...result.set, updates: [] })).toBe(false);
    expect(isGenuine(EMPTY_UPDATE_SET)).toBe(true);
  });
});

test('groupBySource keeps all binaries of a source together', () => {
  const groups = groupBySource([update(), update({ name: 'curl', source: 'curl' }), update({ name: 'libssl3' })]);
  expect([...groups].map(([source, members]) => [source, members.map((m) => m.name)])).toEqual([
    ['curl', ['curl']],
    ['openssl', ['openssl', 'libssl3']],
  ]);
});
