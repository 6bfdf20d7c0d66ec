/** What would be done now: the answer of `POST /v1/changes/plan`, put together from reads alone. */
import { sha256Hex } from '../content/canonical.js';
import type { Group } from '../fleet/selector.js';
import { type Calendars, nextOpening, type Opening } from '../policy/next-opening.js';
import type { PolicySet } from '../policy/policy-set.js';
import { type EpochMs, MINUTE } from '../time.js';
import { draftRows, type PlacedEndpoint } from './draft.js';
import type { KindPlan } from './kind-plan.js';
import { type ProjectedHours, projectRings } from './projection.js';
import type { ScopeDecision } from './scope.js';
import type { ChangeSpec } from './spec.js';
import { planUndoable } from './undoable.js';

/** Endpoints that share a reason, the first of them by name. */
export interface Reasoned {
  readonly reason: string;
  readonly endpoints: number;
  readonly names: readonly string[];
}

export interface PlannedWindow {
  readonly policy: string;
  readonly zone: string;
  readonly endpoints: number;
  /** Null: never, and `never` says why. */
  readonly opens: string | null;
  readonly closes: string | null;
  readonly never: string | null;
}

export interface PlannedRing {
  readonly ordinal: number;
  readonly name: string;
  readonly endpoints: number;
  readonly windows: readonly PlannedWindow[];
  /** The earliest of the windows, seen from now. */
  readonly nextOpening: string | null;
  readonly withoutWindow: number;
  readonly begins: string | null;
  readonly finishes: string | null;
  /** After the soak: when the next ring may open. */
  readonly passed: string;
  /** Approvals asked up to and including this ring; none of the times counts what they take. */
  readonly afterApprovals: number;
  readonly stragglers: number;
  readonly never: number;
  readonly worstCaseFailures: number;
  /** Endpoints that get what nothing takes back, without a snapshot: whoever is asked here, two people have to approve. */
  readonly withoutWayBack: number;
}

/** Times are ISO 8601 in UTC. */
export interface ChangePlan {
  readonly at: string;
  readonly deadline: string;
  readonly endpoints: number;
  readonly finishes: string;
  readonly rings: readonly PlannedRing[];
  /** Per endpoint and update. */
  readonly updates: { readonly included: number; readonly deferred: number; readonly declined: number };
  readonly cves: readonly string[];
  readonly excluded: readonly Reasoned[];
  readonly stragglers: readonly Reasoned[];
  readonly cannot: readonly Reasoned[];
  /** Get the rest, but not what nothing takes back: their policy takes no snapshot, and their ring asks nobody. */
  readonly withheld: readonly Reasoned[];
  readonly notes: readonly string[];
}

/** What the projection needs of an endpoint besides its scope. */
export interface EndpointFacts {
  readonly zone: string;
  readonly lastSeen: EpochMs | null;
  readonly quorums: readonly string[];
}

export interface DryRunInput {
  readonly spec: ChangeSpec;
  readonly now: EpochMs;
  readonly scope: ScopeDecision;
  readonly groups: ReadonlyMap<string, Group>;
  /** The kind's plan; `careful`: endpoints that must be able to go back. */
  readonly plan: (careful: ReadonlySet<string>) => KindPlan;
  readonly names: ReadonlyMap<string, string>;
  readonly facts: ReadonlyMap<string, EndpointFacts>;
  readonly quorums: ReadonlyMap<string, number>;
  readonly calendars: Calendars;
  /** Inventories too old or incomplete; the change would ask for them again. */
  readonly stale: number;
}

export type DryRunResult =
  | { readonly ok: true; readonly plan: ChangePlan }
  | { readonly ok: false; readonly reason: string };

/** How many endpoints, or windows, a list names before it only counts. */
const NAMED = 10;

export async function dryRun(input: DryRunInput): Promise<DryRunResult> {
  const { spec, now } = input;
  const deadline = now + spec.deadlineMinutes * MINUTE;
  const undoable = await planUndoable({
    included: input.scope.included,
    rings: spec.rings,
    plan: (careful) => {
      const kindPlan = input.plan(careful);
      const drafted = draftRows({
        // The same specification draws the same shares; the change itself will have an id, and so draw others.
        changeId: sha256Hex('dry run\n', spec.name),
        rings: spec.rings,
        ...input.scope,
        groups: input.groups,
        kindPlan,
        before: [],
        openedRings: new Set(),
      });
      return { kindPlan, drafted, rows: drafted.kind === 'drafted' ? drafted.rows : [] };
    },
  });
  const { kindPlan, drafted } = undoable.planned;
  if (drafted.kind === 'malformed') return { ok: false, reason: drafted.reason };
  const hours = hoursOf(input, drafted.placed);
  const waves = new Map(drafted.rows.map((row) => [row.endpointId, row.wave]));
  const byRing = spec.rings.map((_, ordinal) => drafted.placed.filter((one) => one.ring === ordinal));
  const projection = projectRings({
    now,
    deadline,
    hours: hours.list,
    quorums: input.quorums,
    rings: spec.rings.map((ring, ordinal) => ({
      spec: ring,
      endpoints: (byRing[ordinal] ?? []).map(({ one }) => {
        const facts = input.facts.get(one.endpoint.id);
        return {
          id: one.endpoint.id,
          wave: waves.get(one.endpoint.id) ?? 0,
          hours: hours.index.get(one.endpoint.id) as number,
          notBefore: one.endpoint.holdUntil,
          offline: facts === undefined || (facts.lastSeen ?? 0) < now - spec.offlineAfterMinutes * MINUTE,
          quorums: facts?.quorums ?? [],
        };
      }),
    })),
  });
  let approvals = 0;
  const rings = spec.rings.map((ring, ordinal): PlannedRing => {
    const placed = byRing[ordinal] ?? [];
    const projected = projection.rings[ordinal];
    const behind = projection.leftBehind.filter((one) => one.ring === ordinal);
    const windows = windowsOf(placed, hours);
    if (placed.length > 0) approvals += ring.approvals.length;
    return {
      ordinal,
      name: ring.name,
      endpoints: placed.length,
      windows: windows.slice(0, NAMED),
      nextOpening: windows.flatMap(({ opens }) => opens ?? []).sort()[0] ?? null,
      withoutWindow: windows.reduce((sum, one) => sum + (one.opens === null ? one.endpoints : 0), 0),
      begins: iso(projected?.begins),
      finishes: iso(projected?.finishes),
      passed: new Date(projected?.passed ?? now).toISOString(),
      afterApprovals: approvals,
      stragglers: behind.filter((one) => one.inTime).length,
      never: behind.filter((one) => !one.inTime).length,
      worstCaseFailures: projected?.worstCaseFailures ?? 0,
      withoutWayBack: undoable.bare.get(ordinal) ?? 0,
    };
  });
  const reasoned = (found: readonly { readonly endpointId: string; readonly reason: string }[]) =>
    byReason(found, input.names);
  return {
    ok: true,
    plan: {
      at: new Date(now).toISOString(),
      deadline: new Date(deadline).toISOString(),
      endpoints: drafted.placed.length,
      finishes: new Date(projection.finishes).toISOString(),
      rings,
      updates: countUpdates(kindPlan, drafted.placed),
      cves: [...new Set(kindPlan.facts.flatMap((fact) => fact.cves))].sort(),
      excluded: reasoned(
        drafted.rows.flatMap(({ endpointId, ring, reason }) =>
          ring === null ? [{ endpointId, reason: reason ?? '' }] : [],
        ),
      ),
      stragglers: reasoned(projection.leftBehind.filter((one) => one.inTime)),
      cannot: reasoned(projection.leftBehind.filter((one) => !one.inTime)),
      withheld: reasoned(withheldOf(kindPlan, undoable.careful)),
      notes: notesOf(input, rings),
    },
  };
}

interface HoursGroups {
  readonly list: readonly ProjectedHours[];
  readonly index: ReadonlyMap<string, number>;
  /** The opening seen from now, with whose it is. */
  readonly seen: readonly { readonly policy: string; readonly zone: string; readonly opening: Opening }[];
}

/** One entry per policy and zone: windows are worked out for those, never per endpoint. */
function hoursOf(input: DryRunInput, placed: readonly PlacedEndpoint[]): HoursGroups {
  const keys = new Map<string, number>();
  const list: ProjectedHours[] = [];
  const seen: HoursGroups['seen'][number][] = [];
  const index = new Map<string, number>();
  for (const { one } of placed) {
    const zone = input.facts.get(one.endpoint.id)?.zone ?? 'UTC';
    const key = `${one.policy.id} ${zone}`;
    let at = keys.get(key);
    if (at === undefined) {
      at = list.length;
      keys.set(key, at);
      const next = openings({ policy: one.policy, zone, calendars: input.calendars });
      list.push({ needMs: one.policy.document.expectedMinutes * MINUTE, next });
      seen.push({ policy: one.policy.name, zone, opening: next(input.now) });
    }
    index.set(one.endpoint.id, at);
  }
  return { list, index, seen };
}

/** Openings, remembered by the time they were asked for: many endpoints ask the same. */
function openings(args: { policy: PolicySet; zone: string; calendars: Calendars }): (at: EpochMs) => Opening {
  const known = new Map<EpochMs, Opening>();
  const { zone, calendars } = args;
  return (at) => {
    let opening = known.get(at);
    if (opening === undefined) {
      opening = nextOpening({ policy: args.policy.document, zone, target: 'change', calendars, now: at });
      known.set(at, opening);
    }
    return opening;
  };
}

function windowsOf(placed: readonly PlacedEndpoint[], hours: HoursGroups): PlannedWindow[] {
  const counts = new Map<number, number>();
  for (const { one } of placed) {
    const at = hours.index.get(one.endpoint.id) as number;
    counts.set(at, (counts.get(at) ?? 0) + 1);
  }
  return [...counts]
    .map(([at, endpoints]): PlannedWindow => {
      const { policy, zone, opening } = hours.seen[at] as HoursGroups['seen'][number];
      return 'never' in opening
        ? { policy, zone, endpoints, opens: null, closes: null, never: opening.never }
        : { policy, zone, endpoints, opens: iso(opening.opens), closes: iso(opening.closes), never: null };
    })
    .sort((a, b) => b.endpoints - a.endpoints);
}

function countUpdates(kindPlan: KindPlan, placed: readonly PlacedEndpoint[]): ChangePlan['updates'] {
  const inWork = new Map<number, number>();
  for (const { work } of placed) inWork.set(work, (inWork.get(work) ?? 0) + 1);
  const updates = { included: 0, deferred: 0, declined: 0 };
  for (const [index, work] of kindPlan.works.entries()) {
    updates.included += (inWork.get(index) ?? 0) * work.set.updates.length;
    for (const { outcome } of work.triage) if (outcome !== 'included') updates[outcome] += work.endpointIds.length;
  }
  return updates;
}

/** The most frequent reason first, names in order. */
export function byReason(
  found: readonly { readonly endpointId: string; readonly reason: string }[],
  names: ReadonlyMap<string, string>,
): Reasoned[] {
  const ids = new Map<string, string[]>();
  for (const { endpointId, reason } of found) {
    const list = ids.get(reason);
    if (list === undefined) ids.set(reason, [endpointId]);
    else list.push(endpointId);
  }
  return [...ids]
    .map(([reason, list]) => ({
      reason,
      endpoints: list.length,
      names: list
        .map((id) => names.get(id) ?? id)
        .sort()
        .slice(0, NAMED),
    }))
    .sort((a, b) => b.endpoints - a.endpoints || (a.reason < b.reason ? -1 : 1));
}

/** One entry per endpoint and update that was put off because nothing would take it back. */
function withheldOf(kindPlan: KindPlan, careful: ReadonlySet<string>) {
  return kindPlan.works.flatMap((work) =>
    work.triage.flatMap((note) =>
      note.outcome === 'deferred' && note.rule === 'noWayBack'
        ? work.endpointIds.flatMap((endpointId) =>
            careful.has(endpointId) ? [{ endpointId, reason: `${note.name}: ${note.reason}` }] : [],
          )
        : [],
    ),
  );
}

function notesOf(input: DryRunInput, rings: readonly PlannedRing[]): string[] {
  const notes: string[] = [];
  if (input.spec.rings.some((ring) => 'sharePercent' in ring.select))
    notes.push('shares are drawn anew for the change itself: rings will have as many endpoints, but not the same');
  if (input.stale > 0)
    notes.push(
      `${input.stale} inventories are old or incomplete: the change asks for fresh scans first, and may find more or less to do`,
    );
  for (const ring of rings) {
    if (ring.withoutWayBack > 0)
      notes.push(
        `ring ${ring.ordinal} (${ring.name}): ${ring.withoutWayBack} endpoints get updates that nothing takes back, without a snapshot, so two people have to approve`,
      );
    if (ring.endpoints > 0 && ring.begins === null)
      notes.push(
        `nobody in ring ${ring.ordinal} (${ring.name}) can begin, so it proves nothing and holds those after it`,
      );
  }
  return notes;
}

const iso = (at: EpochMs | null | undefined): string | null => (at == null ? null : new Date(at).toISOString());
