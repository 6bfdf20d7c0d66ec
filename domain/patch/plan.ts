/** What a patch cycle would bring to each endpoint, from what was read; the freeze and the dry run share it. */
import type { KindPlan, UpdateFacts } from '../change/kind-plan.js';
import type { PatchParameters } from '../change/patch-parameters.js';
import type { Exception } from '../exception/exception.js';
import type { EpochMs } from '../time.js';
import { fixBook } from './fix-book.js';
import { type KnownPackage, packageKey, type SourceFix, type WorkGroup } from './model.js';
import { planGroups } from './plan-group.js';

/** A group of endpoints with the exceptions in force on all of them. */
export interface ExceptedGroup {
  readonly group: WorkGroup;
  readonly exceptions: readonly Exception[];
}

/** Everything planning has to read. */
export interface PatchInputs {
  readonly groups: readonly ExceptedGroup[];
  /** By {@link packageKey}. */
  readonly catalogue: ReadonlyMap<string, KnownPackage>;
  /** By source. */
  readonly fixes: ReadonlyMap<string, readonly SourceFix[]>;
}

/** The versions that must be looked up in the catalogue: what is offered, and what would be gone back to. */
export function versionsToLookUp(groups: readonly WorkGroup[]): { name: string; arch: string; version: string }[] {
  const versions = new Map<string, { name: string; arch: string; version: string }>();
  for (const { name, arch, installed, candidate } of groups.flatMap((group) => group.proposed)) {
    for (const version of installed === null ? [candidate] : [candidate, installed]) {
      versions.set(packageKey({ name, arch, version }), { name, arch, version });
    }
  }
  return [...versions.values()];
}

/** @param args.undoable endpoints that get nothing that can't be taken back; none where left out */
export function planPatches(
  args: PatchInputs & {
    readonly parameters: PatchParameters;
    readonly now: EpochMs;
    readonly undoable?: ReadonlySet<string> | undefined;
  },
): KindPlan {
  const { groups, catalogue, parameters, now, undoable = new Set<string>() } = args;
  const fixes = fixBook(args.fixes);
  const known = (p: { name: string; arch: string; version: string }) => catalogue.get(packageKey(p));
  const works = groups.flatMap((part) => planGroups({ ...part, known, fixes, parameters, now }, undoable));

  const facts = new Map<string, UpdateFacts>();
  for (const update of works.flatMap((work) => work.set.updates)) {
    const key = packageKey({ ...update, version: update.to });
    const found = catalogue.get(key);
    if (found === undefined) continue;
    const fixed = fixes.between(update.source, update.from, found.sourceVersion);
    const released = fixes.releasedAt(update.source, found.sourceVersion);
    facts.set(key, {
      name: update.name,
      arch: update.arch,
      version: update.to,
      source: update.source,
      vendor: found.vendor,
      severity: fixed.urgency,
      cves: [...new Set([...(facts.get(key)?.cves ?? []), ...fixed.cves])].sort(),
      publishedAt: Math.min(found.firstSeen, released ?? found.firstSeen),
    });
  }
  return { works, facts: [...facts.values()] };
}
