/**
 * Carries out fixes that move packages by the agent's own rules for packages, there and back: files at hand first, simulated, and nothing
 * beyond what was planned. The scripts themselves are not run.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { joinRun, latestRun, startRun, waitForNobody } from '../../system/detached-run.js';
import { readTextIfThere, writeFileDurably } from '../../system/files.js';
import { aptRemove, dpkgConfigureAll, dpkgPurge, workFolders } from '../apt/commands.js';
import { hasTouched, lockedOut } from '../apt/lock.js';
import { parseSimulation } from '../apt/parse.js';
import type { Declined, PackageChange, RunOutcome, Simulated, Transaction, Verdict } from '../provider.js';
import type { PackageDeps, PlannedRemoval } from './package-files.js';
import { type PackagePlan, planPackages, type RuleFix, touchObjection } from './package-plan.js';

/** Of one order. `home`: the folder of the order whose fixes they are; `tx`: of the one that is carried out, which may take them back. */
export interface PackageWork {
  readonly home: string;
  readonly tx: Transaction;
}

const folderIn = (home: string) => join(home, 'packages');
const planFile = (home: string) => join(folderIn(home), 'plan.json');

export function readPackagePlan(home: string): PackagePlan | null {
  const text = readTextIfThere(planFile(home));
  return text === null ? null : (JSON.parse(text) as PackagePlan);
}

const there = ({ home, tx }: PackageWork, plan: PackagePlan): Transaction => ({
  orderId: tx.orderId,
  dir: folderIn(home),
  changes: plan.installs,
});

/** What it would move, as people and the server see it. */
export function packageMoves(plan: PackagePlan | null) {
  return [
    ...(plan?.installs ?? []).map(({ name, arch, to }) => ({ name, arch, from: null, to })),
    ...(plan?.removals ?? []).map(({ name, arch, version }) => ({ name, arch, from: version, to: null })),
  ];
}

/** As it is kept; agents before this one declined all or nothing. */
type KeptPlan = PackagePlan & { readonly declined?: readonly Declined[] };

/** Plans and fetches, once, by rule; asked again, it looks whether the plan still holds, and plans anew where it does not: nothing has begun. */
export async function preparePackages(
  deps: PackageDeps,
  work: PackageWork,
  args: { readonly fixes: readonly RuleFix[]; readonly bytesPerSecond: number | null },
): Promise<Simulated> {
  const known: KeptPlan | null = readPackagePlan(work.home);
  if (known !== null && (await holds(deps, work, known)).ok) return { ok: true, declined: known.declined ?? [] };
  if (known === null && args.fixes.length === 0) return { ok: true };
  const tx = { orderId: work.tx.orderId, dir: folderIn(work.home), changes: [] };
  mkdirSync(tx.dir, { recursive: true, mode: 0o755 });
  const { plan, declined } = await planPackages(deps, { ...args, tx });
  writeFileDurably(planFile(work.home), JSON.stringify({ ...plan, declined } satisfies KeptPlan));
  const verdict = await holds(deps, work, plan);
  return verdict.ok ? { ok: true, declined } : verdict;
}

/** The owner may have said something since it was made, between staging and now. */
async function holds(deps: PackageDeps, work: PackageWork, plan: PackagePlan): Promise<Simulated> {
  const never = touchObjection(
    deps.limits(),
    [...plan.installs, ...plan.removals].map(({ name }) => name),
  );
  if (never !== null) return { ok: false, reason: never };
  if (plan.installs.length > 0) {
    const simulated = await deps.apt.simulate(there(work, plan), 'forward');
    if (!simulated.ok) return simulated;
  }
  return plan.removals.length === 0 ? { ok: true } : onlyThese(deps, there(work, plan), plan.removals);
}

/** Null: this order moves no packages. `whole`: everything is where it should be, so the other fixes may follow. */
export async function runPackages(
  deps: PackageDeps,
  work: PackageWork,
  again: boolean,
): Promise<(RunOutcome & { readonly whole: boolean }) | null> {
  const plan = readPackagePlan(work.home);
  if (plan === null) return null;
  const tx = there(work, plan);
  let outcome: RunOutcome = { interrupted: false, output: '' };
  if (plan.installs.length > 0) {
    outcome = await deps.apt.run(tx, 'forward', { again });
    if (outcome.notBegun !== undefined) return { ...outcome, whole: false };
    if (!outcome.interrupted) await mark(deps, 'manual', plan.asked);
  }
  if (!outcome.interrupted && plan.removals.length > 0 && (await judgeForward(deps, { ...plan, removals: [] })).ok) {
    const names = plan.removals.map(({ name }) => name);
    const begun = packagesBegun(work.home);
    const argv = aptRemove({ tx, names, simulate: false, orNotAtAll: !begun });
    const removed = await runOnce({ deps, tx, name: 'remove', argv, again: again || !begun });
    const notBegun = packagesBegun(work.home) ? null : lockedOut(removed.output);
    if (notBegun !== null) return { ...removed, notBegun, whole: false };
    outcome = { interrupted: removed.interrupted, output: `${outcome.output}\n${removed.output}`.trim() };
  }
  const verdict = outcome.interrupted ? null : await judgeForward(deps, plan);
  return { ...outcome, whole: verdict?.ok === true };
}

export const packagesBegun = (home: string): boolean =>
  ['forward', 'remove'].some((name) => hasTouched(folderIn(home), name));

/** Who keeps this order's fixes from moving packages now; null: nobody, or it moves none. */
export async function othersAtPackages(deps: PackageDeps, work: PackageWork): Promise<string | null> {
  const plan = readPackagePlan(work.home);
  const moves = plan !== null && plan.installs.length + plan.removals.length > 0;
  return moves ? ((await deps.apt.othersAtWork?.(there(work, plan))) ?? null) : null;
}

/** After something was cut short: dpkg's database whole again, whichever way we go on. */
export async function repairPackages(deps: PackageDeps, work: PackageWork): Promise<readonly string[]> {
  const plan = readPackagePlan(work.home);
  if (plan === null || !packagesBegun(work.home)) return [];
  await waitForNobody(folderIn(work.home));
  const notes = plan.installs.length > 0 ? await deps.apt.repair(there(work, plan), 'forward') : [];
  if ((await deps.apt.audit()) === '') return notes;
  const configured = await deps.run(dpkgConfigureAll(), { timeoutMs: 30 * 60_000 });
  return [...notes, `dpkg --configure -a${configured.code === 0 ? '' : ' did not do'}`];
}

/** `problems`: what could not be taken back, for people. `lockedOut`: who kept it from going on, or null. Done again, it goes on with what is left. */
export interface WentBack {
  readonly interrupted: boolean;
  readonly problems: readonly string[];
  readonly lockedOut: string | null;
}
export const BACK: WentBack = { interrupted: false, problems: [], lockedOut: null };
const CUT: WentBack = { ...BACK, interrupted: true, problems: ['the package manager was cut short on the way back'] };

/** Going back has runs of its own, in the folder of the order that goes back: an earlier one's say nothing of it. */
const wayBackFor = ({ tx }: PackageWork, changes: readonly PackageChange[]): Transaction => ({
  orderId: tx.orderId,
  dir: folderIn(tx.dir),
  changes,
});
const bringFolder = (dir: string) => join(folderIn(dir), 'back');

/** Whether this order may have moved a package back. */
export const packagesBackBegun = ({ dir }: Transaction): boolean =>
  ['take-away', 'purge'].some((name) => hasTouched(folderIn(dir), name)) || hasTouched(bringFolder(dir), 'forward');

/** `begun`: not only for packages. Before that nothing waits for dpkg's lock, past the permit to begin it may be. */
export async function packagesBack(
  deps: PackageDeps,
  work: PackageWork,
  { begun }: { readonly begun: boolean },
): Promise<WentBack> {
  const plan = readPackagePlan(work.home);
  if (plan === null || !packagesBegun(work.home)) return BACK;
  await waitForNobody(folderIn(work.home));
  const away = await takeAway({ deps, work, plan, begun });
  if (away.interrupted || away.lockedOut !== null) return away;
  const brought = await bringBack(deps, work, plan.removals);
  return { ...brought, problems: [...away.problems, ...brought.problems] };
}

/** Why going back would do something else than that by now; null: it would not. For an order that comes later, before it touches anything. */
export async function backObjection(deps: PackageDeps, work: PackageWork): Promise<string | null> {
  const plan = readPackagePlan(work.home);
  if (plan === null || !packagesBegun(work.home)) return null;
  const now = await deps.apt.installed([...plan.installs, ...plan.removals]);
  const wanted = [...plan.installs.map((one) => ({ ...one, version: one.to })), ...plan.removals];
  const other = wanted.find((one) => (now.get(keyOf(one))?.version ?? one.version) !== one.version);
  if (other !== undefined) return `${other.name} is ${now.get(keyOf(other))?.version} by now, not ${other.version}`;
  const ours = plan.installs.filter((one) => now.has(keyOf(one)));
  const only = ours.length === 0 ? ({ ok: true } as const) : await onlyThese(deps, there(work, plan), ours);
  return only.ok ? null : only.reason;
}

/** Whether packages are as they were before the fixes. */
export async function judgePackagesBack(deps: PackageDeps, work: PackageWork): Promise<Verdict> {
  const plan = readPackagePlan(work.home);
  if (plan === null || !packagesBegun(work.home)) return { ok: true };
  const now = await deps.apt.installed([...plan.installs, ...plan.removals]);
  const still = plan.installs.filter((one) => now.get(keyOf(one))?.version === one.to);
  const missing = plan.removals.filter((one) => {
    const found = now.get(keyOf(one));
    return found?.version !== one.version || !found.whole;
  });
  if (still.length + missing.length > 0) {
    const words = [
      ...still.map(({ name }) => `${name} is still installed`),
      ...missing.map(({ name, version }) => `${name} ${version} is not installed again`),
    ];
    return { ok: false, reason: words.slice(0, 8).join(', ') };
  }
  const complaints = await deps.apt.audit();
  return complaints === '' ? { ok: true } : { ok: false, reason: `dpkg --audit: ${complaints.slice(0, 600)}` };
}

const keyOf = (p: { readonly name: string; readonly arch: string }): string => `${p.name}:${p.arch}`;

async function judgeForward(deps: PackageDeps, plan: PackagePlan): Promise<Verdict> {
  const now = await deps.apt.installed([...plan.installs, ...plan.removals]);
  const missing = plan.installs.find((one) => now.get(keyOf(one))?.whole !== true);
  if (missing !== undefined) return { ok: false, reason: `${missing.name} is not installed` };
  const left = plan.removals.find((one) => now.has(keyOf(one)));
  return left === undefined ? { ok: true } : { ok: false, reason: `${left.name} is still installed` };
}

/** Takes away what we installed, as long as it is in our version and nothing else has come to depend on it. */
async function takeAway(args: {
  readonly deps: PackageDeps;
  readonly work: PackageWork;
  readonly plan: PackagePlan;
  readonly begun: boolean;
}): Promise<WentBack> {
  const { deps, work, plan } = args;
  const now = await deps.apt.installed(plan.installs);
  const ours = plan.installs.filter((one) => now.get(keyOf(one))?.version === one.to);
  const tx = wayBackFor(work, plan.installs);
  if (ours.length > 0) {
    const only = await onlyThese(deps, tx, ours);
    if (!only.ok) return { ...BACK, problems: [`not taken away again: ${only.reason}`] };
    const names = ours.map(({ name }) => name);
    const argv = aptRemove({ tx, names, simulate: false, orNotAtAll: !args.begun });
    const removed = await runOnce({ deps, tx, name: 'take-away', argv, again: true });
    if (removed.interrupted) return CUT;
    const locked = lockedOut(removed.output);
    if (locked !== null) return { ...BACK, lockedOut: locked };
  }
  // Their configuration too, where there was none before; what is below /etc is compared with the snapshot afterwards in any case.
  const gone = await deps.apt.installed(plan.installs);
  const left = plan.installs.filter((one) => !one.leftovers && !gone.has(keyOf(one))).map(({ name }) => name);
  if (left.length === 0) return BACK;
  const purged = await runOnce({ deps, tx, name: 'purge', argv: dpkgPurge(left), again: true });
  return { ...BACK, lockedOut: lockedOut(purged.output) };
}

async function bringBack(deps: PackageDeps, work: PackageWork, removals: readonly PlannedRemoval[]): Promise<WentBack> {
  const now = await deps.apt.installed(removals);
  const missing = removals.filter((one) => now.get(keyOf(one))?.whole !== true);
  if (missing.length === 0) return BACK;
  const taken = missing.filter((one) => (now.get(keyOf(one))?.version ?? one.version) !== one.version);
  if (taken.length > 0)
    return {
      ...BACK,
      problems: [`${taken[0]?.name} has been installed by somebody else, in another version`],
    };
  const changes = missing.map(
    ({ name, arch, version, file }): PackageChange => ({
      name,
      arch,
      from: null,
      to: version,
      source: name,
      file,
      previousFile: null,
    }),
  );
  const tx = { orderId: work.tx.orderId, dir: bringFolder(work.tx.dir), changes };
  const simulated = await deps.apt.simulate(tx, 'forward');
  if (!simulated.ok) return { ...BACK, problems: [`not installed again: ${simulated.reason}`] };
  const outcome = await deps.apt.run(tx, 'forward', { again: true });
  const locked = outcome.interrupted ? null : (outcome.notBegun ?? lockedOut(outcome.output));
  if (locked !== null) return { ...BACK, lockedOut: locked };
  await mark(
    deps,
    'manual',
    missing.filter((one) => !one.automatic).map(({ name }) => name),
  );
  return outcome.interrupted ? CUT : BACK;
}

/** Whether removing these would remove exactly these. */
async function onlyThese(
  deps: PackageDeps,
  tx: Transaction,
  packages: readonly { readonly name: string }[],
): Promise<Verdict> {
  const { lists, archives } = workFolders(tx);
  for (const dir of [lists, archives]) mkdirSync(join(dir, 'partial'), { recursive: true, mode: 0o755 });
  const names = packages.map(({ name }) => name);
  const result = await deps.run(aptRemove({ tx, names, simulate: true }), { timeoutMs: 5 * 60_000 });
  const { installs, removes } = parseSimulation(result.stdout);
  const others = removes.filter((name) => !names.includes(name));
  if (result.code !== 0) return { ok: false, reason: `apt can not remove ${names.join(', ')}` };
  if (others.length > 0) return { ok: false, reason: `${others.slice(0, 8).join(', ')} would go with it` };
  return installs.length === 0 ? { ok: true } : { ok: false, reason: `${installs[0]?.name} would come instead` };
}

async function runOnce(args: {
  readonly deps: PackageDeps;
  readonly tx: Transaction;
  readonly name: string;
  readonly argv: readonly string[];
  readonly again: boolean;
}): Promise<RunOutcome> {
  const { deps, tx, name, argv, again } = args;
  const earlier = latestRun(tx.dir, name);
  if (earlier !== null && !again) return joinRun(tx.dir, earlier);
  await waitForNobody(tx.dir);
  return (deps.start ?? startRun)({ txDir: tx.dir, name, argv });
}

async function mark(deps: PackageDeps, as: 'manual' | 'auto', names: readonly string[]): Promise<void> {
  if (names.length > 0) await deps.run(['apt-mark', '-o', 'DPkg::Lock::Timeout=600', as, ...names]);
}
