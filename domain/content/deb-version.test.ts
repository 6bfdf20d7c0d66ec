import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { compareDebVersions, compareDebVersionTexts, type DebVersion, parseDebVersion } from './deb-version.js';

const parsed = (text: string): DebVersion => {
  const result = parseDebVersion(text);
  if (!result.ok) throw new Error(result.reason);
  return result.version;
};
const order = (a: string, b: string): number => compareDebVersions(parsed(a), parsed(b));

const character = (alphabet: string) => fc.constantFrom(...alphabet);
const run = (alphabet: string, max: number) => fc.string({ unit: character(alphabet), maxLength: max });
/** Small alphabet on purpose: equal prefixes, `~`, leading zeros and letters meet often. */
const version = fc
  .record({
    epoch: fc.option(fc.constantFrom('0', '00', '1', '2', '10'), { nil: null }),
    digit: character('0129'),
    upstream: run('00129ab.+-~Zz', 7),
    revision: fc.option(
      fc.tuple(character('01aZ~+.'), run('019ab.+~', 4)).map(([a, b]) => a + b),
      { nil: null },
    ),
  })
  .map(
    (v) =>
      (v.epoch === null ? '' : `${v.epoch}:`) +
      v.digit +
      // A trailing dash would announce an empty revision.
      (v.revision === null ? v.upstream.replace(/-+$/, '') : v.upstream) +
      (v.revision === null ? '' : `-${v.revision}`),
  );

describe('parseDebVersion', () => {
  test.each([
    ['1.2-3', 0, '1.2', '3'],
    ['1:1.2', 1, '1.2', null],
    ['0:1-2-3', 0, '1-2', '3'],
    ['2.36-9+deb12u14', 0, '2.36', '9+deb12u14'],
    ['1:2:3', 1, '2:3', null],
    ['1~rc1-1~bpo12+1', 0, '1~rc1', '1~bpo12+1'],
  ])('%s', (text, epoch, upstream, revision) => {
    expect(parsed(text)).toEqual({ text, epoch, upstream, revision });
  });

  test.each([
    ['', 'is empty'],
    ['1:', 'has no upstream part'],
    ['-1', 'has no upstream part'],
    ['1.2-', 'has an empty revision'],
    ['a:1', 'has an epoch that is not a number'],
    [':1', 'has an epoch that is not a number'],
    ['-1:1', 'has an epoch that is not a number'],
    ['2147483648:1', 'has an epoch that is too big'],
    ['v1.0', 'does not start with a digit'],
    ['1.0 ', 'has an invalid character in its upstream part'],
    [' 1.0', 'does not start with a digit'],
    ['1_0', 'has an invalid character in its upstream part'],
    ['1.0-1:2', 'has an epoch that is not a number'],
    ['1.0-a/b', 'has an invalid character in its revision'],
    ['1.0\n', 'has an invalid character in its upstream part'],
    [`1${'0'.repeat(600)}`, 'is longer than'],
  ])('refuses %j: %s', (text, reason) => {
    const result = parseDebVersion(text);
    expect(result.ok).toBe(false);
    expect(!result.ok && result.reason).toContain(reason);
  });

  test('what does not parse is never newer, on either side', () => {
    expect(compareDebVersionTexts('unknown', '1').ok).toBe(false);
    expect(compareDebVersionTexts('1', 'unknown').ok).toBe(false);
  });
});

describe('compareDebVersions', () => {
  test.each([
    ['1.0~rc1', '1.0', -1],
    ['1.0~~', '1.0~', -1],
    ['1.0~~', '1.0~~a', -1],
    ['1.0', '1.0+b1', -1],
    ['1.0a', '1.0+', -1],
    ['1.9', '1.10', -1],
    ['1:0.1', '9.9', 1],
    ['1.0', '1.0-0', 0],
    ['1.0-0', '1.0-00', 0],
    ['0:1.0', '1.0', 0],
    ['1.01', '1.1', 0],
    ['1.0-1', '1.0-1~bpo12+1', 1],
    ['99999999999999999999', '100000000000000000000', -1],
    ['2.36-9+deb12u9', '2.36-9+deb12u10', -1],
    ['1.0-1', '1.0-1+b1', -1],
  ])('%s vs %s is %i', (a, b, expected) => {
    expect(order(a, b)).toBe(expected);
    expect(order(b, a)).toBe(0 - expected);
  });

  test('is a total order: reflexive, antisymmetric, transitive', () => {
    fc.assert(fc.property(version, (a) => order(a, a) === 0));
    fc.assert(fc.property(version, version, (a, b) => order(a, b) === 0 - order(b, a)));
    fc.assert(
      fc.property(version, version, version, (a, b, c) => {
        const [x, y, z] = [a, b, c].map(parsed).sort(compareDebVersions) as [DebVersion, DebVersion, DebVersion];
        return compareDebVersions(x, y) <= 0 && compareDebVersions(y, z) <= 0 && compareDebVersions(x, z) <= 0;
      }),
      { numRuns: 500 },
    );
  });
});

const hasDpkg = spawnSync('dpkg', ['--version']).status === 0;
const onDebian = hasDpkg ? describe : describe.skip;

onDebian('against this machine’s dpkg', () => {
  /** dpkg's own verdict on many pairs: one shell for all, dpkg's relations tried in turn. */
  const dpkgOrders = (pairs: readonly (readonly [string, string])[]): number[] => {
    const script =
      'while read -r a b; do if dpkg --compare-versions "$a" lt "$b"; then echo -1; elif dpkg --compare-versions "$a" eq "$b"; then echo 0; else echo 1; fi; done';
    const input = `${pairs.map(([a, b]) => `${a} ${b}`).join('\n')}\n`;
    const run = spawnSync('sh', ['-c', script], { input, encoding: 'utf8', maxBuffer: 1 << 24 });
    expect(run.stderr).toBe('');
    return run.stdout.trim().split('\n').map(Number);
  };
  const disagreements = (pairs: readonly (readonly [string, string])[]) => {
    const verdicts = dpkgOrders(pairs);
    expect(verdicts).toHaveLength(pairs.length);
    return pairs.flatMap(([a, b], i) => (order(a, b) === verdicts[i] ? [] : [{ a, b, dpkg: verdicts[i] }]));
  };

  test('agrees on 1,000 generated pairs', () => {
    const pairs = fc.sample(fc.tuple(version, version), { numRuns: 1_000, seed: 20_260_101 });
    expect(disagreements(pairs)).toEqual([]);
  }, 60_000);

  test('agrees on the versions installed and known on this machine', () => {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: dpkg-query's own format string.
    const installed = spawnSync('dpkg-query', ['-W', '-f', '${Version}\n'], { encoding: 'utf8' }).stdout.split('\n');
    const known = aptVersions();
    const all = [...new Set([...installed, ...known])].filter((v) => v !== '').sort();
    // Neighbours after a plain sort share long prefixes, where comparisons go wrong; strides mix unrelated ones.
    const near = all.slice(1).map((v, i) => [v, all[i] as string] as const);
    const far = all.map((v, i) => [v, all[(i * 7 + 13) % all.length] as string] as const);
    const pairs = [...thin(near, 500), ...thin(far, 250)];
    expect(pairs.length).toBeGreaterThan(100);
    expect(disagreements(pairs)).toEqual([]);
  }, 60_000);

  test('refuses what dpkg refuses', () => {
    const bad = ['1:', ':1', '1.2-', 'a:1', 'v1.0', '1_0', '1.0-a/b', '2147483648:1', '-1'];
    for (const text of bad) {
      expect(spawnSync('dpkg', ['--validate-version', text]).status).not.toBe(0);
      expect(parseDebVersion(text).ok).toBe(false);
    }
  });
});

const thin = <T>(list: readonly T[], max: number): T[] => {
  const step = Math.max(1, Math.floor(list.length / max));
  return list.filter((_, i) => i % step === 0);
};

/** Versions out of whatever uncompressed lists apt and dpkg keep here; may be few on a slim machine. */
function aptVersions(): string[] {
  const lists = ['/var/lib/dpkg/status', '/var/lib/dpkg/status-old', '/var/lib/dpkg/available'];
  try {
    lists.push(
      ...readdirSync('/var/lib/apt/lists')
        .filter((f) => f.endsWith('_Packages'))
        .map((f) => `/var/lib/apt/lists/${f}`),
    );
  } catch {
    // A machine without apt's lists still has its installed versions.
  }
  return lists.flatMap((path) => {
    try {
      return [...readFileSync(path, 'utf8').matchAll(/^Version: (.+)$/gm)].map((m) => m[1] as string);
    } catch {
      return [];
    }
  });
}
