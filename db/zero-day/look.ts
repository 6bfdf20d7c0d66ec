/** Looking again: who is exposed now, who is proven fixed, and whether it is over. Inventories decide, never plans. */
import type { Pool, PoolClient } from 'pg';
import type { EpochMs } from '../../domain/time.js';
import { DAY, MINUTE } from '../../domain/time.js';
import type { Target } from '../../domain/zero-day/target.js';
import { appendAudit } from '../audit/append.js';
import { inTransaction, type Queryable } from '../pool.js';
import { findExposed } from './endpoints.js';

/** A machine that comes back after longer than this opens no old zero-day again; it is in every routine cycle. */
const WATCHED_MS = 180 * DAY;

/** Zero-days worth another look: something was scanned since the last one, or it is a minute old and somebody is exposed. */
export async function dueForLook(db: Queryable, now: EpochMs): Promise<string[]> {
  const { rows } = await db.query<{ id: string }>(
    `SELECT z.id FROM zero_day z
      WHERE (z.ended_at IS NULL OR z.requested_at > to_timestamp($1 / 1000.0) AND z.looked_at < to_timestamp($2 / 1000.0))
        AND (z.ended_at IS NULL AND z.looked_at < to_timestamp($2 / 1000.0)
             OR EXISTS (SELECT FROM scan s WHERE s.received_at >= z.looked_at))
      ORDER BY z.looked_at LIMIT 20`,
    [now - WATCHED_MS, now - MINUTE],
  );
  return rows.map((row) => row.id);
}

/** @returns how many are exposed now; null when another worker is looking. */
export async function lookAgain(
  pool: Pool,
  args: { readonly id: string; readonly now: EpochMs },
): Promise<number | null> {
  return inTransaction(pool, async (client) => {
    const { rows } = await client.query<{ targets: readonly Target[]; ended: boolean }>(
      'SELECT targets, ended_at IS NOT NULL AS ended FROM zero_day WHERE id = $1 FOR NO KEY UPDATE SKIP LOCKED',
      [args.id],
    );
    const row = rows[0];
    if (row === undefined) return null;
    const exposed = (await findExposed(client, { targets: row.targets })).map((one) => one.endpointId);
    await record(client, { ...args, exposed });
    const over = exposed.length === 0;
    if (over !== row.ended) {
      await appendAudit(client, [
        {
          actor: 'worker',
          action: over ? 'zeroDay.ended' : 'zeroDay.exposedAgain',
          subject: `zeroDay/${args.id}`,
          detail: { exposed: exposed.length },
        },
      ]);
    }
    return exposed.length;
  });
}

async function record(
  client: PoolClient,
  args: { readonly id: string; readonly now: EpochMs; readonly exposed: readonly string[] },
): Promise<void> {
  const { id, exposed, now } = args;
  // Newly exposed, or again: since the scan that shows it.
  await client.query(
    `INSERT INTO zero_day_endpoint AS z (zero_day_id, endpoint_id, exposed_since)
     SELECT $1, e.id, coalesce(s.received_at, to_timestamp($3 / 1000.0)) FROM unnest($2::uuid[]) AS e (id)
       LEFT JOIN LATERAL (SELECT received_at FROM scan s WHERE s.endpoint_id = e.id AND s.complete
                           ORDER BY received_at DESC LIMIT 1) s ON true
     ON CONFLICT (zero_day_id, endpoint_id) DO UPDATE
        SET exposed_since = excluded.exposed_since, fixed_at = NULL, fixed_by_scan = NULL WHERE z.fixed_at IS NOT NULL`,
    [id, exposed, now],
  );
  // Only a scan from after proves anything.
  await client.query(
    `UPDATE zero_day_endpoint z SET fixed_at = s.received_at, fixed_by_scan = s.id
       FROM zero_day_endpoint o
       JOIN LATERAL (SELECT id, received_at FROM scan s WHERE s.endpoint_id = o.endpoint_id AND s.complete
                      ORDER BY received_at DESC LIMIT 1) s ON s.received_at > o.exposed_since
      WHERE o.zero_day_id = $1 AND o.fixed_at IS NULL AND o.endpoint_id <> ALL ($2::uuid[])
        AND z.zero_day_id = o.zero_day_id AND z.endpoint_id = o.endpoint_id`,
    [id, exposed],
  );
  await client.query(
    `UPDATE zero_day SET looked_at = to_timestamp($2 / 1000.0), exposed = $3,
            ended_at = CASE WHEN $3 = 0 THEN coalesce(ended_at, to_timestamp($2 / 1000.0)) END WHERE id = $1`,
    [id, now, exposed.length],
  );
}
