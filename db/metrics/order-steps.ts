import type { Queryable } from '../pool.js';

/** One step of a traced order: how long it was in `state` before `event` ended that. */
export interface OrderStep {
  readonly eventId: number;
  readonly orderId: string;
  readonly changeId: string;
  readonly endpointId: string;
  readonly endpointName: string;
  readonly kind: string;
  readonly ring: number;
  readonly trace: string;
  readonly state: string;
  readonly event: string;
  readonly to: string;
  readonly final: boolean;
  readonly from: Date;
  readonly at: Date;
  /** When the order was first let out, for the span of the whole order. */
  readonly began: Date;
  readonly reason: string | null;
}

/**
 * Steps after an event id, of changes that are traced, oldest first. Entries younger than ten seconds wait: ids are given
 * before transactions commit, so a smaller one may still turn up.
 * @returns `upTo` where to go on, also when nothing of it is traced
 */
export async function readOrderSteps(
  db: Queryable,
  args: { readonly after: number; readonly limit: number },
): Promise<{ readonly steps: readonly OrderStep[]; readonly upTo: number }> {
  const { rows } = await db.query<OrderStep & { trace: string | null }>(
    `WITH taken AS (
       SELECT * FROM order_event WHERE id > $1 AND at < now() - interval '10 seconds' ORDER BY id LIMIT $2)
     SELECT t.id AS "eventId", t.order_id AS "orderId", o.change_id AS "changeId", o.endpoint_id AS "endpointId",
            e.name AS "endpointName", o.kind, o.home_ring AS ring, c.trace, t.from_state AS state, t.event, t.to_state AS "to",
            o.phase = 'done' AND o.state = t.to_state AS final, coalesce(before.at, t.at) AS "from", t.at,
            coalesce(first.at, t.at) AS began, o.reason
       FROM taken t
       LEFT JOIN order_state o ON o.id = t.order_id
       LEFT JOIN change c ON c.id = o.change_id
       LEFT JOIN endpoint e ON e.id = o.endpoint_id
       LEFT JOIN LATERAL (SELECT p.at FROM order_event p WHERE c.trace IS NOT NULL AND p.order_id = t.order_id AND p.id < t.id
                           ORDER BY p.id DESC LIMIT 1) before ON true
       LEFT JOIN LATERAL (SELECT p.at FROM order_event p WHERE c.trace IS NOT NULL AND p.order_id = t.order_id
                           ORDER BY p.id LIMIT 1) first ON true
      ORDER BY t.id`,
    [args.after, args.limit],
  );
  return { steps: rows.filter((row) => row.trace !== null), upTo: rows.at(-1)?.eventId ?? args.after };
}

const CURSOR = 'orderTraceCursor';

/** Where the order traces stand; a new installation of traces begins with what happens from now on. */
export async function readTraceCursor(db: Queryable): Promise<number> {
  const { rows } = await db.query<{ value: number }>(
    `INSERT INTO setting (key, value) VALUES ($1, to_jsonb(coalesce((SELECT max(id) FROM order_event), 0)))
     ON CONFLICT (key) DO UPDATE SET value = setting.value RETURNING value`,
    [CURSOR],
  );
  return Number(rows[0]?.value ?? 0);
}

export async function writeTraceCursor(db: Queryable, upTo: number): Promise<void> {
  await db.query('UPDATE setting SET value = to_jsonb(greatest((value #>> $2)::bigint, $3::bigint)) WHERE key = $1', [
    CURSOR,
    [],
    upTo,
  ]);
}
