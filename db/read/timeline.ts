/** What happened to an endpoint, from everywhere it is written down, newest first. */
import type { Queryable } from '../pool.js';
import { type Page, pageOf } from './cursor.js';

export interface TimelineEntry {
  readonly at: Date;
  readonly kind: 'enrolled' | 'audit' | 'scan' | 'order';
  /** Unique within the kind. */
  readonly id: string;
  /** An audit action, an order's event, or what a scan came to. */
  readonly what: string;
  readonly actor: string;
  readonly orderId: string | null;
  readonly changeId: string | null;
  readonly detail: Readonly<Record<string, unknown>>;
}

/** As in a cursor: microseconds, kind, id. */
export type TimelinePlace = readonly [number, string, string];

/** Each source is read for one page only, by its own index; then they are merged. `$1` endpoint, `$2…$4` place, `$5` limit. */
const source = (args: { select: string; from: string; at: string; kind: string; id: string }): string => `
  (SELECT ${args.at} AS at, '${args.kind}' AS kind, ${args.id} AS id, ${args.select} FROM ${args.from}
      AND ($2::bigint IS NULL OR (${micros(args.at)}, '${args.kind}', ${args.id}) < ($2, $3::text, $4::text))
    ORDER BY ${args.at} DESC, ${args.id} DESC LIMIT $5)`;
const micros = (at: string) => `(extract(epoch FROM ${at}) * 1000000)::bigint`;

const SOURCES = [
  source({
    kind: 'enrolled',
    at: 'e.enrolled_at',
    id: 'e.id::text',
    select: `'enrolled' AS what, 'endpoint/' || e.id AS actor, NULL::uuid AS order_id, NULL::uuid AS change_id,
             jsonb_build_object('simulated', e.simulated, 'scanOnly', e.scan_only) AS detail`,
    from: 'endpoint e WHERE e.id = $1',
  }),
  source({
    kind: 'audit',
    at: 'a.at',
    id: `lpad(a.id::text, 19, '0')`,
    select: 'a.action, a.actor, NULL::uuid, NULL::uuid, a.detail',
    from: `audit_entry a WHERE a.subject = 'endpoint/' || $1::text`,
  }),
  source({
    kind: 'scan',
    at: 's.received_at',
    id: 's.id::text',
    select: `CASE WHEN s.complete THEN 'complete' ELSE 'incomplete' END, 'endpoint/' || s.endpoint_id, NULL::uuid, NULL::uuid,
             jsonb_build_object('provider', s.provider, 'reason', s.incomplete_reason, 'rebootRequired', s.reboot_required,
                                'startedAt', s.started_at)`,
    from: 'scan s WHERE s.endpoint_id = $1',
  }),
  source({
    kind: 'order',
    at: 'v.at',
    id: `lpad(v.id::text, 19, '0')`,
    select: `v.event, v.actor, o.id, o.change_id,
             v.detail || jsonb_build_object('order', o.kind, 'from', v.from_state, 'to', v.to_state)`,
    from: 'order_state o JOIN order_event v ON v.order_id = o.id WHERE o.endpoint_id = $1',
  }),
];

/** One page, in one statement. */
export async function readTimeline(
  db: Queryable,
  args: { readonly endpointId: string; readonly after: TimelinePlace | null; readonly limit: number },
): Promise<Page<TimelineEntry>> {
  const { rows } = await db.query<TimelineEntry & { micros: number }>(
    `SELECT at, kind, id, what, actor, order_id AS "orderId", change_id AS "changeId", detail, ${micros('at')} AS micros
       FROM (${SOURCES.join('\n UNION ALL ')}) merged
      ORDER BY ${micros('at')} DESC, kind DESC, id DESC LIMIT $5`,
    [args.endpointId, args.after?.[0] ?? null, args.after?.[1] ?? null, args.after?.[2] ?? null, args.limit + 1],
  );
  const page = pageOf(rows, args.limit, (row) => [row.micros, row.kind, row.id]);
  return { next: page.next, items: page.items.map(({ micros: _, ...row }) => row) };
}
