// A plan of what fixes move: looked at again before it is used, and made with a bounded number of simulations.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import type { PackageFix } from '../../../domain/baseline/package-fix.js';
import { type LocalLimits, NO_LIMITS } from '../../limits/limits.js';
import type { Run } from '../../system/run.js';
import { noProvider } from '../none.js';
import type { Provider } from '../provider.js';
import type { PackageDeps } from './package-files.js';
import { MOST_SIMULATIONS, planPackages } from './package-plan.js';
import { preparePackages, readPackagePlan } from './packages.js';

let home: string;
let limits: LocalLimits;
let simulations: number;
/** Whether apt would do more than it is asked for, where it is asked for these. */
let objects: (asked: readonly string[]) => boolean;

const folder = () => join(home, 'packages');
const INSTALLED: Readonly<Record<string, string>> = { telnet: '1' };
const apt: Provider = {
  ...noProvider,
  installed: async (packages) =>
    new Map(
      packages.flatMap(({ name, arch }) =>
        INSTALLED[name] === undefined
          ? []
          : [[`${name}:${arch}`, { version: INSTALLED[name], whole: true, held: false }] as const],
      ),
    ),
  audit: async () => '',
  findOldFile: async () => null,
  footprint: async () => [],
  simulate: async () => ({ ok: true }),
};
/** apt and dpkg as far as they are asked. What needs a library has it come along. */
const run: Run = async (argv, options) => {
  const answer = (stdout: string, code = 0) => ({ code, stdout, stderr: '', timedOut: false });
  const has = (word: string) => argv.includes(word);
  if (argv[0] === 'dpkg-query') {
    if (argv[3]?.includes('Essential')) return answer('telnet no no\n');
    return argv[3]?.includes('Status-Status') ? answer('', 1) : answer('1 amd64\n');
  }
  if (argv[0] === 'dpkg-deb') {
    const [name, version] = basename(argv[2] ?? '').split('_');
    return answer(`Package: ${name}\nVersion: ${version}\nArchitecture: amd64\n`);
  }
  if (argv[0] !== 'apt-get') return answer('');
  if (has('remove')) return answer('Remv telnet [1]\n');
  if (has('download')) writeFileSync(join(options?.cwd ?? '', 'telnet_1_amd64.deb'), '');
  if (has('--download-only'))
    for (const [name, version] of argv.filter((word) => word.endsWith('=1')).map((word) => word.split('=')))
      writeFileSync(join(folder(), 'archives', `${name}_${version}_amd64.deb`), '');
  if (!has('-s')) return answer('');
  simulations += 1;
  const asked = argv.filter((word) => /^(aide|pkg\d+)$/.test(word));
  const coming = asked.flatMap((name) => (name === 'aide' ? ['libaio', name] : [name]));
  const lines = coming.map((name) => `Inst ${name} (1 Debian:12 [amd64])\n`).join('');
  return answer(lines + (objects(asked) ? 'Remv cron [1]\n' : ''));
};
const deps: PackageDeps = { run, apt, limits: () => limits };

beforeEach(() => {
  home = join(mkdtempSync(join(tmpdir(), 'ringmaster-packages-')), 'order');
  mkdirSync(join(folder(), 'archives'), { recursive: true });
  limits = NO_LIMITS;
  simulations = 0;
  objects = () => false;
});
afterEach(() => rmSync(join(home, '..'), { recursive: true, force: true }));

const fixesOf = (...fixes: readonly [PackageFix['action'], string][]) =>
  fixes.map(([action, name]) => ({ rule: `${action}-${name}`, fix: { action, name, onlyIf: null }, wanted: null }));

test.each([
  ['what a fix installs', 'aide', { installs: [], removals: ['telnet'], never: 'install-aide' }],
  ['what that needs', 'lib*', { installs: [], removals: ['telnet'], never: 'install-aide' }],
  ['what a fix removes', 'telnet', { installs: ['libaio', 'aide'], removals: [], never: 'remove-telnet' }],
])('one from staging is not kept when the owner has forbidden %s since', async (_, pattern, expected) => {
  const prepare = () =>
    preparePackages(
      deps,
      { home, tx: { orderId: 'o', dir: home, changes: [] } },
      { fixes: fixesOf(['install', 'aide'], ['remove', 'telnet']), bytesPerSecond: null },
    );
  const planned = () => {
    const plan = readPackagePlan(home);
    return [plan?.installs.map(({ name }) => name), plan?.removals.map(({ name }) => name)];
  };
  expect(await prepare()).toEqual({ ok: true, declined: [] });
  expect(planned()).toEqual([['libaio', 'aide'], ['telnet']]);
  limits = { ...NO_LIMITS, neverTouch: [pattern] };
  expect(await prepare()).toEqual({
    ok: true,
    declined: [{ name: expected.never, reason: expect.stringContaining(`is never to be touched (${pattern})`) }],
  });
  expect(planned()).toEqual([expected.installs, expected.removals]);
});

const planMany = (count: number) =>
  planPackages(deps, {
    tx: { orderId: 'o', dir: folder(), changes: [] },
    fixes: fixesOf(
      ...Array.from({ length: count }, (_, n) => ['install', `pkg${n}`] as [PackageFix['action'], string]),
    ),
    bytesPerSecond: null,
  });

test.each([
  ['none', [], 1],
  ['one of them', [17], 15],
  ['three of them', [0, 31, 63], 50],
])('how often apt is asked does not grow with the number of rules: %s in the way', async (_, bad, most) => {
  objects = (asked) => bad.some((n) => asked.includes(`pkg${n}`));
  const { declined } = await planMany(64);
  expect(declined.map(({ name }) => name)).toEqual(bad.map((n) => `install-pkg${n}`));
  expect(simulations).toBeLessThanOrEqual(most + 1);
});

test('where hardly any go together, what is not known in time is left out, each with the reason', async () => {
  objects = (asked) => asked.length > 1;
  const { plan, declined } = await planMany(80);
  expect(plan.asked).toEqual(['pkg0']);
  expect(declined).toHaveLength(79);
  expect(declined.at(-1)?.reason).toContain(`after ${MOST_SIMULATIONS} simulations`);
  expect(simulations).toBeLessThanOrEqual(MOST_SIMULATIONS + 1);
});
