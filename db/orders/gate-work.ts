/** The hooks of gates: which are due, who runs them, and what follows from what they came to. */
import type { Pool, PoolClient } from 'pg';
import { outcomeForHooks, type ServerHook, serverHooks } from '../../domain/policy/hooks.js';
import type { PolicyDocument } from '../../domain/policy/policy-set.js';
import type { EpochMs } from '../../domain/time.js';
import { appendAudit } from '../audit/append.js';
import { inTransaction } from '../pool.js';
import { haltSpentRings, lockRings, notifyOrders, setHalted } from './budget-halt.js';
import { IN_WINDOW, STOPPED } from './gates.js';
import { moveOrders } from './move-set.js';
import { at } from './rows.js';

export interface GateWork {
  readonly orderId: string;
  readonly moment: 'before' | 'after';
  readonly round: number;
  /** Those of the moment that have not ended yet, with their places. */
  readonly hooks: readonly { readonly position: number; readonly hook: ServerHook }[];
  /** Told to the hooks. */
  readonly facts: {
    readonly kind: 'change' | 'revert';
    readonly changeId: string;
    readonly change: string;
    readonly ring: number;
    readonly endpointId: string;
    readonly endpoint: string;
    readonly labels: Readonly<Record<string, string>>;
    /** `pending` before, else what happened. */
    readonly outcome: string;
  };
}

/** Endpoints of a quorum group that are away because their own gate is not done yet; the group is not overdrawn by one more. */
const QUORUM_ROOM = `NOT EXISTS (
  SELECT FROM quorum_member m JOIN quorum_group q ON q.id = m.quorum_id
   WHERE m.endpoint_id = o.endpoint_id AND q.max_unavailable <= (
     SELECT count(*) FROM quorum_member n JOIN order_gate b ON b.endpoint_id = n.endpoint_id
      WHERE n.quorum_id = q.id AND b.order_id <> o.id AND b.state <> 'done' AND b.begun_at IS NOT NULL))`;

/**
 * Takes up to `limit` gates whose hooks are due now: those before an order that is staged and could begin, and those after one
 * that has ended or will not begin for now. Each is the caller's until `leaseUntil`.
 */
export async function claimGates(
  pool: Pool,
  args: { readonly now: EpochMs; readonly leaseUntil: EpochMs; readonly limit: number },
): Promise<readonly GateWork[]> {
  return inTransaction(pool, async (client) => {
    // One claim at a time, so that two can't both take the last place of a quorum group.
    await client.query(`SELECT pg_advisory_xact_lock(hashtextextended('order_gate', 0))`);
    await client.query(
      `UPDATE order_gate g SET state = 'done', updated_at = ${at('$1')} FROM order_state o
        WHERE o.id = g.order_id AND g.state <> 'done' AND g.begun_at IS NULL AND o.phase = 'done'`,
      [args.now],
    );
    const { rows } = await client.query<Row>(
      `SELECT g.order_id, g.round, g.state, o.kind, o.state AS order_state, o.phase, o.ring, o.started_at, o.change_id, c.name AS change,
              e.id AS endpoint_id, e.name AS endpoint, e.labels, ps.document AS policy,
              ARRAY(SELECT h.moment || h.position FROM hook_run h WHERE h.order_id = g.order_id AND h.round = g.round) AS ran
         FROM order_gate g JOIN order_state o ON o.id = g.order_id JOIN endpoint e ON e.id = o.endpoint_id
         JOIN change c ON c.id = o.change_id JOIN ring r ON r.change_id = o.change_id AND r.ordinal = o.ring
         JOIN plan_endpoint pe ON pe.change_id = o.change_id AND pe.endpoint_id = o.endpoint_id
         JOIN policy_set ps ON ps.id = pe.policy_set_id AND ps.version = pe.policy_version
        WHERE g.state <> 'done' AND (g.lease_until IS NULL OR g.lease_until <= ${at('$1')})
          AND (g.begun_at IS NOT NULL AND (o.phase = 'done' OR g.state = 'closing')
            OR g.state = 'shut' AND o.state = 'staged' AND ${IN_WINDOW('$1')} AND NOT ${STOPPED}
               AND e.state = 'active' AND NOT e.scan_only AND (e.hold_until IS NULL OR e.hold_until <= ${at('$1')})
               AND ${QUORUM_ROOM})
        ORDER BY (o.phase = 'done' OR g.state = 'closing') DESC, g.order_id LIMIT $2 FOR UPDATE OF g SKIP LOCKED`,
      [args.now, args.limit],
    );
    // The others of a quorum group wait for the next claim, which sees this one.
    const taken = firstOfEach(rows, await groupsOf(client, rows));
    await client.query(
      `UPDATE order_gate SET lease_until = ${at('$2')}, begun_at = coalesce(begun_at, ${at('$3')}), updated_at = ${at('$3')}
        WHERE order_id = ANY ($1::uuid[])`,
      [taken.map((row) => row.order_id), args.leaseUntil, args.now],
    );
    const works = taken.map(workOf);
    await noteBegun(client, works, args.now);
    return works;
  });
}

interface Row {
  readonly order_id: string;
  readonly round: number;
  readonly state: 'shut' | 'open' | 'closing';
  readonly kind: 'change' | 'revert';
  readonly order_state: string;
  readonly phase: string;
  readonly ring: number;
  readonly started_at: Date | null;
  readonly change_id: string;
  readonly change: string;
  readonly endpoint_id: string;
  readonly endpoint: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly policy: PolicyDocument;
  /** Moment and place of what has run. */
  readonly ran: readonly string[];
}

async function groupsOf(client: PoolClient, rows: readonly Row[]): Promise<ReadonlyMap<string, readonly string[]>> {
  const { rows: members } = await client.query(
    'SELECT endpoint_id, quorum_id FROM quorum_member WHERE endpoint_id = ANY ($1::uuid[])',
    [rows.map((row) => row.endpoint_id)],
  );
  const groups = new Map<string, string[]>();
  for (const m of members) groups.set(m.endpoint_id, [...(groups.get(m.endpoint_id) ?? []), m.quorum_id]);
  return groups;
}

function firstOfEach(rows: readonly Row[], groups: ReadonlyMap<string, readonly string[]>): readonly Row[] {
  const used = new Set<string>();
  return rows.filter((row) => {
    if (row.phase === 'done' || row.state === 'closing') return true;
    const mine = groups.get(row.endpoint_id) ?? [];
    if (mine.some((id) => used.has(id))) return false;
    for (const id of mine) used.add(id);
    return true;
  });
}

function workOf(row: Row): GateWork {
  const after = row.phase === 'done' || row.state === 'closing';
  const moment = after ? 'after' : 'before';
  const hooks = serverHooks(row.policy)
    .map((hook, position) => ({ hook, position }))
    .filter(({ hook, position }) => hook.when === moment && !row.ran.includes(`${moment}${position}`));
  const outcome = outcomeForHooks({ state: row.order_state, began: row.started_at !== null });
  return {
    orderId: row.order_id,
    moment,
    round: row.round,
    hooks,
    facts: {
      kind: row.kind,
      changeId: row.change_id,
      change: row.change,
      ring: row.ring,
      endpointId: row.endpoint_id,
      endpoint: row.endpoint,
      labels: row.labels,
      outcome: after ? (row.phase === 'done' ? outcome : 'notStarted') : 'pending',
    },
  };
}

/** Whoever looks at the order sees what it waits for. */
async function noteBegun(client: PoolClient, works: readonly GateWork[], now: EpochMs): Promise<void> {
  const begun = works
    .filter(({ hooks }) => hooks.length > 0)
    .map(({ orderId, moment, hooks }) => ({
      orderId,
      detail: { when: moment, hooks: hooks.map(({ hook }) => hook.name) },
    }));
  if (begun.length === 0) return;
  await client.query(
    `INSERT INTO order_event (order_id, at, actor, event, from_state, to_state, detail)
     SELECT o.id, ${at('$2')}, 'server', 'hooksBegun', o.state, o.state, b.detail
       FROM jsonb_to_recordset($1::jsonb) AS b ("orderId" uuid, detail jsonb) JOIN order_state o ON o.id = b."orderId"`,
    [JSON.stringify(begun), now],
  );
}

/** Goes on holding gates while their hooks run. */
export async function renewLeases(pool: Pool, orderIds: readonly string[], leaseUntil: EpochMs): Promise<void> {
  await pool.query(
    `UPDATE order_gate SET lease_until = ${at('$2')} WHERE order_id = ANY ($1::uuid[]) AND state <> 'done'`,
    [orderIds, leaseUntil],
  );
}

/** Writes down what a hook came to, once; also where people look at the order. */
export async function recordHookRun(
  pool: Pool,
  args: {
    readonly work: GateWork;
    readonly position: number;
    readonly hook: ServerHook;
    readonly problem: string | null;
    readonly now: EpochMs;
  },
): Promise<void> {
  const { work, hook, problem, now } = args;
  const detail = { hook: hook.name, when: hook.when, ok: problem === null, ...(problem === null ? {} : { problem }) };
  await pool.query(
    `WITH run AS (
       INSERT INTO hook_run (order_id, round, moment, position, name, sha256, ok, ignored, problem, ended_at)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, ${at('$10')}) ON CONFLICT DO NOTHING RETURNING order_id)
     INSERT INTO order_event (order_id, at, actor, event, from_state, to_state, detail)
     SELECT o.id, ${at('$10')}, 'server', 'hook', o.state, o.state, $11::jsonb FROM run JOIN order_state o ON o.id = run.order_id`,
    [
      work.orderId,
      work.round,
      work.moment,
      args.position,
      hook.name,
      hook.sha256,
      problem === null,
      problem !== null && hook.onFailure === 'ignore',
      problem,
      now,
      JSON.stringify(detail),
    ],
  );
}

/** Whether a hook of this round that must succeed did not, as a sentence; whoever asked before may have died since. */
export async function stoppedByHook(pool: Pool, work: GateWork): Promise<string | null> {
  const { rows } = await pool.query<{ name: string; problem: string }>(
    `SELECT name, problem FROM hook_run WHERE order_id = $1 AND round = $2 AND moment = $3 AND NOT ok AND NOT ignored
      ORDER BY position LIMIT 1`,
    [work.orderId, work.round, work.moment],
  );
  return rows[0] === undefined ? null : `hook ${rows[0].name} on the server ${rows[0].problem}`;
}

/**
 * All hooks of the moment have ended, or one that must succeed did not (`stopped`). Before an order: the gate opens, or the order
 * fails, under its ring's budget. After it: the gate is done, or shut anew where the order is still to begin; a failure halts
 * what runs of the change, for the endpoint may not be back where it belongs.
 */
export async function endMoment(
  pool: Pool,
  args: { readonly work: GateWork; readonly stopped: string | null; readonly now: EpochMs },
): Promise<void> {
  const { work, stopped, now } = args;
  const { changeId } = work.facts;
  await inTransaction(pool, async (client) => {
    if (stopped !== null) await lockRings(client, [changeId]);
    if (work.moment === 'before' && stopped === null) {
      await client.query(
        `UPDATE order_gate SET state = 'open', lease_until = NULL, updated_at = ${at('$2')} WHERE order_id = $1 AND state = 'shut'`,
        [work.orderId, now],
      );
    }
    if (work.moment === 'before' && stopped !== null) {
      const reason = `before the start, ${stopped}`;
      await moveOrders(client, { event: 'gateFailed', where: 'o.id = $1', values: [work.orderId], now, reason });
      await client.query('UPDATE order_gate SET lease_until = NULL WHERE order_id = $1', [work.orderId]);
      await haltSpentRings(client, { changeIds: [changeId], now });
    }
    if (work.moment === 'after') {
      await client.query(
        `UPDATE order_gate g
            SET state = CASE WHEN o.phase = 'done' THEN 'done' ELSE 'shut' END, begun_at = CASE WHEN o.phase = 'done' THEN g.begun_at END,
                round = CASE WHEN o.phase = 'done' THEN g.round ELSE g.round + 1 END, lease_until = NULL, updated_at = ${at('$2')}
           FROM order_state o WHERE o.id = g.order_id AND g.order_id = $1 AND g.round = $3`,
        [work.orderId, now, work.round],
      );
      if (stopped !== null)
        await haltRunning(client, { changeId, reason: `after ${work.facts.endpoint}, ${stopped}`, now });
    }
    if (stopped !== null) {
      const detail = { orderId: work.orderId, moment: work.moment, reason: stopped };
      await appendAudit(client, [
        { actor: 'worker', action: 'hook.failed', subject: `endpoint/${work.facts.endpointId}`, detail },
      ]);
    }
    await notifyOrders(client, [changeId]);
  });
}

async function haltRunning(
  client: PoolClient,
  args: { readonly changeId: string; readonly reason: string; readonly now: EpochMs },
): Promise<void> {
  const { rows } = await client.query<{ ordinal: number }>(
    `SELECT ordinal FROM ring WHERE change_id = $1 AND NOT halted AND state IN ('open', 'soaking')`,
    [args.changeId],
  );
  const halts = rows.map(({ ordinal }) => ({ changeId: args.changeId, ring: ordinal, reason: args.reason }));
  await setHalted(client, { halts, by: 'hook', now: args.now });
}
