import type { Queryable } from '../pool.js';
import { type Page, pageOf } from './cursor.js';

const COLUMNS = `o.id, o.change_id AS "changeId", o.ring, o.home_ring AS "homeRing", o.endpoint_id AS "endpointId",
  e.name AS "endpointName", o.kind, o.attempt, o.priority, o.wave, o.phase, o.state, o.seq, o.permit_until AS "permitUntil",
  o.next_open AS "nextOpen", o.next_close AS "nextClose", o.window_reason AS "windowReason",
  o.straggler_reason AS "stragglerReason", o.outcome, o.reason, o.reverts, o.released_at AS "releasedAt",
  o.started_at AS "startedAt", o.settled_at AS "settledAt", o.updated_at AS "updatedAt"`;

/** One order with everything that ever happened to it; null when there is none. */
export async function readOrder(db: Queryable, id: string): Promise<object | null> {
  const [order, events] = await Promise.all([
    db.query(`SELECT ${COLUMNS} FROM order_state o JOIN endpoint e ON e.id = o.endpoint_id WHERE o.id = $1`, [id]),
    db.query(
      `SELECT id, at, actor, event, seq, from_state AS "from", to_state AS "to", detail FROM order_event
        WHERE order_id = $1 ORDER BY id`,
      [id],
    ),
  ]);
  const row = order.rows[0] as object | undefined;
  return row === undefined ? null : { ...row, events: events.rows };
}

export interface OrderFilter {
  readonly changeId?: string | undefined;
  readonly ring?: number | undefined;
  readonly endpointId?: string | undefined;
  readonly state?: string | undefined;
  readonly kind?: string | undefined;
}

/** Orders by id, each in its present state. */
export async function listOrders(
  db: Queryable,
  args: { filter: OrderFilter; after: string | null; limit: number },
): Promise<Page<{ readonly id: string }>> {
  const { filter } = args;
  const { rows } = await db.query<{ id: string }>(
    `SELECT ${COLUMNS} FROM order_state o JOIN endpoint e ON e.id = o.endpoint_id
      WHERE ($1::uuid IS NULL OR o.change_id = $1) AND ($2::int IS NULL OR o.ring = $2)
        AND ($3::uuid IS NULL OR o.endpoint_id = $3) AND ($4::text IS NULL OR o.state = $4)
        AND ($5::text IS NULL OR o.kind = $5) AND ($6::uuid IS NULL OR o.id > $6)
      ORDER BY o.id LIMIT $7`,
    [
      filter.changeId ?? null,
      filter.ring ?? null,
      filter.endpointId ?? null,
      filter.state ?? null,
      filter.kind ?? null,
      args.after,
      args.limit + 1,
    ],
  );
  return pageOf(rows, args.limit, (row) => [row.id]);
}
