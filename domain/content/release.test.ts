import { describe, expect, test } from '@jest/globals';
import { isSafeRelativePath, judgeRelease, parseRelease, parseReleaseDate, type Release } from './release.js';

const DIGEST = 'a'.repeat(64);
const TEXT = `Origin: Example
Suite: stable-security
Codename: river-security
Date: Sat, 21 Nov 2026 00:53:02 UTC
Valid-Until: Sat, 28 Nov 2026 00:53:02 UTC
Acquire-By-Hash: yes
Architectures: amd64 all
SHA256:
 ${DIGEST}        0 main/binary-amd64/Packages
 ${DIGEST}  1234567 main/binary-amd64/Packages.gz
`;
const at = (text: string): number => Date.parse(text);
const NOW = at('2026-11-23T12:00:00Z');
const release = (text = TEXT): Release => {
  const result = parseRelease(text);
  if (!result.ok) throw new Error(result.reason);
  return result.release;
};
const expected = { suite: 'river-security', now: NOW, tolerateExpired: false, notBefore: null };

describe('parseRelease', () => {
  test('reads names, dates and digests', () => {
    expect(release()).toMatchObject({
      suite: 'stable-security',
      codename: 'river-security',
      date: at('2026-11-21T00:53:02Z'),
      validUntil: at('2026-11-28T00:53:02Z'),
      acquireByHash: true,
      allInArchIndexes: false,
    });
    expect(release().files.get('main/binary-amd64/Packages.gz')).toEqual({ sha256: DIGEST, size: 1_234_567 });
  });

  test.each([
    ['noDate', TEXT.replace(/^Date:.*$/m, 'X-Date: 1')],
    ['noDate', TEXT.replace(/^Date:.*$/m, 'Date: yesterday')],
    ['malformed', TEXT.replace(/^Valid-Until:.*$/m, 'Valid-Until: soon')],
    ['noSha256', TEXT.replace('SHA256:', 'MD5Sum:')],
    ['malformed', TEXT.replace(`${DIGEST}        0`, 'abc        0')],
    ['malformed', TEXT.replace('main/binary-amd64/Packages\n', '../../etc/passwd\n')],
    ['malformed', TEXT.replace('Packages.gz', 'Packages')],
    ['malformed', `${TEXT}\nSuite: other\n`],
    ['malformed', TEXT.replace('Origin', 'Suite')],
  ])('refuses as %s', (code, text) => {
    expect(parseRelease(text)).toMatchObject({ ok: false, code });
  });
});

describe('judgeRelease', () => {
  test.each([
    ['by codename', expected, true],
    ['by suite', { ...expected, suite: 'stable-security' }, true],
    ['by alias', { ...expected, suite: 'x', suiteAliases: ['river-security'] }, true],
    ['another suite', { ...expected, suite: 'river' }, 'suiteMismatch'],
    ['a moment before it expires', { ...expected, now: at('2026-11-28T00:53:01Z') }, true],
    ['the moment it expires', { ...expected, now: at('2026-11-28T00:53:02Z') }, 'expired'],
    ['expired, tolerated', { ...expected, now: at('2027-01-01T00:00:00Z'), tolerateExpired: true }, true],
    ['from the future', { ...expected, now: at('2026-11-20T00:00:00Z') }, 'fromTheFuture'],
    ['a replay', { ...expected, notBefore: at('2026-11-21T00:53:03Z') }, 'olderThanKnown'],
    ['the one known', { ...expected, notBefore: at('2026-11-21T00:53:02Z') }, true],
  ])('%s', (_, expectation, verdict) => {
    const result = judgeRelease(release(), expectation);
    expect(result.ok || result.code).toBe(verdict);
  });
});

test.each([
  ['Sat, 28 Nov 2026 00:53:02 UTC', '2026-11-28T00:53:02Z'],
  ['Sun, 01 Mar 2026  9:03:00 +0200', '2026-03-01T07:03:00Z'],
  ['1 Mar 2026 00:00:00 -0330', '2026-03-01T03:30:00Z'],
  ['Sat, 28 Foo 2026 00:53:02 UTC', null],
  ['2026-11-28', null],
])('parseReleaseDate %s', (text, expected) => {
  expect(parseReleaseDate(text)).toBe(expected === null ? null : at(expected));
});

test.each([
  ['pool/main/a/a_1%3a2~rc1+b_amd64.deb', true],
  ['', false],
  ['/etc/passwd', false],
  ['../x', false],
  ['a/../b', false],
  ['a//b', false],
  ['http://example.org/x', false],
  ['a\\b', false],
  ['a b', false],
  ['a?b', false],
  ['a#b', false],
])('isSafeRelativePath %j is %s', (path, safe) => {
  expect(isSafeRelativePath(path)).toBe(safe);
});
