import type { OrderState } from '../../domain/order/index.js';
import type { Queryable } from '../pool.js';

/** One endpoint of a ring by its last change order. */
export interface EndpointEnd {
  readonly endpointId: string;
  readonly name: string;
  /** The ring it was planned in. */
  readonly ring: number;
  /** Null: its ring never opened, so there was no order. */
  readonly state: OrderState | null;
  readonly reason: string | null;
  /** It was rolled back by a revert order that ended so. */
  readonly rollback: OrderState | null;
  /** Why it was caught up outside of its ring; null when it was not. */
  readonly stragglerReason: string | null;
  readonly skippedBy: string | null;
}

/** How each planned endpoint ended; one row per endpoint. */
export async function loadEnds(db: Queryable, changeId: string): Promise<EndpointEnd[]> {
  const { rows } = await db.query(
    `SELECT pe.endpoint_id, e.name, pe.ring, pe.skipped_by, o.state, o.reason, o.straggler_reason, r.state AS rollback
       FROM plan_endpoint pe JOIN endpoint e ON e.id = pe.endpoint_id
       LEFT JOIN (SELECT DISTINCT ON (endpoint_id) * FROM order_state WHERE change_id = $1 AND kind = 'change'
                   ORDER BY endpoint_id, attempt DESC) o ON o.endpoint_id = pe.endpoint_id
       LEFT JOIN (SELECT DISTINCT ON (endpoint_id) * FROM order_state WHERE change_id = $1 AND kind = 'revert'
                   ORDER BY endpoint_id, attempt DESC) r ON r.reverts = o.id
      WHERE pe.change_id = $1 AND pe.ring IS NOT NULL
      ORDER BY pe.ring, e.name, pe.endpoint_id`,
    [changeId],
  );
  return rows.map((row) => ({
    endpointId: row.endpoint_id,
    name: row.name,
    ring: row.ring,
    state: row.state,
    reason: row.reason,
    rollback: row.rollback,
    stragglerReason: row.straggler_reason,
    skippedBy: row.skipped_by,
  }));
}

/** Endpoints in scope that the plan left out, counted by reason. */
export async function countExcluded(db: Queryable, changeId: string): Promise<Record<string, number>> {
  const { rows } = await db.query<{ reason: string; endpoints: number }>(
    `SELECT coalesce(reason, 'no reason given') AS reason, count(*)::int AS endpoints
       FROM plan_endpoint WHERE change_id = $1 AND ring IS NULL GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 100`,
    [changeId],
  );
  return Object.fromEntries(rows.map((row) => [row.reason, row.endpoints]));
}
