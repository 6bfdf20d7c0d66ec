import type { EpochMs } from '../../domain/time.js';
import type { Queryable } from '../pool.js';

export interface Aggregates {
  readonly orders: readonly { readonly kind: string; readonly state: string; readonly count: number }[];
  readonly changes: readonly {
    readonly stage: string;
    readonly waiting: boolean;
    readonly halted: boolean;
    readonly count: number;
  }[];
  readonly endpoints: readonly { readonly state: string; readonly count: number }[];
  /** Endpoints heard of within five minutes, an hour, a day. */
  readonly seen: { readonly fiveMinutes: number; readonly hour: number; readonly day: number };
  readonly outbox: { readonly count: number; readonly oldestSeconds: number };
  readonly openApprovals: number;
}

/** Counts by state. Orders of closed changes only grow and say nothing new, so they are left out. */
export async function readAggregates(db: Queryable, now: EpochMs): Promise<Aggregates> {
  const [orders, changes, endpoints, one] = await Promise.all([
    db.query<{ kind: string; state: string; count: number }>(
      `SELECT o.kind, o.state, count(*) AS count FROM order_state o LEFT JOIN change c ON c.id = o.change_id
        WHERE c.closed_at IS NULL GROUP BY o.kind, o.state`,
    ),
    db.query<{ stage: string; waiting: boolean; halted: boolean; count: number }>(
      `SELECT stage, waiting_for IS NOT NULL AS waiting, halted, count(*) AS count FROM change GROUP BY 1, 2, 3`,
    ),
    db.query<{ state: string; count: number }>('SELECT state, count(*) AS count FROM endpoint GROUP BY state'),
    db.query<{ five: number; hour: number; day: number; backlog: number; oldest: number | null; approvals: number }>(
      `SELECT (SELECT count(*) FROM endpoint WHERE last_seen > to_timestamp($1 / 1000.0) - interval '5 minutes') AS five,
              (SELECT count(*) FROM endpoint WHERE last_seen > to_timestamp($1 / 1000.0) - interval '1 hour') AS hour,
              (SELECT count(*) FROM endpoint WHERE last_seen > to_timestamp($1 / 1000.0) - interval '1 day') AS day,
              (SELECT count(*) FROM outbox WHERE done_at IS NULL) AS backlog,
              (SELECT extract(epoch FROM to_timestamp($1 / 1000.0) - min(created_at))::float8 FROM outbox WHERE done_at IS NULL) AS oldest,
              (SELECT count(*) FROM approval_request WHERE state = 'open') AS approvals`,
      [now],
    ),
  ]);
  const row = one.rows[0];
  return {
    orders: orders.rows,
    changes: changes.rows,
    endpoints: endpoints.rows,
    seen: { fiveMinutes: row?.five ?? 0, hour: row?.hour ?? 0, day: row?.day ?? 0 },
    outbox: { count: row?.backlog ?? 0, oldestSeconds: Math.max(0, row?.oldest ?? 0) },
    openApprovals: row?.approvals ?? 0,
  };
}
