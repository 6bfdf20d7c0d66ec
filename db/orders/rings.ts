/** A ring's life apart from its pump: opening, judging, finishing, trying again what failed. */
import type { Pool, PoolClient } from 'pg';
import type { RingCounts } from '../../domain/change/counts.js';
import { type GateVerdict, judgeGate } from '../../domain/change/gate.js';
import { STRAGGLERS } from '../../domain/change/spec.js';
import type { EpochMs } from '../../domain/time.js';
import { appendAudit } from '../audit/append.js';
import { inTransaction } from '../pool.js';
import { FAILED_STATES, notifyOrders } from './budget-halt.js';
import { countLane } from './counts.js';
import { type Lane, withLane } from './lane.js';
import { moveOrders, quoted } from './move-set.js';
import { at } from './rows.js';
import { PlanNotApproved } from './types.js';

export type RingState = 'soaking' | 'passed' | 'halted' | 'rolledBack' | 'failed' | 'aborted';

/**
 * Opens a ring under the plan that was approved for it: one pending order per planned endpoint that has something to do. Its
 * deadline runs from here. Opening again adds nothing but what is missing.
 *
 * @throws PlanNotApproved when the plan in force is another one; NoSuchRow.
 */
export async function openRing(
  pool: Pool,
  args: {
    readonly changeId: string;
    readonly ring: number;
    readonly approvedDigest: string;
    readonly approvals: readonly string[];
    readonly now: EpochMs;
  },
): Promise<{ readonly orders: number }> {
  return withLane(pool, { ...args, target: 'change' }, async (client, lane) => {
    const { changeId, ring, now } = args;
    if (lane.planDigest !== args.approvedDigest) {
      throw new PlanNotApproved(
        `ring ${ring} was approved for plan ${args.approvedDigest}, but ${lane.planDigest ?? 'none'} is in force`,
      );
    }
    if (!lane.isStragglers) await demandApprovals(client, args);
    // What was not sent ahead by now travels with the change order itself.
    await moveOrders(client, {
      event: 'withdraw',
      where: `o.change_id = $1 AND o.ring = $2 AND o.kind = 'stage'`,
      values: [changeId, ring],
      now,
      reason: 'the ring has opened',
    });
    const orders = lane.isStragglers ? 0 : await insertChangeOrders(client, args);
    await client.query(
      `UPDATE ring r SET state = 'open', target_kind = 'change', approved_digest = $3, approvals = $4::uuid[],
              opened_at = coalesce(opened_at, ${at('$5')}), drained_at = NULL,
              deadline = CASE WHEN $6 THEN c.deadline
                              WHEN opened_at IS NOT NULL THEN r.deadline
                              ELSE least(${at('$5')} + (r.spec ->> 'deadlineMinutes')::float8 * interval '1 minute', c.deadline) END,
              planned = CASE WHEN $6 THEN r.planned ELSE
                (SELECT count(*)::int FROM order_state o WHERE o.change_id = r.change_id AND o.home_ring = r.ordinal
                    AND o.kind = 'change' AND NOT o.retried) END
         FROM change c WHERE c.id = r.change_id AND r.change_id = $1 AND r.ordinal = $2`,
      [changeId, ring, args.approvedDigest, args.approvals, now, lane.isStragglers],
    );
    await appendAudit(client, [
      {
        actor: 'workflow',
        action: 'ring.opened',
        subject: `change/${changeId}`,
        detail: { ring, orders, planDigest: args.approvedDigest, approvals: args.approvals },
      },
    ]);
    return { orders };
  });
}

/** The rows must say what the workflow says: as many approved requests of this ring as its rules ask for. */
async function demandApprovals(
  client: PoolClient,
  args: { readonly changeId: string; readonly ring: number; readonly approvals: readonly string[] },
): Promise<void> {
  const { changeId, ring, approvals } = args;
  const { rows } = await client.query<{ asked: number; given: number }>(
    `SELECT jsonb_array_length(coalesce(r.spec -> 'approvals', '[]')) AS asked,
            (SELECT count(*)::int FROM approval_request a
              WHERE a.id = ANY ($3::uuid[]) AND a.change_id = r.change_id AND a.ring = r.ordinal AND a.state = 'approved') AS given
       FROM ring r WHERE r.change_id = $1 AND r.ordinal = $2`,
    [changeId, ring, approvals],
  );
  const { asked = 0, given = 0 } = rows[0] ?? {};
  if (given < asked || given < approvals.length) {
    throw new PlanNotApproved(
      `ring ${ring} asks for ${asked} approvals; ${given} of the ${approvals.length} named are on record as given`,
    );
  }
}

/**
 * The id of a change order, as SQL: a function of what it asks for (a UUID of version 8), not chance. An installation restored
 * from a backup makes the same order again under the same id, and an endpoint that has carried it out answers from its journal.
 */
function orderId(changeId: string, endpointId: string, attempt: string, contentDigest: string): string {
  const text = `concat_ws('/', ${changeId}, ${endpointId}, ${attempt}, ${contentDigest})`;
  return `overlay(overlay(md5(${text}) placing '8' from 13) placing '8' from 17)::uuid`;
}

async function insertChangeOrders(
  client: PoolClient,
  args: { readonly changeId: string; readonly ring: number; readonly now: EpochMs },
): Promise<number> {
  const { rowCount } = await client.query(
    `INSERT INTO order_state (id, change_id, ring, home_ring, endpoint_id, kind, priority, wave, content_digest, updated_at)
     SELECT ${orderId('p.change_id', 'p.endpoint_id', '1', 'p.update_set_digest')}, p.change_id, p.ring, p.ring, p.endpoint_id, 'change', c.priority, p.wave, p.update_set_digest, ${at('$3')}
       FROM plan_endpoint p JOIN change c ON c.id = p.change_id JOIN update_set u ON u.digest = p.update_set_digest
      WHERE p.change_id = $1 AND p.ring = $2 AND p.skipped_by IS NULL AND jsonb_array_length(u.items) > 0
     ON CONFLICT (change_id, endpoint_id, kind, attempt) DO NOTHING`,
    [args.changeId, args.ring, args.now],
  );
  return rowCount ?? 0;
}

/** Counts a ring as it stands. */
export async function ringCounts(
  pool: Pool,
  args: { readonly changeId: string; readonly ring: number; readonly now: EpochMs },
): Promise<RingCounts> {
  const { rows } = await pool.query('SELECT planned FROM ring WHERE change_id = $1 AND ordinal = $2', [
    args.changeId,
    args.ring,
  ]);
  const planned = rows[0]?.planned ?? 0;
  return (await countLane(pool, { ...args, target: 'change', planned })).counts;
}

/** Whether a drained ring carries the next one, by its numbers at this moment. One halted by its budget never does. */
export async function evaluateRing(
  pool: Pool,
  args: { readonly changeId: string; readonly ring: number; readonly now: EpochMs },
): Promise<GateVerdict & { readonly counts: RingCounts }> {
  return withLane(pool, { ...args, target: 'change' }, async (client, lane) => {
    const { counts } = await countLane(client, { ...lane, now: args.now });
    // A person's pause says nothing about the ring; what its budget or its plan says does.
    const spoken = lane.halted && (lane.haltedBy === 'budget' || lane.haltedBy === 'plan');
    const verdict = spoken
      ? ({ kind: 'hold', reason: `the ring is halted: ${lane.haltReason ?? 'no reason given'}` } as const)
      : judgeGate({ spec: lane.spec, counts });
    await appendAudit(client, [
      {
        actor: 'workflow',
        action: 'ring.judged',
        subject: `change/${args.changeId}`,
        detail: { ring: args.ring, ...verdict, byState: counts.byState },
      },
    ]);
    return { ...verdict, counts };
  });
}

/** Writes how a ring stands; the workflow decides it. */
export async function finishRing(
  pool: Pool,
  args: { readonly changeId: string; readonly ring: number; readonly state: RingState; readonly now: EpochMs },
): Promise<void> {
  await inTransaction(pool, async (client) => {
    const { rows } = await client.query(
      `UPDATE ring r SET state = $3, drained_at = coalesce(r.drained_at, ${at('$4')}) FROM ring was
        WHERE r.change_id = $1 AND r.ordinal = $2 AND was.change_id = r.change_id AND was.ordinal = r.ordinal
        RETURNING was.state AS before`,
      [args.changeId, args.ring, args.state, args.now],
    );
    if (rows[0] === undefined || rows[0].before === args.state) return;
    await appendAudit(client, [
      {
        actor: 'workflow',
        action: `ring.${args.state}`,
        subject: `change/${args.changeId}`,
        detail: { ring: args.ring },
      },
    ]);
  });
}

/**
 * Gives every endpoint of the ring whose order failed another one. The failed order leaves the counts, the pace starts slowly
 * again, and a halt that came from the failures is lifted with it.
 */
export async function retryFailed(
  pool: Pool,
  args: { readonly changeId: string; readonly ring: number; readonly by: string; readonly now: EpochMs },
): Promise<{ readonly orders: number }> {
  return withLane(pool, { ...args, target: 'change' }, async (client, lane) => {
    const { changeId, ring, by, now } = args;
    const { rows } = await client.query(
      `WITH again AS (
         SELECT o.id FROM order_state o JOIN endpoint e ON e.id = o.endpoint_id
          WHERE o.change_id = $1 AND o.ring = $2 AND o.kind = 'change' AND NOT o.retried AND o.phase = 'done'
            AND o.state IN (${quoted(FAILED_STATES)}) AND e.state <> 'retired'
          ORDER BY o.id FOR NO KEY UPDATE OF o),
       retried AS (UPDATE order_state o SET retried = true FROM again a WHERE o.id = a.id RETURNING o.*)
       INSERT INTO order_state (id, change_id, ring, home_ring, endpoint_id, kind, attempt, priority, wave, content_digest,
                                next_open, next_close, window_closes, window_reason, updated_at)
       SELECT ${orderId('change_id', 'endpoint_id', '(attempt + 1)', 'content_digest')}, change_id, ring, home_ring, endpoint_id, kind, attempt + 1, priority, wave, content_digest,
              next_open, next_close, window_closes, window_reason, ${at('$3')}
         FROM retried RETURNING id`,
      [changeId, ring, now],
    );
    if (rows.length === 0) {
      // Called again after it was done: the same answer, as far as it still holds.
      const { rows: open } = await client.query(
        `SELECT count(*)::int AS n FROM order_state
          WHERE change_id = $1 AND ring = $2 AND kind = 'change' AND attempt > 1 AND phase IN ('waiting', 'holding')`,
        [changeId, ring],
      );
      return { orders: open[0].n };
    }
    await reopen(client, lane, now);
    await appendAudit(client, [
      {
        actor: by,
        action: 'ring.retried',
        subject: `change/${changeId}`,
        detail: { ring, orders: rows.map((row) => row.id) },
      },
    ]);
    await notifyOrders(client, [changeId]);
    return { orders: rows.length };
  });
}

async function reopen(client: PoolClient, lane: Lane, now: EpochMs): Promise<void> {
  const lifts = lane.halted && (lane.haltedBy === 'budget' || lane.haltedBy === 'gate');
  await client.query(
    `UPDATE ring SET state = 'open', target_kind = 'change', drained_at = NULL, forgiven_failures = 0,
            concurrency = 1, paced_successes = 0, paced_failures = 0,
            deadline = CASE WHEN ordinal = ${STRAGGLERS} THEN deadline ELSE greatest(deadline,
              least(${at('$3')} + (spec ->> 'deadlineMinutes')::float8 * interval '1 minute', ${at('$5')})) END,
            halted = CASE WHEN $4 THEN false ELSE halted END, halt_reason = CASE WHEN $4 THEN NULL ELSE halt_reason END,
            halted_by = CASE WHEN $4 THEN NULL ELSE halted_by END, halted_at = CASE WHEN $4 THEN NULL ELSE halted_at END
      WHERE change_id = $1 AND ordinal = $2`,
    [lane.changeId, lane.ring, now, lifts, lane.changeDeadline],
  );
}
