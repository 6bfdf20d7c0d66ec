/**
 * After an interruption (a killed dpkg, a power cut): the package database whole again, with the order's own files only.
 *
 * `dpkg --configure -a` alone does not do: a package cut off while it was unpacked (libc6, say) must be unpacked again,
 * and after a power cut files may be on disk in name only, so the checksums of the order's packages are looked at, too.
 */

import { waitForNobody } from '../../system/detached-run.js';
import type { Run } from '../../system/run.js';
import { tail } from '../../system/run.js';
import type { Direction, PackageChange, Transaction } from '../provider.js';
import { dpkgConfigureAll, dpkgUnpack, dpkgVerify } from './commands.js';
import { type DpkgEntry, parseVerify } from './parse.js';

const TIMEOUT_MS = 30 * 60_000;
const LOCK_TRIES = 120;

export async function repairDatabase(args: {
  readonly run: Run;
  readonly tx: Transaction;
  readonly direction: Direction;
  readonly query: () => Promise<readonly DpkgEntry[]>;
  /** Paths of a change's files in the transaction's folder. */
  readonly fileOf: (change: PackageChange, direction: Direction) => string | null;
  readonly native: string;
}): Promise<readonly string[]> {
  await waitForNobody(args.tx.dir);
  const notes: string[] = [];
  const torn = (await affected(args)).filter(
    ({ entry }) => entry.errorFlag !== 'ok' || entry.status === 'half-installed',
  );
  if (torn.length > 0) {
    const files = torn.flatMap(({ change, entry }) => filesFor(args, change, entry));
    notes.push(`unpacked again: ${torn.map(({ change }) => change.name).join(' ')}`);
    const result = await unlocked(args.run, dpkgUnpack(files));
    if (result.code !== 0) notes.push(`dpkg --unpack: ${tail(result.stderr, 300)}`);
  }
  const damaged = await damagedPackages(args);
  if (damaged.length > 0) {
    notes.push(`files were damaged, unpacked again: ${damaged.map(({ change }) => change.name).join(' ')}`);
    await unlocked(args.run, dpkgUnpack(damaged.flatMap(({ change, entry }) => filesFor(args, change, entry))));
  }
  const before = await args.query();
  if (before.some((entry) => entry.status !== 'installed')) {
    const result = await unlocked(args.run, dpkgConfigureAll());
    notes.push(result.code === 0 ? 'dpkg --configure -a' : `dpkg --configure -a: ${tail(result.stderr, 300)}`);
  }
  return notes;
}

interface Affected {
  readonly change: PackageChange;
  readonly entry: DpkgEntry;
}

async function affected(args: Parameters<typeof repairDatabase>[0]): Promise<Affected[]> {
  const entries = await args.query();
  const arch = (of: string) => (of === 'all' ? args.native : of);
  return args.tx.changes.flatMap((change) => {
    const entry = entries.find((e) => e.name === change.name && arch(e.arch) === arch(change.arch));
    return entry === undefined ? [] : [{ change, entry }];
  });
}

async function damagedPackages(args: Parameters<typeof repairDatabase>[0]): Promise<Affected[]> {
  const candidates = (await affected(args)).filter(({ entry }) => entry.errorFlag === 'ok');
  if (candidates.length === 0) return [];
  const names = candidates.map(({ entry }) => `${entry.name}:${entry.arch}`);
  const whole = await args.run(dpkgVerify(names), { timeoutMs: TIMEOUT_MS });
  if (parseVerify(whole.stdout).length === 0) return [];
  const damaged: Affected[] = [];
  for (const [index, candidate] of candidates.entries()) {
    const one = await args.run(dpkgVerify([names[index] ?? '']), { timeoutMs: TIMEOUT_MS });
    if (parseVerify(one.stdout).length > 0) damaged.push(candidate);
  }
  return damaged;
}

/** The file of the version the database says is there, so that a repair changes no version; else the one we are going to. */
function filesFor(args: Parameters<typeof repairDatabase>[0], change: PackageChange, entry: DpkgEntry): string[] {
  const back = entry.version === change.from && entry.errorFlag === 'ok' && entry.status !== 'half-installed';
  const forward = entry.version === change.to && entry.errorFlag === 'ok' && entry.status !== 'half-installed';
  const direction: Direction = back ? 'back' : forward ? 'forward' : args.direction;
  return [args.fileOf(change, direction) ?? args.fileOf(change, direction === 'back' ? 'forward' : 'back')].filter(
    (file): file is string => file !== null,
  );
}

/** dpkg itself does not wait for a lock, so we do. */
async function unlocked(run: Run, argv: readonly string[]) {
  for (let attempt = 1; ; attempt++) {
    const result = await run(argv, { timeoutMs: TIMEOUT_MS });
    if (result.code === 0 || attempt === LOCK_TRIES || !/lock.*(?:another process|locked by)/i.test(result.stderr))
      return result;
    await new Promise((resolve) => setTimeout(resolve, 5_000));
  }
}
