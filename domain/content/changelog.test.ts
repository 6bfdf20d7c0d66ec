import { describe, expect, test } from '@jest/globals';
import { changesBetween, cveIds, parseChangelog } from './changelog.js';

const TEXT = `openssl (3.0.15-1~deb12u1) river-security; urgency=high

  * Fix CVE-2026-0002 and cve-2026-0003 (timing).
  * Fix CVE-2026-0002 again

 -- A Maintainer <a@example.org>  Sat, 28 Nov 2026 00:53:02 +0100

openssl (3.0.14-1) river; urgency=medium

  * Fix CVE-2025-12345

 -- B Maintainer <b@example.org>  Sun, 01 Mar 2026 09:03:00 +0000

openssl (3.0.13-1) unstable experimental; urgency=low, binary-only=yes

  * Fix CVE-2024-1111

 -- B Maintainer <b@example.org>  Thu, 01 Jan 2026 09:03:00 +0000
`;
const changes = (from: string | null, to: string, text = TEXT) => {
  const result = changesBetween({ text, from, to });
  if (!result.ok) throw new Error(result.reason);
  return { ...result.changes, entries: result.changes.entries.map((e) => e.version) };
};

test('parseChangelog reads headers, trailers and CVE ids', () => {
  const [first, , last] = parseChangelog(TEXT);
  expect(first).toEqual({
    source: 'openssl',
    version: '3.0.15-1~deb12u1',
    distributions: ['river-security'],
    urgency: 'high',
    date: Date.parse('2026-11-27T23:53:02Z'),
    text: '  * Fix CVE-2026-0002 and cve-2026-0003 (timing).\n  * Fix CVE-2026-0002 again',
    cves: ['CVE-2026-0002', 'CVE-2026-0003'],
  });
  expect(last).toMatchObject({ distributions: ['unstable', 'experimental'], urgency: 'low' });
});

describe('changesBetween', () => {
  test('takes what is after the one and up to the other', () => {
    expect(changes('3.0.13-1', '3.0.15-1~deb12u1')).toEqual({
      entries: ['3.0.15-1~deb12u1', '3.0.14-1'],
      cves: ['CVE-2025-12345', 'CVE-2026-0002', 'CVE-2026-0003'],
      urgency: 'high',
      releasedAt: Date.parse('2026-11-27T23:53:02Z'),
      complete: true,
    });
    expect(changes('3.0.13-1', '3.0.14-1')).toMatchObject({ entries: ['3.0.14-1'], urgency: 'medium', complete: true });
  });

  test('says so when the changelog does not reach back', () => {
    expect(changes('3.0.1-1', '3.0.14-1')).toMatchObject({ entries: ['3.0.14-1', '3.0.13-1'], complete: false });
    expect(changes('3.0.13-1', '3.0.14-1', TEXT.slice(0, TEXT.indexOf('openssl (3.0.13-1)')))).toMatchObject({
      entries: ['3.0.14-1'],
      complete: false,
    });
    expect(changes('1', '2', '')).toEqual({ entries: [], cves: [], urgency: null, releasedAt: null, complete: false });
  });

  test('of a new package, its own entry', () => {
    expect(changes(null, '3.0.14-1')).toMatchObject({
      entries: ['3.0.14-1'],
      cves: ['CVE-2025-12345'],
      complete: true,
    });
  });

  test('an entry cut short still gives its CVEs, without a date', () => {
    expect(changes('3.0.14-1', '3.0.15-1~deb12u1', TEXT.slice(0, TEXT.indexOf(' and cve-')))).toMatchObject({
      cves: ['CVE-2026-0002'],
      releasedAt: null,
      complete: false,
    });
  });

  test('refuses versions that do not parse', () => {
    expect(changesBetween({ text: TEXT, from: 'old', to: '1' }).ok).toBe(false);
    expect(changesBetween({ text: TEXT, from: '1', to: 'new' }).ok).toBe(false);
  });
});

test('cveIds takes whole ids only', () => {
  expect(cveIds('CVE-2026-123 XCVE-2026-1234 CVE-2026-1234, (CVE-2026-99999)')).toEqual([
    'CVE-2026-1234',
    'CVE-2026-99999',
  ]);
});
