/** Debian's packages. Success is what dpkg says is installed, never an exit status (apt's prove nothing). */
import { copyFileSync, existsSync, linkSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { compareDebVersionTexts } from '../../../domain/content/deb-version.js';
import { joinRun, latestRun, startRun, waitForNobody } from '../../system/detached-run.js';
import { readTextIfThere, syncPath, writeFileDurably } from '../../system/files.js';
import type { Write } from '../../system/mounts.js';
import { type Run, tail } from '../../system/run.js';
import type {
  Direction,
  InstalledPackage,
  PackageChange,
  Provider,
  RebootNeed,
  RunOutcome,
  Transaction,
  Verdict,
} from '../provider.js';
import { KEPT, packageKey } from '../provider.js';
import { aptInstall, dpkgAudit, dpkgInstall, workFolders } from './commands.js';
import { configDifferences, hasConfigSnapshot, restoreConfig, saveConfig } from './config-snapshot.js';
import { debFields } from './deb-fields.js';
import { footprint } from './footprint.js';
import { aptInventory } from './inventory.js';
import { hasTouched, lockedOut, lockTakenBy } from './lock.js';
import {
  DPKG_FORMAT,
  type DpkgEntry,
  parseDpkgQuery,
  parseNeedrestart,
  parseSimulation,
  simulationDifference,
} from './parse.js';
import { repairDatabase } from './repair.js';

const SIMULATE_TIMEOUT_MS = 5 * 60_000;

export interface AptDeps {
  readonly run: Run;
  readonly now: () => number;
  readonly log: (message: string, fields?: Readonly<Record<string, unknown>>) => void;
  /** How a run that outlives us is started; default: as a process of its own. */
  readonly start?: typeof startRun;
}

/** @throws Error when this host has no dpkg. */
export async function createAptProvider(deps: AptDeps): Promise<Provider> {
  const asked = await deps.run(['dpkg', '--print-architecture']);
  if (asked.code !== 0) throw new Error(`no dpkg on this host: ${tail(asked.stderr, 200)}`);
  const native = asked.stdout.trim();

  const start = deps.start ?? startRun;
  let listed: { readonly key: string; readonly writes: readonly Write[] } | null = null;

  const query = async (): Promise<readonly DpkgEntry[]> => {
    const result = await deps.run(['dpkg-query', '-W', '-f', DPKG_FORMAT]);
    if (result.code !== 0) throw new Error(`dpkg-query: ${tail(result.stderr, 400)}`);
    return parseDpkgQuery(result.stdout);
  };
  const byKey = async () => new Map((await query()).map((entry) => [packageKey(entry, native), entry]));
  const audit = async (): Promise<string> => {
    const result = await deps.run(dpkgAudit());
    return `${result.stdout}${result.code === 0 ? '' : result.stderr}`.trim();
  };

  const simulate = async (tx: Transaction, direction: Direction): Promise<Verdict> => {
    makeFolders(tx);
    const now = await byKey();
    const moving = tx.changes.filter((change) => goal(change, direction) !== null);
    const planned = moving.flatMap((change) => {
      const to = goal(change, direction) as string;
      const entry = now.get(packageKey(change, native));
      return entry?.version === to ? [] : [{ name: change.name, arch: change.arch, from: entry?.version ?? null, to }];
    });
    const files = moving.flatMap((change) => linkedFile(tx, change, direction) ?? []);
    const result = await deps.run(aptInstall({ tx, direction, files, simulate: true }), {
      timeoutMs: SIMULATE_TIMEOUT_MS,
    });
    if (result.code !== 0) return { ok: false, reason: tail(result.stderr || result.stdout, 600) };
    const difference = simulationDifference(planned, parseSimulation(result.stdout), native);
    return difference === null ? { ok: true } : { ok: false, reason: difference };
  };

  const judge = async (tx: Transaction, direction: Direction): Promise<Verdict> => {
    const now = await byKey();
    for (const change of tx.changes) {
      const wanted = goal(change, direction);
      if (wanted === null) continue;
      const entry = now.get(packageKey(change, native));
      const order = entry === undefined ? null : compare(entry.version, wanted);
      if (!(order === 0 || (direction === 'forward' && order === 1))) {
        return { ok: false, reason: `${change.name} is ${entry?.version ?? 'not installed'}, not ${wanted}` };
      }
      if (entry?.status !== 'installed' || entry.errorFlag !== 'ok') {
        return { ok: false, reason: `${change.name} ${wanted} is ${entry?.status} (${entry?.errorFlag})` };
      }
    }
    const complaints = await audit();
    if (complaints !== '') return { ok: false, reason: `dpkg --audit: ${complaints.slice(0, 600)}` };
    const changed = direction === 'back' ? configDifferences(tx.dir) : [];
    return changed.length === 0
      ? { ok: true }
      : { ok: false, reason: `configuration differs: ${changed.slice(0, 10).join(', ')}` };
  };

  const runOnce = async (tx: Transaction, direction: Direction, again: boolean): Promise<RunOutcome> => {
    const earlier = latestRun(tx.dir, direction);
    const begun = undoes(tx, direction) || hasTouched(tx.dir, direction);
    if (earlier !== null && !again && begun) return settle(tx, direction, await joinRun(tx.dir, earlier));
    makeFolders(tx);
    await waitForNobody(tx.dir);
    const files = tx.changes.flatMap((change) => linkedFile(tx, change, direction) ?? []);
    const argv = aptInstall({ tx, direction, files, simulate: false, orNotAtAll: !begun });
    return settle(tx, direction, await start({ txDir: tx.dir, name: direction, argv }));
  };

  /**
   * All together back to exactly the state before is always consistent, so where apt can't, dpkg may. Only for an undoing
   * right after the change (its snapshot is there): a later revert of some packages must not break others.
   */
  const goBackByDpkg = async (tx: Transaction): Promise<RunOutcome> => {
    const name = 'back-dpkg';
    const earlier = latestRun(tx.dir, name);
    if (earlier !== null) {
      const outcome = await joinRun(tx.dir, earlier);
      if (!outcome.interrupted) return outcome;
    }
    const files = tx.changes.flatMap((change) => linkedFile(tx, change, 'back') ?? []);
    return start({ txDir: tx.dir, name, argv: dpkgInstall(files) });
  };

  const goBack = async (tx: Transaction, again: boolean): Promise<RunOutcome> => {
    await waitForNobody(tx.dir);
    // Before, so that services come up with the configuration they had; and after, in case a script changed it.
    restoreConfig(tx.dir);
    const undoing = undoes(tx, 'back');
    // Of one that was ordered it would decide nothing, and take some of the time of its permit.
    const anew = undoing && latestRun(tx.dir, 'back') === null;
    const simulated: Verdict = anew ? await simulate(tx, 'back') : { ok: true };
    let outcome: RunOutcome | null = null;
    if (simulated.ok) outcome = await runOnce(tx, 'back', again);
    if (undoing && outcome?.interrupted !== true && !(await versionsBack(tx, byKey, native))) {
      const why = simulated.ok ? (outcome?.output ?? '') : simulated.reason;
      deps.log('apt can not go back; dpkg does', { order: tx.orderId, why });
      outcome = await goBackByDpkg(tx);
    }
    restoreConfig(tx.dir);
    return outcome ?? { interrupted: false, output: 'everything was back already' };
  };

  return {
    name: 'apt',
    compareVersions: compare,
    async installed(packages) {
      const now = await byKey();
      return new Map(
        packages.flatMap((p): [string, InstalledPackage][] => {
          const entry = now.get(packageKey(p, native));
          if (entry === undefined) return [];
          const whole = entry.status === 'installed' && entry.errorFlag === 'ok';
          return [[`${p.name}:${p.arch}`, { version: entry.version, whole, held: entry.want === 'hold' }]];
        }),
      );
    },
    audit,
    simulate,
    async footprint(tx, direction) {
      const files = tx.changes.flatMap((change) => linkedFile(tx, change, direction) ?? []);
      const key = files.join('\n');
      // Asked when staged and again right before the start, where time is dear; names of files are digests.
      if (listed?.key !== key) listed = { key, writes: await footprint({ run: deps.run, files }) };
      return listed.writes;
    },
    findOldFile: (old, dir) => findInArchives({ run: deps.run, old, dir }),
    async snapshot(tx) {
      // Taken anew at each try to start: what an earlier one saved may be hours old.
      await rememberAutomatic(deps.run, tx, { anew: true });
      await saveConfig({ run: deps.run, txDir: tx.dir, names: await installedNames(tx, byKey, native) });
      return KEPT;
    },
    othersAtWork: async (tx) => {
      makeFolders(tx);
      return lockTakenBy(deps.run, tx);
    },
    hasBegun: async (tx, direction) => hasTouched(tx.dir, direction),
    async run(tx, direction, { again }) {
      await rememberAutomatic(deps.run, tx, { anew: false });
      const outcome = direction === 'back' ? await goBack(tx, again) : await runOnce(tx, direction, again);
      if (!outcome.interrupted && outcome.notBegun === undefined) await markAutomatic(deps.run, tx, direction);
      return outcome;
    },
    repair: (tx, direction) =>
      repairDatabase({
        run: deps.run,
        tx,
        direction,
        query,
        native,
        fileOf: (change, way) => linkedFile(tx, change, way),
      }),
    judge,
    rebootNeed: (tx) => rebootNeed(deps.run, tx),
    inventory: ({ refresh }) => aptInventory({ run: deps.run, refresh, query, native, now: deps.now }),
  };
}

/** A run that found dpkg's lock taken is no failure of what it was to install. */
function settle(tx: Transaction, direction: Direction, outcome: RunOutcome): RunOutcome {
  const reason = lockedOut(outcome.output);
  if (undoes(tx, direction) || reason === null || hasTouched(tx.dir, direction)) return outcome;
  return { ...outcome, notBegun: reason };
}

/** The way back right after the change (its snapshot is there) is begun already, whatever it waits for; one that is ordered later is not. */
const undoes = (tx: Transaction, direction: Direction): boolean => direction === 'back' && hasConfigSnapshot(tx.dir);

/** The version a change should have in the end; null: it is not moved in this direction. */
const goal = (change: PackageChange, direction: Direction): string | null =>
  direction === 'forward' ? change.to : change.from;

function compare(a: string, b: string): -1 | 0 | 1 | null {
  const result = compareDebVersionTexts(a, b);
  return result.ok ? result.order : null;
}

function makeFolders(tx: Transaction): void {
  const { debs, lists, archives } = workFolders(tx);
  for (const dir of [tx.dir, debs, join(lists, 'partial'), join(archives, 'partial')])
    mkdirSync(dir, { recursive: true, mode: 0o755 });
}

/** The verified file under the order's own folder, where a run's command line shows whose it is; null: no such file. */
function linkedFile(tx: Transaction, change: PackageChange, direction: Direction): string | null {
  const file = direction === 'forward' ? change.file : change.previousFile;
  if (file === null || (direction === 'back' && change.from === null)) return null;
  const link = join(workFolders(tx).debs, basename(file));
  mkdirSync(workFolders(tx).debs, { recursive: true, mode: 0o755 });
  // What was linked before stays, unless the cache has had to fetch the file anew since.
  if (existsSync(link) && (!existsSync(file) || sameFile(link, file))) return link;
  rmSync(link, { force: true });
  try {
    linkSync(file, link);
  } catch {
    copyFileSync(file, link);
    syncPath(link);
  }
  return link;
}

const sameFile = (a: string, b: string): boolean => {
  const [one, other] = [statSync(a), statSync(b)];
  return one.dev === other.dev && one.ino === other.ino;
};

async function versionsBack(
  tx: Transaction,
  byKey: () => Promise<Map<string, DpkgEntry>>,
  native: string,
): Promise<boolean> {
  const now = await byKey();
  return tx.changes.every((change) => {
    const entry = now.get(packageKey(change, native));
    return change.from === null || (entry?.version === change.from && entry.status === 'installed');
  });
}

async function installedNames(
  tx: Transaction,
  byKey: () => Promise<Map<string, DpkgEntry>>,
  native: string,
): Promise<string[]> {
  const now = await byKey();
  return tx.changes.flatMap((change) => {
    const entry = now.get(packageKey(change, native));
    // dpkg knows `name:all` and `name:amd64`, but neither in place of the other.
    return entry === undefined ? [] : [`${entry.name}:${entry.arch}`];
  });
}

/** Old files that apt itself kept; believed only when they say they are that package in that version. */
async function findInArchives(args: {
  readonly run: Run;
  readonly old: { readonly name: string; readonly arch: string; readonly version: string };
  readonly dir: string;
}): Promise<string | null> {
  const { name, version } = args.old;
  const archives = '/var/cache/apt/archives';
  const prefix = `${name}_${version.replaceAll(':', '%3a')}_`;
  const file = existsSync(archives)
    ? readdirSync(archives).find((entry) => entry.startsWith(prefix) && entry.endsWith('.deb'))
    : undefined;
  if (file === undefined) return null;
  const path = join(archives, file);
  const fields = await debFields(args.run, path);
  if (fields?.name !== name || fields.version !== version) return null;
  const kept = join(args.dir, `old-${prefix.replaceAll('%3a', '.')}.deb`);
  copyFileSync(path, kept);
  syncPath(kept);
  return kept;
}

/** Installing a file by name makes apt think a person wanted the package; we remember which ones came as dependencies. */
async function rememberAutomatic(run: Run, tx: Transaction, options: { readonly anew: boolean }): Promise<void> {
  const path = join(tx.dir, 'automatic.json');
  if (!options.anew && existsSync(path)) return;
  const names = tx.changes.map((change) => change.name);
  const shown = await run(['apt-mark', 'showauto', ...names]);
  const automatic = shown.stdout.split('\n').filter((line) => names.includes(line.split(':')[0] ?? ''));
  const added = tx.changes.filter((change) => change.from === null).map((change) => change.name);
  mkdirSync(tx.dir, { recursive: true, mode: 0o755 });
  writeFileDurably(path, JSON.stringify([...automatic, ...added]));
}

async function markAutomatic(run: Run, tx: Transaction, direction: Direction): Promise<void> {
  const names = JSON.parse(readTextIfThere(join(tx.dir, 'automatic.json')) ?? '[]') as string[];
  const added = new Set(tx.changes.filter((change) => change.from === null).map((change) => change.name));
  const marked = direction === 'back' ? names.filter((name) => !added.has(name)) : names;
  if (marked.length > 0) await run(['apt-mark', '-o', 'DPkg::Lock::Timeout=600', 'auto', ...marked]);
}

/** Whether new code only runs after a reboot: the kernel's, or a C library that services still hold in its old form. */
async function rebootNeed(run: Run, tx: Transaction): Promise<RebootNeed> {
  const reasons: string[] = [];
  if (existsSync('/run/reboot-required')) reasons.push('/run/reboot-required');
  const result = await run(['needrestart', '-b'], { timeoutMs: 120_000 });
  const { kernelState, services } =
    result.code === 127 ? { kernelState: 0, services: [] } : parseNeedrestart(result.stdout);
  if (kernelState >= 2) reasons.push('a newer kernel is installed');
  const libc = tx.changes.some((change) => change.source === 'glibc');
  if (libc && services.length > 0) reasons.push('services still run the old C library');
  return { required: reasons.length > 0, reasons, onOldCode: services };
}
