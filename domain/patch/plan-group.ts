/** What endpoints that are alike get, decided without any IO. */
import type { KindWork, OldPackage, TriageNote } from '../change/kind-plan.js';
import type { PatchParameters } from '../change/patch-parameters.js';
import { SNAPSHOT_HOOK } from '../change/way-back.js';
import type { ExceptedUpdate, PackageUpdate, TriageDecision, TriageException, TriageRules } from '../content/index.js';
import {
  classifyUpdates,
  EMPTY_UPDATE_SET,
  NO_WAY_BACK,
  triageUpdates,
  updateKey,
  updateSet,
  worstOf,
} from '../content/index.js';
import { type Exception, exceptionFor, exceptionInWords } from '../exception/exception.js';
import type { EpochMs } from '../time.js';
import type { FixBook } from './fix-book.js';
import type { KnownPackage, WorkGroup } from './model.js';

export interface PlanGroupInput {
  readonly group: WorkGroup;
  /** In force on every endpoint of the group. */
  readonly exceptions: readonly Exception[];
  readonly known: (p: { name: string; arch: string; version: string }) => KnownPackage | undefined;
  readonly fixes: FixBook;
  readonly parameters: PatchParameters;
  readonly now: EpochMs;
  /** `name:arch` of updates these endpoints must not get, for they can't be undone, with the reason. */
  readonly noWayBack?: ReadonlyMap<string, string>;
}

/** Matches no package: a list that came to nothing must not turn into "everything". */
const NOTHING = '';

/**
 * The group's work; and, for those of its endpoints that must be able to go back, the same without what can't be undone.
 * @param undoable ids of such endpoints, of this group or another
 */
export function planGroups(input: PlanGroupInput, undoable: ReadonlySet<string>): readonly KindWork[] {
  const whole = planGroup(input);
  const careful = input.group.endpointIds.filter((id) => undoable.has(id));
  if (whole.noWayBack === null || careful.length === 0) return [whole];
  const reasons = whole.triage.flatMap((note): [string, string][] =>
    note.outcome === 'included' && NO_WAY_BACK.includes(note.rule)
      ? [
          [
            updateKey(note),
            `${note.reason}; it needs the hook “${SNAPSHOT_HOOK}” in its policy, or approvals in its ring`,
          ],
        ]
      : [],
  );
  const of = (endpointIds: readonly string[]) => ({ ...input, group: { ...input.group, endpointIds } });
  const rest = input.group.endpointIds.filter((id) => !undoable.has(id));
  const without = planGroup({ ...of(careful), noWayBack: new Map(reasons) });
  return rest.length === 0 ? [without] : [planGroup(of(rest)), without];
}

export function planGroup(input: PlanGroupInput): KindWork {
  const { group, known } = input;
  const sourceOf = new Map(group.installed.map((one) => [updateKey(one), one.source]));
  const proposed = group.proposed.map(({ name, arch, installed, candidate }) => ({
    name,
    arch,
    from: installed,
    to: candidate,
    source: known({ name, arch, version: candidate })?.source ?? sourceOf.get(updateKey({ name, arch })) ?? name,
  }));
  const triaged = triageUpdates({
    proposed,
    rules: rulesFor(input, proposed),
    now: input.now,
    verified: (update) => {
      const found = known(update);
      if (found === undefined || found.ambiguous) return null;
      const { source, sha256, size, pocket } = found;
      const released = input.fixes.releasedAt(source, found.sourceVersion);
      return { source, sha256, size, pocket, publishedAt: Math.min(found.firstSeen, released ?? found.firstSeen) };
    },
  });
  const { decisions, updates } = withoutIdleNewcomers(triaged.decisions, triaged.updates);
  const result = updateSet(updates);
  const previous = updates.flatMap((update) => oldFile(update, known) ?? []);
  const oldFiles = new Set(previous.map(updateKey));
  const verdicts = classifyUpdates({
    updates,
    installed: group.installed,
    oldFileAvailable: (update) => oldFiles.has(updateKey(update)),
  });
  const triage = decisions.flatMap((decision): TriageNote[] => {
    if (decision.outcome !== 'included') return [explained(decision, known)];
    const verdict = verdicts.get(updateKey(decision));
    if (verdict === undefined || verdict.class === 'reversible') return [];
    return [{ ...decision, rule: verdict.rule, reason: verdict.reason, reversibility: verdict.class }];
  });
  return {
    endpointIds: group.endpointIds,
    provider: group.provider,
    set: result.ok ? result.set : EMPTY_UPDATE_SET,
    previous,
    reversibility: worstOf(verdicts.values()),
    noWayBack: [...verdicts.values()].find(({ rule }) => NO_WAY_BACK.includes(rule))?.reason ?? null,
    triage,
    idle: idleReason(result.ok ? null : result.reason, decisions),
  };
}

function rulesFor(
  input: PlanGroupInput,
  proposed: readonly { name: string; arch: string; from: string | null; to: string; source: string }[],
): TriageRules {
  const { parameters, group, known, fixes } = input;
  const { include } = parameters;
  const troubles = proposed.flatMap((update): TriageException[] => {
    const found = known({ name: update.name, arch: update.arch, version: update.to });
    if (found === undefined || found.ambiguous) return [];
    if (found.withdrawn) {
      const reason = `no verified index names ${update.to} any more, so the endpoint's own index is behind`;
      return [{ pattern: update.name, until: null, reason }];
    }
    return found.refusal === null
      ? []
      : [{ pattern: update.name, until: null, reason: `its file could not be had: ${found.refusal}` }];
  });
  const fixing =
    typeof include === 'string' || include.cves.length === 0
      ? []
      : proposed.filter((update) => {
          const to = known({ name: update.name, arch: update.arch, version: update.to })?.sourceVersion ?? update.to;
          return fixes.between(update.source, update.from, to).cves.some((cve) => include.cves.includes(cve));
        });
  const allow =
    typeof include === 'string'
      ? []
      : [...include.packages, ...include.sources, ...fixing.map((update) => update.source), NOTHING];
  return {
    include: include === 'security' ? 'security' : 'all',
    allow,
    deny: parameters.exclude,
    minAgeDays: parameters.minAgeDays,
    minAgeDaysSecurity: parameters.minAgeDaysSecurity,
    exceptions: [...parameters.defer, ...troubles],
    excepted: exceptedOf(input, proposed),
    localNeverTouch: group.neverTouch,
    ...(input.noWayBack === undefined ? {} : { noWayBack: input.noWayBack }),
  };
}

function exceptedOf(
  input: PlanGroupInput,
  proposed: readonly { name: string; arch: string; from: string | null; to: string; source: string }[],
): ExceptedUpdate[] {
  const { exceptions, known, fixes } = input;
  if (exceptions.length === 0) return [];
  return proposed.flatMap((update) => {
    const to = known({ name: update.name, arch: update.arch, version: update.to })?.sourceVersion ?? update.to;
    const { cves } = fixes.between(update.source, update.from, to);
    const exception = exceptionFor({ update: { ...update, cves }, exceptions });
    if (exception === null) return [];
    const { name, arch } = update;
    return [{ name, arch, until: exception.expiresAt, words: exceptionInWords(exception) }];
  });
}

/** New packages come only with what pulls them in; with every upgrade left out, nothing can. */
function withoutIdleNewcomers(
  decisions: readonly TriageDecision[],
  updates: readonly PackageUpdate[],
): { decisions: readonly TriageDecision[]; updates: readonly PackageUpdate[] } {
  if (updates.some((update) => update.from !== null)) return { decisions, updates };
  return {
    updates: [],
    decisions: decisions.map((decision) =>
      decision.outcome === 'included'
        ? { ...decision, outcome: 'declined', rule: 'together', reason: 'nothing that could pull it in is included' }
        : decision,
    ),
  };
}

function oldFile(update: PackageUpdate, known: PlanGroupInput['known']): OldPackage | null {
  if (update.from === null) return null;
  const found = known({ name: update.name, arch: update.arch, version: update.from });
  if (found === undefined || found.ambiguous || found.refusal !== null) return null;
  return { name: update.name, arch: update.arch, version: update.from, sha256: found.sha256, size: found.size };
}

/** An unverified version is told apart from one that repositories disagree about. */
function explained(decision: TriageDecision, known: PlanGroupInput['known']): TriageDecision {
  if (decision.rule !== 'unverified' || decision.to === null) return decision;
  const found = known({ name: decision.name, arch: decision.arch, version: decision.to });
  if (found?.ambiguous !== true) return decision;
  return { ...decision, reason: 'verified indexes name different files for this version' };
}

function idleReason(refused: string | null, decisions: readonly TriageDecision[]): string | null {
  if (refused !== null) return `its updates can't be planned: ${refused}`;
  if (decisions.some((decision) => decision.outcome === 'included')) return null;
  const count = (outcome: string) => decisions.filter((decision) => decision.outcome === outcome).length;
  return `nothing to do: ${count('deferred')} updates deferred, ${count('declined')} declined`;
}
