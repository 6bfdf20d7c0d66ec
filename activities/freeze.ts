import type { PoolClient } from 'pg';
import type { PlanInForce, PlannedEndpoint } from '../db/plan/load.js';
import { STRAGGLERS } from '../domain/change/spec.js';
import { stragglersSpec } from '../domain/change/stragglers.js';
import { isNarrowing } from '../domain/content/index.js';
import { MINUTE } from '../domain/time.js';
import type { FrozenPlanResult } from './contract.js';
import type { Draft } from './freeze-draft.js';
import { planTotals } from './freeze-totals.js';
import { draftUndoable } from './freeze-undoable.js';
import type { KindPlan } from './kinds/change-kind.js';
import { obtainFor } from './obtain.js';
import { whileBeating } from './pace.js';
import type { LoadedChange, StageDeps } from './stage-deps.js';
import { again, hopeless, loadForStage, paceOf } from './stage-deps.js';
import type { Survey } from './survey.js';
import { survey } from './survey.js';

const STALE_LOOK_MS = 2 * MINUTE;

interface Planning {
  readonly loaded: LoadedChange;
  readonly seen: Survey;
  readonly kindPlan: KindPlan;
  readonly before: PlanInForce | null;
  readonly beforeRows: readonly PlannedEndpoint[];
  readonly draft: Draft;
}

/**
 * Freezes what the change will do now: who gets what in which ring, and who does not and why. A plan that asks for no
 * more than the one before keeps its approvals; one that asks for more voids those of rings that have yet to open.
 *
 * Planning reads outside, writing happens in one transaction under the change's lock; should something else have planned
 * meanwhile, it fails and is tried again. A retry after a lost answer finds what its first attempt wrote.
 */
export async function freezeChangePlan(
  deps: StageDeps,
  args: { readonly changeId: string; readonly reason: string },
): Promise<FrozenPlanResult> {
  const loaded = await loadForStage(deps, args.changeId);
  return freezeAfter(deps, { ...args, loaded, look: () => survey(deps, loaded, deps.pool) });
}

/**
 * Fetches what the change needs, then freezes what it will do, in one look at the fleet: what could not be had, or says in its
 * changelog what it fixes, is part of the plan, but inventories need not be read twice for it.
 */
export async function obtainAndFreeze(
  deps: StageDeps,
  args: { readonly changeId: string; readonly reason: string },
): Promise<FrozenPlanResult> {
  const loaded = await loadForStage(deps, args.changeId);
  const look = async () => {
    const began = deps.clock();
    const seen = await whileBeating(paceOf(deps), 'planning', () => survey(deps, loaded, deps.pool));
    await obtainFor(deps, loaded, seen);
    // What took long to fetch is not decided on what the fleet was before.
    return deps.clock() - began < STALE_LOOK_MS ? seen : survey(deps, loaded, deps.pool);
  };
  return freezeAfter(deps, { ...args, loaded, look });
}

async function freezeAfter(
  deps: StageDeps,
  args: {
    readonly changeId: string;
    readonly reason: string;
    readonly loaded: LoadedChange;
    readonly look: () => Promise<Survey>;
  },
): Promise<FrozenPlanResult> {
  const { db, pool } = deps;
  const pace = paceOf(deps);
  const { key } = pace;
  const { loaded } = args;
  const [before, beforeRows, rings] = await Promise.all([
    db.loadPlan(pool, args.changeId),
    db.loadPlannedEndpoints(pool, args.changeId),
    db.loadRings(pool, { changeId: args.changeId }),
  ]);
  if (before !== null && key !== null && before.requestKey === key) return resultOf(loaded, before, beforeRows);

  const openedRings = new Set(rings.flatMap((ring) => (ring.state === 'waiting' ? [] : [ring.ordinal])));
  const seen = await args.look();
  return whileBeating(pace, 'freezing', async () => {
    const keptDigests = beforeRows.flatMap((row) =>
      row.ring !== null && openedRings.has(row.ring) ? (row.updateSetDigest ?? []) : [],
    );
    const keptSets = await db.loadUpdateSets(pool, [...new Set(keptDigests)]);
    const { kindPlan, draft } = await draftUndoable({
      loaded,
      client: pool,
      seen,
      before: beforeRows,
      openedRings,
      keptSets,
    });
    const planning: Planning = { loaded, seen, kindPlan, before, beforeRows, draft };
    const after = await db.inTransaction(pool, (client) =>
      write(deps, client, { planning, openedRings, reason: args.reason, key }),
    );
    return resultOf(loaded, after, await db.loadPlannedEndpoints(pool, args.changeId));
  });
}

async function write(
  deps: StageDeps,
  client: PoolClient,
  args: {
    readonly planning: Planning;
    readonly openedRings: ReadonlySet<number>;
    readonly reason: string;
    readonly key: string | null;
  },
): Promise<PlanInForce> {
  const { db } = deps;
  const now = deps.clock();
  const { loaded, before, draft, kindPlan } = args.planning;
  const changeId = loaded.change.id;
  const locked = await db.loadChange(client, { changeId, lock: true });
  if (locked === null || locked.closedAt !== null) throw hopeless('changeClosed', 'the change is closed');
  await db.upsertRings(client, { changeId, rings: ringRows(loaded, draft), now });
  const rings = await db.loadRings(client, { changeId, lock: true });
  const moved =
    locked.planRevision !== (before?.revision ?? 0) ||
    rings.some((ring) => (ring.state !== 'waiting') !== args.openedRings.has(ring.ordinal));
  if (moved) throw again('planMoved', 'the change has moved on while its plan was made');

  const same = before !== null && before.digest === draft.frozen.digest;
  const narrowing =
    before === null || same
      ? null
      : isNarrowing(
          await db.loadFrozenPlan(client, { plan: before, endpoints: args.planning.beforeRows }),
          draft.frozen,
        );
  const plan: PlanInForce = {
    revision: (before?.revision ?? 0) + (same ? 0 : 1),
    digest: draft.frozen.digest,
    header: draft.frozen.header,
    widened: narrowing !== null && !narrowing.narrowing,
    requestKey: args.key,
  };
  await db.writePlanRows(client, {
    changeId,
    revision: plan.revision,
    keepRings: [...args.openedRings],
    works: kindPlan.works,
    rows: draft.rows,
  });
  await db.keepPackageLists(client, kindPlan.lists ?? [], now);
  await db.recordPlannedFacts(client, { changeId, facts: kindPlan.facts, now });
  if (same) return { ...plan, widened: false };
  await db.insertPlan(client, { ...plan, changeId, reason: args.reason, totals: planTotals(args.planning), now });

  const carried =
    before === null
      ? []
      : await db.carryApprovals(client, { changeId, from: before.digest, to: plan.digest, onlyOpened: plan.widened });
  const voided = plan.widened ? await db.voidApprovals(client, { changeId, now }) : [];
  await db.appendAudit(client, [
    {
      actor: 'worker',
      action: 'plan.frozen',
      subject: `change/${changeId}`,
      detail: {
        revision: plan.revision,
        digest: plan.digest,
        before: before?.digest ?? null,
        reason: args.reason,
        endpoints: draft.frozen.entries.length,
        widened: plan.widened,
        ...(narrowing === null || narrowing.narrowing ? {} : { because: narrowing.reasons }),
        approvalsKeptForRings: carried,
        approvalsVoided: voided,
      },
    },
  ]);
  return plan;
}

function ringRows(loaded: LoadedChange, draft: Draft) {
  const { spec, deadline } = loaded.change;
  const rings = spec.rings.map((ring, ordinal) => ({ ordinal, spec: ring, deadline: null as number | null }));
  return [...rings, { ordinal: STRAGGLERS, spec: stragglersSpec(spec, draft.planned), deadline }];
}

function resultOf(loaded: LoadedChange, plan: PlanInForce, rows: readonly PlannedEndpoint[]): FrozenPlanResult {
  const planned = rows.filter((row) => row.ring !== null);
  return {
    digest: plan.digest,
    revision: plan.revision,
    rings: loaded.change.spec.rings.map(({ name }, ordinal) => ({
      ordinal,
      name,
      endpoints: planned.filter((row) => row.ring === ordinal).length,
    })),
    excluded: rows.length - planned.length,
    widened: plan.widened,
    empty: planned.length === 0,
  };
}
