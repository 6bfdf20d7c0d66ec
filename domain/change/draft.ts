/** Who gets what in which ring, and who does not and why; before anything is frozen or written. */
import type { Group } from '../fleet/selector.js';
import type { KindPlan, PlanRow } from './kind-plan.js';
import { assignRings } from './ring-assignment.js';
import type { InScope } from './scope.js';
import type { RingSpec } from './spec.js';

/** What an earlier plan said of an endpoint. */
export interface EarlierRow {
  readonly endpointId: string;
  readonly ring: number | null;
  readonly skippedBy: string | null;
  readonly reason: string | null;
}

export interface PlacedEndpoint {
  readonly one: InScope;
  /** Index into the works. */
  readonly work: number;
  readonly ring: number;
}

export type DraftRows =
  | { readonly kind: 'drafted'; readonly rows: readonly PlanRow[]; readonly placed: readonly PlacedEndpoint[] }
  | { readonly kind: 'malformed'; readonly reason: string };

/**
 * Puts scope, the kind's decisions and what an earlier plan fixed together. Endpoints in rings that have opened stay as
 * they were frozen and are not in the answer: their orders are out.
 */
export function draftRows(args: {
  readonly changeId: string;
  readonly rings: readonly RingSpec[];
  readonly included: readonly InScope[];
  readonly excluded: readonly { readonly endpointId: string; readonly reason: string }[];
  readonly groups: ReadonlyMap<string, Group>;
  readonly kindPlan: KindPlan;
  readonly before: readonly EarlierRow[];
  readonly openedRings: ReadonlySet<number>;
}): DraftRows {
  const { kindPlan, openedRings } = args;
  const kept = new Set(
    args.before.flatMap((row) => (row.ring !== null && openedRings.has(row.ring) ? [row.endpointId] : [])),
  );
  const skipped = new Map(args.before.flatMap((row) => (row.skippedBy === null ? [] : [[row.endpointId, row]])));
  const workOf = new Map(kindPlan.works.flatMap((work, index) => work.endpointIds.map((id) => [id, index] as const)));

  const rows: PlanRow[] = [];
  const working: InScope[] = [];
  for (const { endpointId, reason } of args.excluded) {
    if (!kept.has(endpointId)) rows.push({ ...leftOut(endpointId, reason), ...skipOf(skipped.get(endpointId)) });
  }
  for (const one of args.included) {
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
    changeId: args.changeId,
    rings: args.rings,
    endpoints: working.map((one) => one.endpoint),
    groups: args.groups,
    keep: new Map(args.before.flatMap((row) => (row.ring === null ? [] : [[row.endpointId, row.ring]]))),
    closedRings: openedRings,
  });
  if (assignment.kind === 'malformed') return assignment;
  const placed: PlacedEndpoint[] = [];
  for (const { endpointId, ring, wave } of assignment.placed) {
    const one = byId.get(endpointId) as InScope;
    const work = workOf.get(endpointId) as number;
    rows.push({ ...rowOf(one, work), ring, wave });
    placed.push({ one, work, ring });
  }
  for (const { endpointId, reason } of assignment.unplaced) {
    rows.push({ ...rowOf(byId.get(endpointId) as InScope, workOf.get(endpointId) ?? null), reason });
  }
  return { kind: 'drafted', rows, placed };
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

const skipOf = (row: EarlierRow | undefined): Partial<PlanRow> =>
  row === undefined ? {} : { skippedBy: row.skippedBy, reason: row.reason };
