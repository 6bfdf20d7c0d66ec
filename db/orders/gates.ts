/**
 * Gates: hooks on the server before and after an order (docs/hooks.md). A row says where a gate stands, `hook_run` what each hook
 * came to. Whoever runs hooks holds the row's lease; a worker that dies loses it, and the next goes on after the last hook on
 * record.
 */
import type { Pool, PoolClient } from 'pg';
import type { EpochMs } from '../../domain/time.js';
import { inTransaction, type Queryable } from '../pool.js';
import { lockLane } from './lane.js';
import { at } from './rows.js';
import type { OrderTarget } from './types.js';

/** What a permit that is not yet signed waits for. */
export const GATE_OPEN = `NOT EXISTS (SELECT FROM order_gate g WHERE g.order_id = o.id AND g.state <> 'open')`;

/**
 * Gates those of these orders whose policy has hooks on the server, in the transaction that lets them out.
 * @returns the gated ones
 */
export async function shutGates(client: PoolClient, orderIds: readonly string[], now: EpochMs): Promise<Set<string>> {
  await client.query(
    `INSERT INTO order_gate (order_id, endpoint_id, updated_at)
     SELECT o.id, o.endpoint_id, ${at('$2')} FROM order_state o
       JOIN plan_endpoint pe ON pe.change_id = o.change_id AND pe.endpoint_id = o.endpoint_id
       JOIN policy_set ps ON ps.id = pe.policy_set_id AND ps.version = pe.policy_version
      WHERE o.id = ANY ($1::uuid[]) AND o.kind IN ('change', 'revert')
        AND jsonb_path_exists(ps.document, '$.hooks[*] ? (@.runsOn == "server")')
     ON CONFLICT DO NOTHING`,
    [orderIds, now],
  );
  const { rows } = await client.query<{ order_id: string }>(
    `SELECT order_id FROM order_gate WHERE order_id = ANY ($1::uuid[]) AND state <> 'open'`,
    [orderIds],
  );
  return new Set(rows.map((row) => row.order_id));
}

/** Of `order_state o`. */
export const IN_WINDOW = (now: string) => `o.next_open <= ${at(now)} AND o.next_close > ${at(now)}`;
/** Of `order_state o`, its `ring r` and `change c`: nothing of it may begin. */
export const STOPPED = `(r.halted OR c.closed_at IS NOT NULL OR c.halted AND o.kind <> 'revert' OR r.target_kind <> o.kind)`;

/** SQL: some order waits for hooks on the server. */
export const GATES_OPEN = `EXISTS (SELECT FROM order_gate WHERE state <> 'done')`;

/** Whether any order waits for hooks on the server: mostly nobody has such hooks, and this is asked whenever an order moves. */
export async function anyGate(db: Queryable): Promise<boolean> {
  return (await db.query(`SELECT ${GATES_OPEN} AS open`)).rows[0].open;
}

/**
 * Shuts gates again whose order was not permitted to begin in its window, or whose ring was stopped, and takes the permit back
 * that nobody was given. Under the lane's lock, as every permit is handed out.
 */
export async function turnBack(pool: Pool, now: EpochMs): Promise<void> {
  const where = `g.state = 'open' AND o.state IN ('offered', 'accepted', 'staged') AND o.permit_until IS NULL
    AND (${STOPPED} OR coalesce(NOT (${IN_WINDOW('$1')}), true))`;
  const from = `order_gate g JOIN order_state o ON o.id = g.order_id
    JOIN ring r ON r.change_id = o.change_id AND r.ordinal = o.ring JOIN change c ON c.id = o.change_id`;
  const { rows: lanes } = await pool.query<{ change_id: string; ring: number; kind: OrderTarget }>(
    `SELECT DISTINCT o.change_id, o.ring, o.kind FROM ${from} WHERE ${where} LIMIT 50`,
    [now],
  );
  for (const lane of lanes) {
    await inTransaction(pool, async (client) => {
      await lockLane(client, { changeId: lane.change_id, ring: lane.ring, target: lane.kind, epoch: null });
      await client.query(
        `WITH back AS (SELECT o.id FROM ${from} WHERE ${where} AND o.change_id = $2 AND o.ring = $3 AND o.kind = $4),
              gone AS (DELETE FROM order_permit p USING back WHERE p.order_id = back.id)
         UPDATE order_gate g SET state = 'closing', lease_until = NULL, updated_at = ${at('$1')} FROM back WHERE g.order_id = back.id`,
        [now, lane.change_id, lane.ring, lane.kind],
      );
    });
  }
}
