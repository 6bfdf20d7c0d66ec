import type { Pool, PoolClient } from 'pg';
import type { EpochMs } from '../../domain/time.js';
import { appendAudit } from '../audit/append.js';
import { notifyOrders } from './budget-halt.js';
import { withLane } from './lane.js';
import { at } from './rows.js';
import { withdrawLocked } from './withdraw.js';

/**
 * Turns a ring to undoing what this change did in it: takes back what has not begun, queues a revert order for each endpoint
 * the change has touched, and lets the ring go again for those alone. Idempotent.
 *
 * @param args.ignoreWindows a person says not to wait for hours of operation.
 * @returns how many revert orders the ring has now.
 * @throws NoSuchRow
 */
export async function startRollback(
  pool: Pool,
  args: {
    readonly changeId: string;
    readonly ring: number;
    readonly by: string;
    readonly reason: string;
    readonly ignoreWindows: boolean;
    readonly now: EpochMs;
  },
): Promise<{ readonly orders: number }> {
  return withLane(pool, { ...args, target: 'revert' }, async (client) => {
    const { changeId, ring, by, reason, now } = args;
    const { rows: was } = await client.query(
      'SELECT state, target_kind FROM ring WHERE change_id = $1 AND ordinal = $2',
      [changeId, ring],
    );
    if (was[0]?.state !== 'rollingBack') {
      await withdrawLocked(client, { changeId, ring, reason, now });
      await client.query(
        `UPDATE ring SET state = 'rollingBack', target_kind = 'revert', ignore_windows = $3, drained_at = NULL,
                halted = false, halt_reason = NULL, halted_by = NULL, halted_at = NULL,
                concurrency = 1, paced_successes = 0, paced_failures = 0
          WHERE change_id = $1 AND ordinal = $2`,
        [changeId, ring, args.ignoreWindows],
      );
      await appendAudit(client, [
        {
          actor: by,
          action: 'ring.rollback',
          subject: `change/${changeId}`,
          detail: { ring, reason, ignoreWindows: args.ignoreWindows },
        },
      ]);
    }
    await queueReverts(client, { changeId, ring, now });
    await notifyOrders(client, [changeId]);
    const { rows } = await client.query(
      `SELECT count(*)::int AS n FROM order_state WHERE change_id = $1 AND ring = $2 AND kind = 'revert' AND NOT retried`,
      [changeId, ring],
    );
    return { orders: rows[0].n };
  });
}

/**
 * Queues what is to be undone and has no revert order yet: also what an endpoint reported after the rollback had begun, and
 * what had to give way to an order of higher priority. In the host order's reverse. The caller holds the ring's lock.
 *
 * Undone is what the change has begun on an endpoint and not taken back itself: what it installed, what failed halfway, and
 * what was never heard of again (that one waits until it is). What was satisfied before the change came is not its to undo.
 */
export async function queueReverts(
  client: PoolClient,
  args: { readonly changeId: string; readonly ring: number; readonly now: EpochMs },
): Promise<number> {
  const { rowCount } = await client.query(
    `WITH undo AS MATERIALIZED (
       SELECT o.id, o.change_id, o.home_ring, o.endpoint_id, o.priority, o.wave, o.content_digest, last.id AS last_id,
              (SELECT coalesce(max(r.attempt), 0) FROM order_state r
                WHERE r.change_id = o.change_id AND r.endpoint_id = o.endpoint_id AND r.kind = 'revert') AS attempts
         FROM order_state o
         LEFT JOIN LATERAL (SELECT r.id, r.state FROM order_state r WHERE r.reverts = o.id ORDER BY r.attempt DESC LIMIT 1) last ON true
        WHERE o.change_id = $1 AND o.home_ring = $2 AND o.kind = 'change' AND NOT o.retried AND o.started_at IS NOT NULL
          AND (o.state IN ('succeeded', 'failed', 'stalled'))
          AND coalesce(o.outcome, '') <> 'satisfied'
          AND (last.state IS NULL OR last.state IN ('superseded', 'withdrawn'))),
     replaced AS (UPDATE order_state r SET retried = true FROM undo u WHERE r.id = u.last_id)
     INSERT INTO order_state (id, change_id, ring, home_ring, endpoint_id, kind, attempt, priority, wave, content_digest, reverts, updated_at)
     SELECT gen_random_uuid(), u.change_id, u.home_ring, u.home_ring, u.endpoint_id, 'revert', u.attempts + 1, u.priority,
            (SELECT max(w.wave) FROM order_state w WHERE w.change_id = $1 AND w.home_ring = $2 AND w.kind = 'change') - u.wave,
            u.content_digest, u.id, ${at('$3')}
       FROM undo u`,
    [args.changeId, args.ring, args.now],
  );
  return rowCount ?? 0;
}
