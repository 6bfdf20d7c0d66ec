/** The plan as it would be now, without writing anything. */
import type { PlannedEndpoint } from '../db/plan/load.js';
import type { PlanRow } from '../db/plan/write.js';
import { planHeader } from '../domain/change/plan-terms.js';
import { assignRings } from '../domain/change/ring-assignment.js';
import type { InScope } from '../domain/change/scope.js';
import type { FrozenPlan, PlanEntry, UpdateSet } from '../domain/content/index.js';
import { freezePlan } from '../domain/content/index.js';
import type { KindPlan } from './kinds/change-kind.js';
import type { LoadedChange } from './stage-deps.js';
import { hopeless } from './stage-deps.js';
import type { Survey } from './survey.js';

export interface Draft {
  readonly frozen: FrozenPlan;
  readonly rows: readonly PlanRow[];
  /** Endpoints per ring, by ordinal. */
  readonly planned: readonly number[];
}

/**
 * Puts survey, the kind's decisions and what an earlier plan fixed together. Endpoints in rings that have opened stay as
 * they were frozen: their orders are out.
 * @throws ApplicationFailure, not to be retried, when a ring's terms are malformed.
 */
export function draftPlan(args: {
  readonly loaded: LoadedChange;
  readonly seen: Survey;
  readonly kindPlan: KindPlan;
  readonly before: readonly PlannedEndpoint[];
  readonly openedRings: ReadonlySet<number>;
  /** Update sets of the rows that stay. */
  readonly keptSets: ReadonlyMap<string, UpdateSet>;
}): Draft {
  const { loaded, seen, kindPlan, openedRings } = args;
  const { spec } = loaded.change;
  const kept = new Map(
    args.before.flatMap((row) => (row.ring !== null && openedRings.has(row.ring) ? [[row.endpointId, row]] : [])),
  );
  const skipped = new Map(args.before.flatMap((row) => (row.skippedBy === null ? [] : [[row.endpointId, row]])));
  const workOf = new Map(kindPlan.works.flatMap((work, index) => work.endpointIds.map((id) => [id, index] as const)));

  const rows: PlanRow[] = [];
  const working: InScope[] = [];
  for (const { endpointId, reason } of seen.excluded) {
    if (!kept.has(endpointId)) rows.push({ ...leftOut(endpointId, reason), ...skipOf(skipped.get(endpointId)) });
  }
  for (const one of seen.included) {
    const { id } = one.endpoint;
    if (kept.has(id)) continue;
    const work = workOf.get(id);
    const reason = whyIdle(one, work === undefined ? undefined : kindPlan.works[work]?.idle);
    const skip = skipped.get(id);
    if (skip !== undefined) rows.push({ ...rowOf(one, work ?? null), ...skipOf(skip) });
    else if (reason !== null) rows.push({ ...rowOf(one, work ?? null), reason });
    else working.push(one);
  }

  const byId = new Map(working.map((one) => [one.endpoint.id, one]));
  const assignment = assignRings({
    changeId: loaded.change.id,
    rings: spec.rings,
    endpoints: working.map((one) => one.endpoint),
    groups: seen.groups,
    keep: new Map(args.before.flatMap((row) => (row.ring === null ? [] : [[row.endpointId, row.ring]]))),
    closedRings: openedRings,
  });
  if (assignment.kind === 'malformed') throw hopeless('specMalformed', assignment.reason);
  const entries: PlanEntry[] = [...kept.values()].flatMap(keptEntry);
  for (const { endpointId, ring, wave } of assignment.placed) {
    const one = byId.get(endpointId) as InScope;
    const work = workOf.get(endpointId) as number;
    rows.push({ ...rowOf(one, work), ring, wave });
    entries.push({
      endpointId,
      ring,
      updateSetDigest: kindPlan.works[work]?.set.digest as string,
      policyVersion: `${one.policy.id}@${one.policy.version}`,
    });
  }
  for (const { endpointId, reason } of assignment.unplaced) {
    rows.push({ ...rowOf(byId.get(endpointId) as InScope, workOf.get(endpointId) ?? null), reason });
  }

  const result = freezePlan({
    header: planHeader({ changeId: loaded.change.id, spec, deadline: loaded.change.deadline }),
    entries,
    updateSets: [...args.keptSets.values(), ...kindPlan.works.map((work) => work.set)],
  });
  if (!result.ok) throw hopeless('planRefused', result.reason);
  const planned = spec.rings.map((_, ordinal) => entries.filter((entry) => entry.ring === ordinal).length);
  return { frozen: result.plan, rows, planned };
}

function whyIdle(one: InScope, idle: string | null | undefined): string | null {
  if (one.endpoint.scannedAt === null) {
    return one.endpoint.incompleteReason === null
      ? 'never scanned'
      : `never scanned completely: ${one.endpoint.incompleteReason}`;
  }
  return idle === undefined ? 'nothing to do: no update is available' : idle;
}

function rowOf(one: InScope, work: number | null): PlanRow {
  return {
    endpointId: one.endpoint.id,
    ring: null,
    wave: 0,
    work,
    policyId: one.policy.id,
    policyVersion: one.policy.version,
    policyReason: one.policyReason,
    reason: null,
    skippedBy: null,
  };
}

const leftOut = (endpointId: string, reason: string): PlanRow => ({
  endpointId,
  ring: null,
  wave: 0,
  work: null,
  policyId: null,
  policyVersion: null,
  policyReason: null,
  reason,
  skippedBy: null,
});

const skipOf = (row: PlannedEndpoint | undefined): Partial<PlanRow> =>
  row === undefined ? {} : { skippedBy: row.skippedBy, reason: row.reason };

function keptEntry(row: PlannedEndpoint): PlanEntry[] {
  const { endpointId, ring, updateSetDigest, policyVersion } = row;
  if (ring === null || updateSetDigest === null || policyVersion === null) return [];
  return [{ endpointId, ring, updateSetDigest, policyVersion }];
}
