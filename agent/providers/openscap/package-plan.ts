/** Which packages an order's fixes move here, and the files for there and back, all on this host before anything is begun. */
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type PackageFix, packageFixOf } from '../../../domain/baseline/package-fix.js';
import type { ApprovedPackage } from '../../../domain/content/index.js';
import type { OrderDocument } from '../../../protocol/messages.js';
import { type LocalLimits, neverTouchPattern } from '../../limits/limits.js';
import { tail } from '../../system/run.js';
import { aptRemove, aptResolve, workFolders } from '../apt/commands.js';
import { parseSimulation, type SimulatedInstall } from '../apt/parse.js';
import type { Declined, PackageChange, Transaction } from '../provider.js';
import {
  aptWords,
  FETCH_TIMEOUT_MS,
  type Fetched,
  fetchInstalls,
  fileKey,
  keepRemoved,
  type PackageDeps,
  type PlannedInstall,
  type PlannedRemoval,
} from './package-files.js';
import { notOnLists } from './package-lists.js';

export interface PackagePlan {
  /** Names the fixes ask for; the rest of `installs` are their dependencies. */
  readonly asked: readonly string[];
  readonly installs: readonly PlannedInstall[];
  readonly removals: readonly PlannedRemoval[];
}

/** What approvers saw that an install would bring: this file and no other. */
export type WantedPackage = NonNullable<OrderDocument['updates'][number]['installs']>;

/** The fix of one rule. */
export interface RuleFix {
  readonly rule: string;
  readonly fix: PackageFix;
  /** Null: the plan is of a server that froze no versions, so it is the one that is offered. */
  readonly wanted: WantedPackage | null;
  /** What may come with it. Null, or left out: the server froze no list, so it is what the repositories here have. */
  readonly mayBring?: readonly ApprovedPackage[] | null;
}

export interface Planned {
  readonly plan: PackagePlan;
  /** By rule: what can't be done here, or could not be undone. */
  readonly declined: readonly Declined[];
}

/** The fixes of a transaction that move packages and do nothing else, by the script that would be run. */
export const packageFixesOf = (
  changes: readonly PackageChange[],
  wanted: ReadonlyMap<string, WantedPackage> = new Map(),
): RuleFix[] =>
  changes.flatMap(({ name, file }) => {
    const fix = packageFixOf(readFileSync(file, 'utf8'));
    return fix === null ? [] : [{ rule: name, fix, wanted: wanted.get(name) ?? null }];
  });

/**
 * Decides by rule, and fetches what is missing. @param tx the packages' own transaction, still without changes
 * @throws Error when something could not be fetched: perhaps it can be, later
 */
export async function planPackages(deps: PackageDeps, args: Planning): Promise<Planned> {
  const { installs, removals, opposed } = await due(deps, args.fixes);
  const declined = opposed.map(({ rule, fix: { name } }) => ({
    name: rule,
    reason: `one rule wants ${name} installed, another one wants it removed`,
  }));
  const complaints = installs.length + removals.length === 0 ? '' : await deps.apt.audit();
  if (complaints !== '') {
    const reason = `the package database has complaints of its own: ${complaints.slice(0, 400)}`;
    return { plan: NOTHING, declined: [...declined, ...allDeclined([...installs, ...removals], reason)] };
  }
  const { archives, lists } = workFolders(args.tx);
  for (const dir of [archives, lists]) mkdirSync(join(dir, 'partial'), { recursive: true, mode: 0o755 });
  const coming = await planInstalls(deps, args, installs);
  const going = await planRemovals(deps, args, removals);
  return {
    plan: { asked: coming.asked, installs: coming.installs, removals: going.removals },
    declined: [...declined, ...coming.declined, ...going.declined],
  };
}

interface Planning {
  readonly tx: Transaction;
  readonly fixes: readonly RuleFix[];
  readonly bytesPerSecond: number | null;
}

const NOTHING: PackagePlan = { asked: [], installs: [], removals: [] };
const allDeclined = (fixes: readonly RuleFix[], reason: string): Declined[] =>
  fixes.map(({ rule }) => ({ name: rule, reason }));
const namesOf = (fixes: readonly RuleFix[]): string[] => [...new Set(fixes.map(({ fix }) => fix.name))].sort();

/** What of it is still to be done here. */
async function due(deps: PackageDeps, fixes: readonly RuleFix[]) {
  const names = fixes.flatMap(({ fix: { name, onlyIf } }) => [
    name,
    ...(onlyIf?.kind === 'installed' ? [onlyIf.name] : []),
  ]);
  const installed = await deps.apt.installed(names.map((name) => ({ name, arch: 'all' })));
  const has = (name: string) => installed.has(`${name}:all`);
  const asked = fixes.filter(
    ({ fix: { onlyIf } }) =>
      onlyIf === null ||
      (onlyIf.kind === 'installed' ? has(onlyIf.name) : !onlyIf.paths.some((path) => existsSync(path))),
  );
  const isOpposed = ({ fix }: RuleFix) =>
    asked.some((other) => other.fix.name === fix.name && other.fix.action !== fix.action);
  const of = (action: PackageFix['action'], there: boolean) =>
    asked.filter((one) => one.fix.action === action && has(one.fix.name) === there && !isOpposed(one));
  return { installs: of('install', false), removals: of('remove', true), opposed: asked.filter(isOpposed) };
}

/** Each look is a simulation of the package manager's: seconds, where the host is slow. What is left over by then is left out. */
export const MOST_SIMULATIONS = 100;
const TOO_MANY = `left out: after ${MOST_SIMULATIONS} simulations it is not known yet with which of the others it goes together; ask for fewer rules at once`;

/**
 * As many of the fixes as go together: all of them, or those that add no objection to what fits already, halved until the ones in the way are
 * found. A few that can't be done among many cost a few simulations each, not one for each of the others.
 */
async function mostOf(
  fixes: readonly RuleFix[],
  objection: (some: readonly RuleFix[]) => Promise<string | null>,
): Promise<{ readonly fit: readonly RuleFix[]; readonly declined: readonly Declined[] }> {
  let fit: readonly RuleFix[] = [];
  let left = MOST_SIMULATIONS;
  const reasons = new Map<RuleFix, string>();
  const add = async (some: readonly RuleFix[]): Promise<void> => {
    const reason = left > 0 ? await objection([...fit, ...some]) : TOO_MANY;
    left -= 1;
    if (reason === null) {
      fit = [...fit, ...some];
      return;
    }
    if (some.length === 1 || reason === TOO_MANY) {
      for (const one of some) reasons.set(one, reason);
      return;
    }
    const half = Math.ceil(some.length / 2);
    await add(some.slice(0, half));
    await add(some.slice(half));
  };
  // What one stands in the way of may come right with a later one: nobody depends on a package any more once that is gone as well.
  for (let before = -1, rest = fixes; rest.length > 0 && before < fit.length && left > 0; ) {
    before = fit.length;
    await add(rest);
    rest = fixes.filter((one) => !fit.includes(one));
  }
  return {
    fit: fixes.filter((one) => fit.includes(one)),
    declined: fixes.flatMap((one) => (fit.includes(one) ? [] : allDeclined([one], reasons.get(one) ?? TOO_MANY))),
  };
}

async function planInstalls(
  deps: PackageDeps,
  args: Planning,
  fixes: readonly RuleFix[],
): Promise<Pick<PackagePlan, 'asked' | 'installs'> & { readonly declined: readonly Declined[] }> {
  let installs: readonly SimulatedInstall[] = [];
  const { fit, declined } = await mostOf(fixes, async (some) => {
    const resolved = await resolveInstalls(deps, some);
    if (!resolved.ok) return resolved.reason;
    installs = resolved.installs;
    const touched = touchObjection(
      deps.limits(),
      installs.map(({ name }) => name),
    );
    const coming = installs.map(({ name, to }) => ({ name, version: to, sha256: null }));
    return touched ?? notOnLists(some, coming)?.reason ?? null;
  });
  if (fit.length === 0) return { asked: [], installs: [], declined };
  if (declined.length > 0) {
    const resolved = await resolveInstalls(deps, fit);
    if (!resolved.ok) return { asked: [], installs: [], declined: [...declined, ...allDeclined(fit, resolved.reason)] };
    installs = resolved.installs;
  }
  const fetched = await fetchInstalls(deps, { ...args, installs });
  if (!fetched.ok) return { asked: [], installs: [], declined: [...declined, ...allDeclined(fit, fetched.reason)] };
  const strange = notApproved(fit, fetched);
  if (strange.size === 0) return { asked: namesOf(fit), installs: fetched.installs, declined };
  const rest = await planInstalls(
    deps,
    args,
    fit.filter((one) => !strange.has(one)),
  );
  const others = [...strange].flatMap(([one, reason]) => allDeclined([one], reason));
  return { ...rest, declined: [...declined, ...others, ...rest.declined] };
}

/** By fix, what of the fetched files is not what was approved for it. */
function notApproved(fixes: readonly RuleFix[], { installs, digests }: Files): ReadonlyMap<RuleFix, string> {
  const strange = new Map<RuleFix, string>();
  for (const one of fixes) {
    const { fix, wanted } = one;
    if (wanted !== null && digests.get(fileKey(fix.name, wanted.version)) !== wanted.sha256)
      strange.set(one, `the file of ${fix.name} ${wanted.version} that is offered here is not the approved one`);
  }
  const coming = installs.map(({ name, to }) => ({
    name,
    version: to,
    sha256: digests.get(fileKey(name, to)) ?? NO_FILE,
  }));
  const found = notOnLists(fixes, coming);
  if (found === null) return strange;
  // Those that may bring it did; where nobody may, anybody can have.
  const mayHave = fixes.filter(({ mayBring }) => mayBring?.some(({ name }) => name === found.name));
  for (const one of mayHave.length > 0 ? mayHave : fixes) if (!strange.has(one)) strange.set(one, found.reason);
  return strange;
}

async function planRemovals(
  deps: PackageDeps,
  args: Planning,
  fixes: readonly RuleFix[],
): Promise<Pick<PackagePlan, 'removals'> & { readonly declined: readonly Declined[] }> {
  const { fit, declined } = await mostOf(fixes, async (some) => {
    const names = namesOf(some);
    return (await removalObjection(deps, args.tx, names)) ?? touchObjection(deps.limits(), names);
  });
  const removals: PlannedRemoval[] = [];
  const lost: Declined[] = [];
  for (const name of namesOf(fit)) {
    const kept = await keepRemoved(deps, { ...args, name });
    if (kept.ok) removals.push(kept.removal);
    else
      lost.push(
        ...allDeclined(
          fit.filter(({ fix }) => fix.name === name),
          kept.reason,
        ),
      );
  }
  if (lost.length === 0) return { removals, declined };
  // What stays may be what another one of them depends on.
  const rest = await planRemovals(
    deps,
    args,
    fit.filter(({ rule }) => !lost.some(({ name }) => name === rule)),
  );
  return { ...rest, declined: [...declined, ...lost, ...rest.declined] };
}

/** No file has it. */
const NO_FILE = '';
type Files = Pick<Extract<Fetched, { ok: true }>, 'installs' | 'digests'>;

type Resolved =
  | { readonly ok: true; readonly installs: readonly SimulatedInstall[] }
  | { readonly ok: false; readonly reason: string };

async function resolveInstalls(deps: PackageDeps, fixes: readonly RuleFix[]): Promise<Resolved> {
  const names = namesOf(fixes);
  const versions = new Map(fixes.flatMap(({ fix, wanted }) => (wanted === null ? [] : [[fix.name, wanted.version]])));
  const specs = names.map((name) => (versions.has(name) ? `${name}=${versions.get(name)}` : name));
  let result = await deps.run(aptResolve(specs), { timeoutMs: FETCH_TIMEOUT_MS });
  // Without the approved version, people want to know which one there is.
  if (result.code !== 0 && versions.size > 0)
    result = await deps.run(aptResolve(names), { timeoutMs: FETCH_TIMEOUT_MS });
  if (result.code !== 0)
    return { ok: false, reason: `can not install ${names.join(', ')}: ${aptWords(result.stderr || result.stdout)}` };
  const { installs, removes } = parseSimulation(result.stdout);
  const missing = names.find((name) => !installs.some((install) => install.name === name));
  if (missing !== undefined) return { ok: false, reason: `apt would not install ${missing} itself` };
  const moved = installs.filter(({ from }) => from !== null);
  if (removes.length > 0 || moved.length > 0) {
    const words = [
      ...removes.map((name) => `remove ${name}`),
      ...moved.map(({ name, from, to }) => `move ${name} from ${from} to ${to}`),
    ];
    return {
      ok: false,
      reason: `installing ${names.join(', ')} would also ${words.slice(0, 5).join(', ')}: a patch cycle may do that, a remediation does not`,
    };
  }
  for (const { fix, wanted } of fixes) {
    const offered = installs.find(({ name }) => name === fix.name)?.to;
    if (wanted !== null && offered !== wanted.version)
      return { ok: false, reason: `expected ${fix.name} ${wanted.version} as approved, offered ${offered}` };
  }
  return { ok: true, installs };
}

/** Only exactly the named packages, which nothing depends on, and never what the system can't be without. */
async function removalObjection(deps: PackageDeps, tx: Transaction, names: readonly string[]): Promise<string | null> {
  if (names.length === 0) return null;
  const now = await deps.apt.installed(names.map((name) => ({ name, arch: 'all' })));
  const held = names.find((name) => now.get(`${name}:all`)?.held === true);
  if (held !== undefined) return `${held} is held on this endpoint`;
  // biome-ignore lint/suspicious/noTemplateCurlyInString: dpkg-query fills this in
  const format = '${Package} ${Essential} ${Protected}\\n';
  const marks = await deps.run(['dpkg-query', '-W', '-f', format, ...names]);
  if (marks.code !== 0) return `can not look at ${names.join(', ')}: ${tail(marks.stderr, 200)}`;
  const vital = marks.stdout.split('\n').find((line) => / yes\b/.test(line));
  if (vital !== undefined) return `${vital.split(' ')[0]} is essential: it is never removed`;
  mkdirSync(join(workFolders(tx).lists, 'partial'), { recursive: true, mode: 0o755 });
  const simulated = await deps.run(aptRemove({ tx, names, simulate: true }), { timeoutMs: FETCH_TIMEOUT_MS });
  if (simulated.code !== 0)
    return `can not remove ${names.join(', ')}: ${aptWords(simulated.stderr || simulated.stdout)}`;
  const { installs, removes } = parseSimulation(simulated.stdout);
  const others = removes.filter((name) => !names.includes(name));
  if (others.length > 0)
    return `removing ${names.join(', ')} would also remove ${others.slice(0, 8).join(', ')}, which depend on it`;
  if (installs.length > 0) return `removing ${names.join(', ')} would also install ${installs[0]?.name}`;
  const left = names.find((name) => !removes.includes(name));
  return left === undefined ? null : `apt would not remove ${left}`;
}

/** What the owner of the host has said is never to be touched; null: none of these. */
export function touchObjection(limits: LocalLimits, names: readonly string[]): string | null {
  for (const name of names) {
    const pattern = neverTouchPattern(limits, name);
    if (pattern !== null) return `${name} is never to be touched (${pattern})`;
  }
  return null;
}
