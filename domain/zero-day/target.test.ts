import { describe, expect, test } from '@jest/globals';
import { judgeStanding, type Target } from './target.js';
import { targetsOf } from './targets.js';

const target = (over: Partial<Target> = {}): Target => ({
  asked: 'CVE-2026-1000',
  kind: 'source',
  name: 'openssl',
  source: 'openssl',
  fixedIn: ['3.0.11-1', '3.2.1-1'],
  below: '3.0.11-1',
  ...over,
});

describe('judgeStanding', () => {
  test.each([
    ['older, fix on offer', '3.0.9-1', '3.0.11-1', 'offered'],
    ['older, something newer than the fix on offer', '3.0.9-1', '3.0.12-1', 'offered'],
    ['older, what is on offer does not fix it', '3.0.9-1', '3.0.10-1', 'notOffered'],
    ['older, nothing on offer', '3.0.9-1', null, 'notOffered'],
    ['fixed', '3.0.11-1', null, 'fixed'],
    ['fixed, a later routine update on offer', '3.0.11-1', '3.0.12-1', 'fixed'],
    ['of a newer branch, its own fix on offer', '3.1.4-1', '3.2.1-1', 'offered'],
    ['of a newer branch and fixed there', '3.2.1-1', '3.3.0-1', 'fixed'],
    ['no version at all', '!', null, 'notOffered'],
  ])('%s', (_, installed, candidate, expected) => {
    expect(judgeStanding(target(), { installed, candidate })).toBe(expected);
  });

  test('without a lowest version, what has something newer to go to is exposed', () => {
    const open = target({ fixedIn: ['1.1', '1.3'], below: null });
    expect(judgeStanding(open, { installed: '1.0', candidate: '1.1' })).toBe('offered');
    expect(judgeStanding(open, { installed: '1.1', candidate: '1.2' })).toBe('fixed');
    expect(judgeStanding(open, { installed: '1.1', candidate: null })).toBe('fixed');
  });
});

describe('targetsOf', () => {
  const versions = [
    { name: 'libssl3', source: 'openssl', version: '3.0.11-1', sourceVersion: '3.0.11-1' },
    { name: 'openssl', source: 'openssl', version: '3.0.11-1', sourceVersion: '3.0.11-1' },
    { name: 'curl', source: 'curl', version: '8.1', sourceVersion: '8.1' },
    { name: 'curl', source: 'curl', version: '8.2', sourceVersion: '8.2' },
  ];
  const fixes = [
    { cve: 'CVE-2026-1000', source: 'openssl', version: '3.0.11-1' },
    { cve: 'CVE-2026-2000', source: 'gone', version: '1.0' },
    { cve: 'CVE-2026-3000', source: 'curl', version: '9.0' },
  ];
  const ask = (cves: string[], packages: { name: string; minVersion?: string }[] = []) =>
    targetsOf({ cves, packages, fixes, versions });

  test('a CVE leads to the sources whose changelog names it', () => {
    expect(ask(['CVE-2026-1000'])).toEqual({
      unknown: [],
      targets: [target({ fixedIn: ['3.0.11-1'] })],
    });
  });

  test('a name is a source before it is a package; a package counts alone', () => {
    expect(ask([], [{ name: 'openssl' }, { name: 'libssl3' }]).targets.map((t) => [t.kind, t.name, t.source])).toEqual([
      ['source', 'openssl', 'openssl'],
      ['package', 'libssl3', 'openssl'],
    ]);
    expect(ask([], [{ name: 'curl' }]).targets[0]).toMatchObject({ fixedIn: ['8.1', '8.2'], below: '8.1' });
    expect(ask([], [{ name: 'curl', minVersion: '8.2' }]).targets[0]).toMatchObject({ fixedIn: ['8.2'], below: '8.2' });
  });

  test.each([
    [
      'a CVE no changelog names',
      ['CVE-2026-9999'],
      [],
      'cves[0]',
      'no verified index names a version that fixes CVE-2026-9999',
    ],
    ['a CVE of a source no index names', ['CVE-2026-1000', 'CVE-2026-2000'], [], 'cves[1]', 'it is fixed in gone 1.0'],
    ['a CVE whose fix no index names yet', ['CVE-2026-3000'], [], 'cves[0]', 'it is fixed in curl 9.0'],
    [
      'a package nobody knows',
      [],
      [{ name: 'nope' }],
      'packages[0]',
      'no verified index names a package or source nope',
    ],
    ['a version nobody has', [], [{ name: 'curl', minVersion: '9' }], 'packages[0]', 'the newest is 8.2'],
  ])('%s is refused by name', (_, cves, packages, field, reason) => {
    const { unknown } = ask(cves, packages);
    expect(unknown).toEqual([{ field, reason: expect.stringContaining(reason) }]);
  });
});
