/** What is left to do of an order on this host, as it is now. Pure. */
import type { OrderDocument } from '../../protocol/messages.js';
import { type LocalLimits, neverTouchPattern } from '../limits/limits.js';
import type {
  Declined,
  InstalledPackage,
  OldPackage,
  PackageChange,
  PackageUpdate,
  Provider,
} from '../providers/provider.js';

export type Installed = ReadonlyMap<string, InstalledPackage>;
export const keyOf = (p: { readonly name: string; readonly arch: string }): string => `${p.name}:${p.arch}`;

export type ChangePlan =
  | { readonly kind: 'do'; readonly updates: readonly PackageUpdate[]; readonly declined: readonly Declined[] }
  | { readonly kind: 'satisfied' }
  | { readonly kind: 'refuse' | 'decline'; readonly reason: string; readonly declined?: readonly Declined[] };

/**
 * Compares each update with what is installed: there already, or newer, counts as satisfied and is left out; anything but
 * exactly the planned `from` is refused, because it is not what was approved. Where updates are separable, only those are left out.
 */
export function planChange(args: {
  readonly updates: readonly PackageUpdate[];
  readonly installed: Installed;
  readonly limits: LocalLimits;
  readonly compare: Provider['compareVersions'];
  readonly separable?: boolean | undefined;
}): ChangePlan {
  const left: PackageUpdate[] = [];
  const declined: Declined[] = [];
  for (const update of args.updates) {
    const verdict = judge(update, { ...args, now: args.installed.get(keyOf(update)) });
    if (verdict === 'todo') left.push(update);
    else if (verdict !== 'done' && args.separable !== true) return verdict;
    else if (verdict !== 'done') declined.push({ name: update.name, reason: verdict.reason });
  }
  if (left.length > 0) return { kind: 'do', updates: left, declined };
  return declined.length === 0 ? { kind: 'satisfied' } : { kind: 'decline', reason: inWords(declined), declined };
}

/** What an order was declined for, for people. */
export const inWords = (declined: readonly Declined[]): string =>
  declined.map(({ name, reason }) => (reason.startsWith(`${name} `) ? reason : `${name}: ${reason}`)).join('; ');

function judge(
  update: PackageUpdate,
  args: {
    readonly now: InstalledPackage | undefined;
    readonly limits: LocalLimits;
    readonly compare: Provider['compareVersions'];
  },
): 'todo' | 'done' | { readonly kind: 'refuse' | 'decline'; readonly reason: string } {
  const { now } = args;
  const order = now === undefined ? -1 : args.compare(now.version, update.to);
  if (order === null)
    return { kind: 'refuse', reason: `${update.name}: ${now?.version} and ${update.to} can't be compared` };
  if (order >= 0 && now?.whole === true) return 'done';
  if ((now?.version ?? null) !== update.from && now?.version !== update.to) {
    return {
      kind: 'refuse',
      reason: `${update.name} is ${now?.version ?? 'not installed'}, the plan says ${update.from ?? 'not installed'}`,
    };
  }
  const pattern = neverTouchPattern(args.limits, update.name);
  if (pattern !== null) return { kind: 'decline', reason: `${update.name} is never to be touched (${pattern})` };
  if (now?.held === true) return { kind: 'decline', reason: `${update.name} is held on this endpoint` };
  return 'todo';
}

/** What a change order replaced here, as far as a revert may touch it. */
export type Replaced = Pick<PackageChange, 'name' | 'arch' | 'from' | 'to' | 'source'>;

export type RevertPlan =
  | {
      readonly kind: 'do';
      readonly packages: readonly (Replaced & { readonly old: OldPackage })[];
      readonly left: readonly string[];
    }
  | { readonly kind: 'moot'; readonly reason: string }
  | { readonly kind: 'decline' | 'failed'; readonly reason: string };

/**
 * A revert touches a source only where all its packages are still what the change installed: what came later (a zero-day)
 * stays. All binaries of a source go back together. Packages the change newly installed stay: nothing is ever removed.
 */
export function planRevert(args: {
  readonly doc: Pick<OrderDocument, 'updates' | 'previous'>;
  /** From our journal; null when we do not know the change (journal lost): then the order's own updates count. */
  readonly replaced: readonly Replaced[] | null;
  readonly installed: Installed;
  readonly limits: LocalLimits;
}): RevertPlan {
  const all: readonly Replaced[] = (args.replaced ?? args.doc.updates).filter((p) => p.from !== null);
  const versionOf = (p: Replaced) => args.installed.get(keyOf(p))?.version ?? 'not installed';
  const foreign = all.filter((p) => versionOf(p) !== p.to && versionOf(p) !== p.from);
  const foreignSources = new Set(foreign.map((p) => p.source));
  const ours = all.filter((p) => versionOf(p) === p.to && p.to !== p.from && !foreignSources.has(p.source));
  const left = foreign.map((p) => `${p.name} is ${versionOf(p)}, not ${p.to}`);
  if (ours.length === 0) {
    return {
      kind: 'moot',
      reason: left.length > 0 ? left.join(', ') : 'what the change installed is not installed any more',
    };
  }
  const touched = ours.find(
    (p) => neverTouchPattern(args.limits, p.name) !== null || args.installed.get(keyOf(p))?.held === true,
  );
  if (touched !== undefined)
    return { kind: 'decline', reason: `${touched.name} is held, or never to be touched, on this endpoint` };
  const packages: (Replaced & { old: OldPackage })[] = [];
  for (const p of ours) {
    const old = args.doc.previous.find(
      (o) => o.name === p.name && o.version === p.from && (o.arch === p.arch || [o.arch, p.arch].includes('all')),
    );
    if (old === undefined) return { kind: 'failed', reason: `the order has no file of ${p.name} ${p.from}` };
    packages.push({ ...p, old });
  }
  return { kind: 'do', packages, left };
}
