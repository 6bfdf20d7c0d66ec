import { describe, expect, test } from '@jest/globals';
import { HOUR } from '../time.js';
import { parsePatchParameters } from './patch-parameters.js';

describe('parsePatchParameters', () => {
  test('nothing said means all updates, at any age, with a day-old inventory', () => {
    expect(parsePatchParameters({})).toEqual({
      ok: true,
      value: {
        include: 'all',
        exclude: [],
        minAgeDays: 0,
        minAgeDaysSecurity: 0,
        defer: [],
        scanMaxAgeMs: 24 * HOUR,
        discoverMinutes: 10,
        confirmMinutes: 10,
      },
    });
  });

  test('reads lists and deferrals', () => {
    const parsed = parsePatchParameters({
      include: { cves: ['CVE-2026-12345'] },
      defer: [{ package: 'linux-*', reason: 'fair', until: '2026-12-01T00:00:00+01:00' }],
    });
    expect(parsed).toMatchObject({
      ok: true,
      value: {
        include: { packages: [], sources: [], cves: ['CVE-2026-12345'] },
        defer: [{ pattern: 'linux-*', reason: 'fair', until: Date.parse('2026-11-30T23:00:00Z') }],
      },
    });
  });

  test.each<[unknown, string]>([
    [null, 'parameters'],
    ['all', 'parameters'],
    [{ includes: 'all' }, 'parameters'],
    [{ include: 'security ' }, 'parameters.include'],
    [{ include: { packages: [] } }, 'parameters.include'],
    [{ include: { cves: ['2026-1'] } }, 'parameters.include.cves.0'],
    [{ minAgeDays: 1.5 }, 'parameters.minAgeDays'],
    [{ minAgeDays: '7' }, 'parameters.minAgeDays'],
    [{ defer: [{ package: 'a' }] }, 'parameters.defer.0.reason'],
    [{ defer: [{ package: 'a', reason: 'x', until: 'soon' }] }, 'parameters.defer.0.until'],
    [{ discoverMinutes: Number.NaN }, 'parameters.discoverMinutes'],
    [{ scanMaxAgeHours: 0 }, 'parameters.scanMaxAgeHours'],
  ])('%j is refused at %s', (input, path) => {
    const parsed = parsePatchParameters(input);
    expect(parsed.ok ? [] : parsed.problems.map((problem) => problem.path)).toContain(path);
  });
});
