// What fixes may move on a host, decided by what apt says it would do: exactly that, or nothing.
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import type { PackageFix } from '../../../domain/baseline/package-fix.js';
import { sha256Hex } from '../../../domain/content/canonical.js';
import type { ApprovedPackage } from '../../../domain/content/update-set.js';
import { NO_LIMITS } from '../../limits/limits.js';
import type { Run } from '../../system/run.js';
import { noProvider } from '../none.js';
import type { InstalledPackage, Provider } from '../provider.js';
import type { PackageDeps } from './package-files.js';
import { planPackages, type RuleFix } from './package-plan.js';

let orders: string;
let dir: string;
let installed: Record<string, string>;
let says: {
  install: string;
  remove: string;
  marks: string;
  installCode: number;
  fetch: 'works' | 'fails';
  audit: string;
};
let held: string[];
let commands: string[];
let deps: PackageDeps;

beforeEach(() => {
  orders = mkdtempSync(join(tmpdir(), 'ringmaster-packages-'));
  dir = join(orders, 'this-order', 'packages');
  mkdirSync(dir, { recursive: true });
  installed = { telnet: '0.17', 'linux-base': '4.9' };
  commands = [];
  says = {
    install: 'Inst libaio (0.3 Debian:12 [amd64])\nInst aide (0.18 Debian:12 [amd64])\n',
    remove: 'Remv telnet [0.17]\n',
    marks: 'telnet no no\n',
    installCode: 0,
    fetch: 'works',
    audit: '',
  };
  held = [];
  const apt: Provider = {
    ...noProvider,
    installed: async (packages) =>
      new Map(
        packages.flatMap(({ name, arch }) =>
          installed[name] === undefined ? [] : [[`${name}:${arch}`, present(name, installed[name])] as const],
        ),
      ),
    audit: async () => says.audit,
    findOldFile: async () => null,
    footprint: async () => [],
  };
  deps = { run: scripted, apt, limits: () => NO_LIMITS };
});
afterEach(() => rmSync(orders, { recursive: true, force: true }));

const present = (name: string, version: string): InstalledPackage => ({
  version,
  whole: true,
  held: held.includes(name),
});

/** apt and dpkg as far as they are asked. */
const scripted: Run = async (argv, options) => {
  commands.push(argv.join(' '));
  const answer = (stdout: string, code = 0) => ({
    code,
    stdout: code === 0 ? stdout : '',
    stderr: code === 0 ? '' : stdout,
    timedOut: false,
  });
  const has = (word: string) => argv.includes(word);
  if (argv[0] === 'dpkg-query') {
    const format = argv[3] ?? '';
    if (format.includes('Essential')) return answer(says.marks);
    return format.includes('Status-Status') ? answer('not found', 1) : answer('0.17 amd64\n');
  }
  if (argv[0] === 'dpkg-deb') {
    const [name, version] = basename(argv[2] ?? '').split('_');
    return answer(`Package: ${name}\nVersion: ${version}\nArchitecture: amd64\n`);
  }
  if (argv[0] === 'apt-mark') return answer('');
  if (has('update')) return answer('');
  if (has('remove')) return answer(says.remove);
  if (has('download') || has('--download-only')) {
    if (says.fetch === 'fails') return answer('E: Failed to fetch it  404', 100);
    const files = has('download') ? ['telnet_0.17_amd64.deb'] : ['aide_0.18_amd64.deb', 'libaio_0.3_amd64.deb'];
    for (const file of files) writeFileSync(join(options?.cwd ?? join(dir, 'archives'), file), '');
    return answer('');
  }
  return answer(says.install, says.installCode);
};

const AIDE: PackageFix = { action: 'install', name: 'aide', onlyIf: null };
const TELNET: PackageFix = { action: 'remove', name: 'telnet', onlyIf: null };
/** Each is the fix of a rule `<action>-<package>`. */
const plan = (...fixes: (PackageFix & Partial<Pick<RuleFix, 'wanted' | 'mayBring'>>)[]) => {
  mkdirSync(join(dir, 'archives'), { recursive: true });
  const rules = fixes.map(({ wanted = null, mayBring = null, ...fix }) => ({
    rule: `${fix.action}-${fix.name}`,
    fix,
    wanted,
    mayBring,
  }));
  return planPackages(deps, { tx: { orderId: 'o', dir, changes: [] }, fixes: rules, bytesPerSecond: 4096 });
};

test('what comes with its files and what goes with its own, all at hand before anything is begun', async () => {
  const planned = await plan(AIDE, TELNET);
  expect(planned).toMatchObject({
    declined: [],
    plan: {
      asked: ['aide'],
      installs: [
        { name: 'libaio', from: null, to: '0.3', file: join(dir, 'archives/libaio_0.3_amd64.deb'), leftovers: false },
        { name: 'aide', from: null, to: '0.18', file: join(dir, 'archives/aide_0.18_amd64.deb'), leftovers: false },
      ],
      removals: [
        { name: 'telnet', arch: 'amd64', version: '0.17', file: join(dir, 'kept-telnet/telnet_0.17_amd64.deb') },
      ],
    },
  });
  const [fetched] = commands.filter((command) => command.includes('--download-only'));
  expect(fetched).toMatch(/--no-remove --no-install-recommends .*Dl-Limit=4 .*install libaio=0\.3 aide=0\.18$/);
  // Nothing but looks and fetches.
  const changing = commands.filter((c) => /^apt-get|^dpkg /.test(c) && !/ -s |--download-only|download telnet/.test(c));
  expect(changing).toEqual([]);
});

test.each<[string, PackageFix[], () => void, string]>([
  [
    'an install that would also upgrade',
    [AIDE],
    () => {
      says.install += 'Inst libc6 [2.35] (2.36 Debian:12 [amd64])\n';
    },
    'installing aide would also move libc6 from 2.35 to 2.36: a patch cycle may do that, a remediation does not',
  ],
  [
    'an install that would also remove',
    [AIDE],
    () => {
      says.install += 'Remv tripwire [2.4]\n';
    },
    'installing aide would also remove tripwire: a patch cycle may do that, a remediation does not',
  ],
  [
    'a package nobody has',
    [AIDE],
    () => Object.assign(says, { install: 'Reading lists\nE: Unable to locate package aide\n', installCode: 100 }),
    'can not install aide: E: Unable to locate package aide',
  ],
  [
    'anything while dpkg itself complains',
    [TELNET],
    () => {
      says.audit = 'openssl is half configured';
    },
    'the package database has complaints of its own: openssl is half configured',
  ],
  [
    'a removal that others depend on',
    [TELNET],
    () => {
      says.remove += 'Remv legacy-suite [1.0]\n';
    },
    'removing telnet would also remove legacy-suite, which depend on it',
  ],
  [
    'a removal that would bring something in',
    [TELNET],
    () => {
      says.remove += 'Inst telnet-ssl (0.17 Debian:12 [amd64])\n';
    },
    'removing telnet would also install telnet-ssl',
  ],
  [
    'a removal of what is essential',
    [TELNET],
    () => {
      says.marks = 'telnet yes no\n';
    },
    'telnet is essential: it is never removed',
  ],
  [
    'a removal of what its owner holds',
    [TELNET],
    () => {
      held = ['telnet'];
    },
    'telnet is held on this endpoint',
  ],
  [
    'a removal that could not be undone',
    [TELNET],
    () => {
      says.fetch = 'fails';
    },
    "telnet 0.17 could not be put back: neither apt's cache nor the configured repositories have its file",
  ],
  [
    'what the owner never wants touched, also as a dependency',
    [AIDE],
    () => {
      deps = { ...deps, limits: () => ({ ...NO_LIMITS, neverTouch: ['libaio*'] }) };
    },
    'libaio is never to be touched (libaio*)',
  ],
  [
    'two rules that want the opposite',
    [AIDE, { ...AIDE, action: 'remove' }],
    () => undefined,
    'one rule wants aide installed, another one wants it removed',
  ],
])('declined: %s', async (_, fixes, given, reason) => {
  given();
  const planned = await plan(...fixes);
  const declined = fixes.map(({ action, name }) => ({ name: `${action}-${name}`, reason }));
  expect(planned).toEqual({ plan: { asked: [], installs: [], removals: [] }, declined });
});

const NMAP: PackageFix = { action: 'install', name: 'nmap', onlyIf: null };
const RSH: PackageFix = { action: 'remove', name: 'rsh-server', onlyIf: null };
const whatWasPlanned = async (...fixes: Parameters<typeof plan>) => {
  const { plan: made, declined } = await plan(...fixes);
  return {
    installs: made.installs.map(({ name }) => name),
    removals: made.removals.map(({ name }) => name),
    declined: declined.map(({ name, reason }) => `${name}: ${reason}`),
  };
};

test('what can not be done is left out by rule, with the reason; the rest is done', async () => {
  const answers: Run = async (argv, options) => {
    const all = await scripted(argv, options);
    // nmap alone would upgrade a library.
    return argv.includes('-s') && argv.includes('nmap')
      ? { ...all, stdout: `${all.stdout}Inst nmap (7 Debian:12 [amd64])\nInst libc6 [2.35] (2.36 Debian:12 [amd64])\n` }
      : all;
  };
  deps = { ...deps, run: answers };
  says.marks = 'telnet yes no\n';
  expect(await whatWasPlanned(AIDE, NMAP, TELNET)).toEqual({
    installs: ['libaio', 'aide'],
    removals: [],
    declined: [
      'install-nmap: installing aide, nmap would also move libc6 from 2.35 to 2.36: a patch cycle may do that, a remediation does not',
      'remove-telnet: telnet is essential: it is never removed',
    ],
  });
});

test('what only goes together with another one goes with it; when that can not be put back, both stay', async () => {
  installed['rsh-server'] = '0.17';
  const answers: Run = async (argv, options) => {
    const names = ['telnet', 'rsh-server'].filter((name) => argv.includes(name));
    if (argv[0] === 'dpkg-query' && argv[3]?.includes('Essential'))
      return { ...(await scripted(argv)), stdout: names.map((name) => `${name} no no\n`).join('') };
    // rsh-server depends on telnet.
    if (argv.includes('remove'))
      return { ...(await scripted(argv)), stdout: 'Remv telnet [0.17]\nRemv rsh-server [0.17]\n' };
    return scripted(argv, options);
  };
  deps = { ...deps, run: answers };
  expect(await whatWasPlanned(TELNET, RSH)).toEqual({
    installs: [],
    removals: [],
    declined: [
      "remove-rsh-server: rsh-server 0.17 could not be put back: neither apt's cache nor the configured repositories have its file",
      'remove-telnet: removing telnet would also remove rsh-server, which depend on it',
    ],
  });
});

const EMPTY = sha256Hex('');
test.each<[string, { version: string; sha256: string }, string[]]>([
  ['the approved file', { version: '0.18', sha256: EMPTY }, []],
  [
    'another version than approved',
    { version: '0.17', sha256: EMPTY },
    ['install-aide: expected aide 0.17 as approved, offered 0.18'],
  ],
  [
    'other bytes under the approved version',
    { version: '0.18', sha256: 'b'.repeat(64) },
    ['install-aide: the file of aide 0.18 that is offered here is not the approved one'],
  ],
])('offered %s', async (_, { version, sha256 }, declined) => {
  const wanted = { name: 'aide', arch: 'amd64', version, sha256 };
  const found = await whatWasPlanned({ ...AIDE, wanted }, TELNET);
  expect(found).toEqual({ installs: declined.length === 0 ? ['libaio', 'aide'] : [], removals: ['telnet'], declined });
});

const WANTED = { name: 'aide', arch: 'amd64', version: '0.18', sha256: EMPTY };
const LIBAIO = { name: 'libaio', arch: 'amd64', version: '0.3', sha256: EMPTY };
const other = (over: object) => ({ ...LIBAIO, ...over });
test.each<[string, readonly ApprovedPackage[] | null, string | null]>([
  ['what is on the list', [LIBAIO], null],
  ['one of several that would do', [other({ version: '0.2' }), LIBAIO, other({ name: 'libelf' })], null],
  ['anything, where the server froze no list', null, null],
  ['what nobody has approved', [], 'aide would bring libaio 0.3 here, which nobody has approved'],
  ['another package', [other({ name: 'libaio1' })], 'aide would bring libaio 0.3 here, which nobody has approved'],
  ['another version', [other({ version: '0.2' })], 'aide would bring libaio 0.3 here; approved is 0.2'],
  [
    'other bytes under the same version',
    [other({ sha256: 'b'.repeat(64) })],
    'aide would bring libaio 0.3 here, and its file is not the approved one',
  ],
])('brought along: %s', async (_, mayBring, reason) => {
  const found = await whatWasPlanned({ ...AIDE, wanted: WANTED, mayBring }, TELNET);
  expect(found).toEqual({
    installs: reason === null ? ['libaio', 'aide'] : [],
    removals: ['telnet'],
    declined: reason === null ? [] : [`install-aide: ${reason}`],
  });
  // What is known to be wrong by its name or version is not even fetched.
  const fetched = commands.some((command) => command.includes('--download-only'));
  expect(fetched).toBe(reason === null || reason.endsWith('file is not the approved one'));
});

test('of fixes that bring different things, only the one that strays is left out; what one may bring the other may use', async () => {
  const simulated = (names: readonly string[]) =>
    [
      'Inst libaio (0.3 Debian:12 [amd64])',
      ...(names.includes('aide') ? ['Inst aide (0.18 Debian:12 [amd64])'] : []),
      ...(names.includes('nmap') ? ['Inst liblua (5 Debian:12 [amd64])', 'Inst nmap (7 Debian:12 [amd64])'] : []),
    ].join('\n');
  deps = {
    ...deps,
    run: async (argv, options) => {
      const names = ['aide', 'nmap'].filter((name) => argv.some((word) => word.split('=')[0] === name));
      const all = await scripted(argv, options);
      return argv.includes('-s') && argv.includes('install') ? { ...all, stdout: simulated(names) } : all;
    },
  };
  const nmap = { ...NMAP, wanted: { ...WANTED, name: 'nmap', version: '7' } };
  const aide = { ...AIDE, wanted: WANTED, mayBring: [LIBAIO] };
  expect(await whatWasPlanned(aide, { ...nmap, mayBring: [] })).toEqual({
    installs: ['libaio', 'aide'],
    removals: [],
    declined: ['install-nmap: aide, nmap would bring liblua 5 here, which nobody has approved'],
  });
  // A fix without a list beside one that has one brings nothing that is not on it.
  expect((await whatWasPlanned(aide, nmap)).declined).toEqual([
    'install-nmap: aide, nmap would bring liblua 5 here, which nobody has approved',
  ]);
});

test('what is so already, or does not apply here, is nothing to do', async () => {
  installed = { aide: '0.18' };
  const elsewhere: PackageFix = { ...AIDE, name: 'chrony', onlyIf: { kind: 'installed', name: 'linux-base' } };
  const container: PackageFix = { ...AIDE, name: 'apparmor', onlyIf: { kind: 'noneOf', paths: [dir] } };
  expect(await plan(AIDE, TELNET, elsewhere, container)).toEqual({
    declined: [],
    plan: { asked: [], installs: [], removals: [] },
  });
});

test('what an order that only staged has fetched is not fetched again', async () => {
  const staged = (folder: string) => join(orders, 'staging-order', 'packages', folder);
  for (const folder of ['archives', 'kept-telnet']) mkdirSync(staged(folder), { recursive: true });
  writeFileSync(join(staged('archives'), 'aide_0.18_amd64.deb'), 'staged');
  writeFileSync(join(staged('kept-telnet'), 'telnet_0.17_amd64.deb'), 'staged');
  let there: string[] = [];
  deps = {
    ...deps,
    run: async (argv, options) => {
      if (argv.includes('--download-only')) there = readdirSync(join(dir, 'archives'));
      return scripted(argv, options);
    },
  };
  expect(await plan(AIDE, TELNET)).toMatchObject({ declined: [] });
  expect(there).toContain('aide_0.18_amd64.deb');
  expect(commands.filter((command) => command.includes(' download '))).toEqual([]);
});

test('what can not be fetched now is tried again, with fresh indexes', async () => {
  says.fetch = 'fails';
  await expect(plan(AIDE)).rejects.toThrow('apt could not fetch what the fixes install: E: Failed to fetch it  404');
  expect(commands.at(-1)).toMatch(/^apt-get -q update/);
  expect(existsSync(join(dir, 'plan.json'))).toBe(false);
});
