// Others have dpkg's lock when packages that rules' fixes moved are to go back: real files and runs; scanner, apt and dpkg are ours.
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { ORDER, orderDoc } from '../../../test/helpers/fake-host.js';
import { NO_LIMITS } from '../../limits/limits.js';
import { attributeAccess } from '../../system/attributes.js';
import type { startRun } from '../../system/detached-run.js';
import { flagAccess } from '../../system/inode-flags.js';
import { type Run, run } from '../../system/run.js';
import { noProvider } from '../none.js';
import type { PackageChange, Provider, RunOutcome, Transaction } from '../provider.js';
import { createOpenscapProvider } from './index.js';
import { noteAfter } from './snapshot.js';

const REVERT = ORDER.replace(/1$/, '2');
const OTHERS = "another package manager has dpkg's lock";
const LOCKED =
  'E: Unable to acquire the dpkg frontend lock (/var/lib/dpkg/lock-frontend), is another process using it?';
const AIDE = { name: 'aide', arch: 'amd64', source: 'aide', file: '/content/aide', previousFile: null };
const TELNET = { name: 'telnet', arch: 'amd64', version: '1', file: '/content/telnet', automatic: false };

let dir: string;
let installed: Map<string, string>;
/** Which runs find the lock taken, by their names. */
let locked: Set<string>;
/** What happens to the agent when it starts this run: dead before it is there, or dead while it goes on. */
let killed: { readonly name: string; readonly when: 'before' | 'during' } | null;
let started: (readonly string[])[];
const at = (path: string) => join(dir, path);
const rootsHere = () => ({ content: [at('etc')], modes: [] });
const nameOf = (run: readonly string[]) => run[0];

/** Packages move at once; what is left of a run is what a real one leaves. */
const start = async ({ txDir, name, argv }: Parameters<typeof startRun>[0]): Promise<RunOutcome> => {
  if (killed?.name === name && killed.when === 'before') throw new Error('killed');
  started.push([name, ...argv.filter((word) => word.startsWith('DPkg::Lock'))]);
  mkdirSync(txDir, { recursive: true });
  const number = readdirSync(txDir).filter((entry) => entry.startsWith(`run-${name}-`)).length + 1;
  const folder = join(txDir, `run-${name}-${number}`);
  mkdirSync(folder, { recursive: true });
  if (killed?.name === name) throw new Error('killed');
  const output = locked.has(name) ? LOCKED : 'Removing aide (1) ...';
  writeFileSync(join(folder, 'output'), output);
  writeFileSync(join(folder, 'rc'), '0\n');
  if (!locked.has(name)) installed.delete('aide');
  return { interrupted: false, output };
};

const apt: Provider = {
  ...noProvider,
  installed: async (packages) =>
    new Map(
      packages.flatMap(({ name, arch }) => {
        const version = installed.get(name);
        return version === undefined ? [] : [[`${name}:${arch}`, { version, whole: true, held: false }] as const];
      }),
    ),
  audit: async () => '',
  simulate: async () => ({ ok: true }),
  async run(tx) {
    mkdirSync(tx.dir, { recursive: true });
    if (locked.has('bring')) return { interrupted: false, output: LOCKED, notBegun: OTHERS };
    mkdirSync(join(tx.dir, 'run-forward-1'), { recursive: true });
    started.push(['bring']);
    for (const change of tx.changes) installed.set(change.name, change.to);
    return { interrupted: false, output: 'Unpacking' };
  },
};

const ours: Run = async (argv, options) => {
  const done = { code: 0, stdout: '', stderr: '', timedOut: false };
  if (argv[0] === 'apt-get') return { ...done, stdout: 'Remv aide [1]\n' };
  return ['systemctl', 'sysctl', 'apt-mark'].includes(argv[0] ?? '') ? done : run(argv, options);
};

function order(kind: 'change' | 'revert') {
  const file = { sha256: 'c'.repeat(64), size: 1 };
  const doc = orderDoc({
    orderId: kind === 'revert' ? REVERT : ORDER,
    kind,
    reverts: kind === 'revert' ? ORDER : null,
    provider: 'openscap',
    updates: [],
    baseline: {
      checklist: 'c'.repeat(64),
      dataStream: file,
      tailoring: null,
      profile: 'all',
      rules: [],
      critical: [],
      handOver: false,
    },
  });
  const tx: Transaction = { orderId: doc.orderId, dir: at(`orders/${doc.orderId}`), changes: [] };
  mkdirSync(tx.dir, { recursive: true });
  const provider = createOpenscapProvider({
    run: ours,
    content: { ensure: async () => at('content/stream') },
    orderDir: (id) => at(`orders/${id}`),
    packages: { apt, limits: () => NO_LIMITS, moved: () => undefined, start },
    largeDir: at('large'),
    roots: rootsHere(),
    log: () => undefined,
  }).forOrder?.(doc) as Provider;
  return {
    back: () => provider.run(tx, 'back', { again: false }),
    hasBegun: () => provider.hasBegun(tx, 'back'),
    judge: () => provider.judge(tx, 'back'),
    snapshot: () => provider.snapshot(tx),
  };
}

/** A change whose fixes brought aide, took telnet away, and wrote two files. */
beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'ringmaster-locked-'));
  mkdirSync(at('etc'));
  for (const name of ['ours', 'of-its-owner']) writeFileSync(at(`etc/${name}`), 'before');
  await order('change').snapshot();
  const packages = at(`orders/${ORDER}/packages`);
  mkdirSync(join(packages, 'run-forward-1'), { recursive: true });
  const install: PackageChange & { readonly leftovers: boolean } = { ...AIDE, from: null, to: '1', leftovers: false };
  writeFileSync(join(packages, 'plan.json'), JSON.stringify({ asked: [], installs: [install], removals: [TELNET] }));
  for (const name of ['ours', 'of-its-owner']) writeFileSync(at(`etc/${name}`), 'by the fix');
  const access = { attributes: attributeAccess(run), flags: flagAccess(run) };
  await noteAfter({ run, ...access, roots: rootsHere(), large: at('large') }, at(`orders/${ORDER}/snapshot`));
  installed = new Map([['aide', '1']]);
  locked = new Set();
  killed = null;
  started = [];
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const fileOf = (name: string) => readFileSync(at(`etc/${name}`), 'utf8');
const isBack = async (revert: ReturnType<typeof order>) => {
  expect(await revert.judge()).toEqual({ ok: true });
  expect([[...installed], fileOf('ours'), await revert.hasBegun()]).toEqual([[['telnet', '1']], 'before', true]);
};

describe('a revert that was ordered', () => {
  test('does not wait for it, and has not begun; what others change until it does is theirs', async () => {
    const revert = order('revert');
    locked.add('take-away');
    expect(await revert.back()).toMatchObject({ interrupted: false, notBegun: OTHERS });
    expect(started).toEqual([['take-away', 'DPkg::Lock::Timeout=0']]);
    expect([await revert.hasBegun(), [...installed], fileOf('ours')]).toEqual([false, [['aide', '1']], 'by the fix']);
    writeFileSync(at('etc/of-its-owner'), 'his');
    locked.clear();
    expect((await revert.back()).notBegun).toBe(undefined);
    await isBack(revert);
    expect(fileOf('of-its-owner')).toBe('his');
  });

  test.each(['purge', 'bring'])('nor where %s is the first to be done', async (first) => {
    installed.delete('aide');
    if (first === 'bring') {
      const file = at(`orders/${ORDER}/packages/plan.json`);
      writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, 'utf8')), installs: [] }));
    }
    const revert = order('revert');
    locked.add(first);
    expect(await revert.back()).toMatchObject({ notBegun: OTHERS });
    expect([await revert.hasBegun(), fileOf('ours')]).toEqual([false, 'by the fix']);
    locked.clear();
    await revert.back();
    await isBack(revert);
  });

  test.each([
    ['before', false],
    ['during', true],
  ] as const)('killed %s the first run of the package manager: begun is %s', async (when, begun) => {
    const revert = order('revert');
    killed = { name: 'take-away', when };
    await expect(revert.back()).rejects.toThrow('killed');
    expect(await revert.hasBegun()).toBe(begun);
    killed = null;
    await revert.back();
    expect(started.at(begun ? 1 : 0)).toEqual(['take-away', `DPkg::Lock::Timeout=${begun ? 600 : 0}`]);
    await isBack(revert);
  });

  test('half way, it waits there, and goes on with what is left', async () => {
    const revert = order('revert');
    locked.add('bring');
    expect(await revert.back()).toMatchObject({ interrupted: false, notYet: OTHERS });
    expect([await revert.hasBegun(), [...installed], fileOf('ours')]).toEqual([true, [], 'by the fix']);
    locked.clear();
    await revert.back();
    await isBack(revert);
    expect(started.map(nameOf).filter((name) => name === 'take-away')).toHaveLength(1);
  });

  test('is not begun by what an earlier one has done', async () => {
    locked.add('bring');
    await order('change').back();
    const revert = order('revert');
    expect(await revert.hasBegun()).toBe(false);
    expect(await revert.back()).toMatchObject({ notYet: OTHERS });
    expect([started.at(-1)?.[0], await revert.hasBegun()]).toEqual(['purge', true]);
  });
});

describe('a change that undoes itself', () => {
  test.each(['take-away', 'purge', 'bring'])('has begun, and stands still at %s until it is free', async (where) => {
    const undoing = order('change');
    locked.add(where);
    expect(await undoing.back()).toMatchObject({ interrupted: false, notYet: OTHERS });
    expect(started.find(([name]) => name === 'take-away')).toEqual(['take-away', 'DPkg::Lock::Timeout=600']);
    expect((await undoing.judge()).ok).toBe(false);
    expect(existsSync(at(`orders/${ORDER}/snapshot/restored.json`))).toBe(false);
    locked.clear();
    expect((await undoing.back()).notYet).toBe(undefined);
    await isBack(undoing);
  });
});
