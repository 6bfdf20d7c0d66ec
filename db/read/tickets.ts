/** Ticket systems, tickets and work as people see them. Secrets are in none of these. */
import type { Attention } from '../../domain/ticket/ticket.js';
import type { Queryable } from '../pool.js';
import { type Page, pageOf } from './cursor.js';

export interface TicketSystemRow {
  readonly id: string;
  readonly name: string;
  readonly provider: string;
  readonly settings: Readonly<Record<string, unknown>>;
  readonly policy: Readonly<Record<string, unknown>>;
  readonly hasSecret: boolean;
  readonly hasHookSecret: boolean;
  readonly active: boolean;
  readonly version: number;
  readonly createdBy: string;
  readonly createdAt: Date;
  readonly retiredAt: Date | null;
  /** Whether the present version was found in order; null: nobody has looked yet. */
  readonly works: boolean | null;
  readonly problem: string | null;
  readonly checkedAt: Date | null;
  readonly failingSince: Date | null;
  readonly lastError: string | null;
  readonly heardUntil: Date | null;
  /** What is still to be told there, and how much of it was refused or not answered so far. */
  readonly waiting: number;
  readonly waitingWithError: number;
}

const SYSTEM = `SELECT s.id, s.name, s.provider, s.settings, s.policy, s.has_secret AS "hasSecret", s.hook_secret IS NOT NULL AS "hasHookSecret", s.active,
    s.version, s.created_by AS "createdBy", s.created_at AS "createdAt", s.retired_at AS "retiredAt",
    CASE WHEN t.checked_version = s.version THEN t.problem IS NULL END AS works, CASE WHEN t.checked_version = s.version THEN t.problem END AS problem,
    t.checked_at AS "checkedAt", t.failing_since AS "failingSince", CASE WHEN t.failing_since IS NOT NULL THEN t.last_error END AS "lastError",
    t.heard_until AS "heardUntil", w.waiting, w.with_error AS "waitingWithError"
  FROM ticket_system s LEFT JOIN ticket_system_state t ON t.system_id = s.id
  CROSS JOIN LATERAL (SELECT count(*)::int AS waiting, count(a.last_error)::int AS with_error FROM ticket_action a JOIN ticket k ON k.id = a.ticket_id
                       WHERE a.done_at IS NULL AND k.system_id = s.id) w`;

/** Systems that are not retired, by name. There are a handful. */
export async function listTicketSystems(
  db: Queryable,
  args: { readonly after: string | null; readonly limit: number },
): Promise<Page<TicketSystemRow>> {
  const { rows } = await db.query<TicketSystemRow>(
    `${SYSTEM} WHERE s.retired_at IS NULL AND ($1::text IS NULL OR s.name > $1) ORDER BY s.name LIMIT $2`,
    [args.after, args.limit + 1],
  );
  return pageOf(rows, args.limit, (row) => [row.name]);
}

export async function readTicketSystem(db: Queryable, id: string): Promise<TicketSystemRow | null> {
  const { rows } = await db.query<TicketSystemRow>(`${SYSTEM} WHERE s.id = $1`, [id]);
  return rows[0] ?? null;
}

/** What is needed to take in events of a system; null when it takes none. */
export interface HookRow {
  readonly id: string;
  readonly secret: string;
  readonly secretBefore: string | null;
}

export async function readHook(db: Queryable, id: string, now: number): Promise<HookRow | null> {
  const { rows } = await db.query<HookRow>(
    `SELECT id, hook_secret AS secret, CASE WHEN hook_secret_before_until > to_timestamp($2 / 1000.0) THEN hook_secret_before END AS "secretBefore"
       FROM ticket_system WHERE id = $1 AND hook_secret IS NOT NULL AND active AND retired_at IS NULL`,
    [id, now],
  );
  return rows[0] ?? null;
}

export interface TicketRow {
  readonly id: string;
  readonly systemId: string;
  readonly system: string;
  readonly key: string;
  readonly changeId: string | null;
  readonly workItemId: string | null;
  readonly endpointId: string | null;
  readonly endpoint: string | null;
  readonly about: string | null;
  readonly ref: string | null;
  readonly url: string | null;
  readonly state: string;
  readonly wanted: string;
  readonly attention: Attention | null;
  /** Where it is now, as far as is known. */
  readonly attentionAbout: string | null;
  readonly attentionBy: string | null;
  readonly attentionAt: Date | null;
  readonly createdAt: Date;
  readonly openedAt: Date | null;
  /** What is still to be told in it. */
  readonly waiting: number;
  readonly lastError: string | null;
}

export interface TicketFilter {
  readonly changeId?: string | undefined;
  readonly systemId?: string | undefined;
  readonly attention?: boolean | undefined;
  readonly state?: string | undefined;
}

const MICROS = `(extract(epoch FROM t.created_at) * 1000000)::bigint`;

/** Tickets, newest first. Of a change: its own and those of its work. */
export async function listTickets(
  db: Queryable,
  args: { readonly filter: TicketFilter; readonly after: readonly [number, string] | null; readonly limit: number },
): Promise<Page<TicketRow>> {
  const { filter } = args;
  const { rows } = await db.query<TicketRow & { micros: number }>(
    `SELECT t.id, t.system_id AS "systemId", s.name AS system, t.key, coalesce(t.change_id, w.change_id) AS "changeId", t.work_item_id AS "workItemId",
            w.endpoint_id AS "endpointId", e.name AS endpoint, coalesce(w.reason, c.name) AS about, t.ref, t.url, t.state, t.wanted, t.attention,
            t.attention_about AS "attentionAbout", t.attention_by AS "attentionBy", t.attention_at AS "attentionAt", t.created_at AS "createdAt", t.opened_at AS "openedAt",
            a.waiting, a.last_error AS "lastError", ${MICROS} AS micros
       FROM ticket t JOIN ticket_system s ON s.id = t.system_id LEFT JOIN change c ON c.id = t.change_id
       LEFT JOIN work_item w ON w.id = t.work_item_id LEFT JOIN endpoint e ON e.id = w.endpoint_id
       CROSS JOIN LATERAL (SELECT count(*)::int AS waiting, max(last_error) AS last_error FROM ticket_action a WHERE a.ticket_id = t.id AND a.done_at IS NULL) a
      WHERE ($1::uuid IS NULL OR t.change_id = $1 OR w.change_id = $1) AND ($2::uuid IS NULL OR t.system_id = $2)
        AND ($3::boolean IS NULL OR (t.attention IS NOT NULL) = $3) AND ($4::text IS NULL OR t.state = $4)
        AND ($5::bigint IS NULL OR (${MICROS}, t.id) < ($5, $6::uuid))
      ORDER BY ${MICROS} DESC, t.id DESC LIMIT $7`,
    [
      filter.changeId ?? null,
      filter.systemId ?? null,
      filter.attention ?? null,
      filter.state ?? null,
      args.after?.[0] ?? null,
      args.after?.[1] ?? null,
      args.limit + 1,
    ],
  );
  const page = pageOf(rows, args.limit, (row) => [row.micros, row.id]);
  return { next: page.next, items: page.items.map(({ micros: _, ...row }) => row) };
}

export interface WorkRow {
  readonly id: string;
  readonly kind: string;
  readonly endpointId: string;
  readonly endpoint: string;
  readonly changeId: string | null;
  readonly reason: string;
  readonly seen: number;
  readonly state: string;
  readonly openedAt: Date;
  readonly lastSeenAt: Date;
  readonly claimedAt: Date | null;
  readonly claimedBy: string | null;
  readonly rescanDueAt: Date | null;
  readonly closedAt: Date | null;
  readonly closedReason: string | null;
  readonly judgedScan: string | null;
  readonly tickets: readonly {
    readonly system: string;
    readonly ref: string | null;
    readonly url: string | null;
    readonly state: string;
  }[];
}

const WORK_MICROS = `(extract(epoch FROM w.opened_at) * 1000000)::bigint`;

/** Work for people, newest first. */
export async function listWork(
  db: Queryable,
  args: {
    readonly filter: {
      readonly state?: string | undefined;
      readonly kind?: string | undefined;
      readonly endpointId?: string | undefined;
      readonly changeId?: string | undefined;
    };
    readonly after: readonly [number, string] | null;
    readonly limit: number;
  },
): Promise<Page<WorkRow>> {
  const { filter } = args;
  const { rows } = await db.query<WorkRow & { micros: number }>(
    `SELECT w.id, w.kind, w.endpoint_id AS "endpointId", e.name AS endpoint, w.change_id AS "changeId", w.reason, w.seen, w.state,
            w.opened_at AS "openedAt", w.last_seen_at AS "lastSeenAt", w.claimed_at AS "claimedAt", w.claimed_by AS "claimedBy",
            w.rescan_due_at AS "rescanDueAt", w.closed_at AS "closedAt", w.closed_reason AS "closedReason", w.judged_scan AS "judgedScan",
            coalesce((SELECT jsonb_agg(jsonb_build_object('system', s.name, 'ref', t.ref, 'url', t.url, 'state', t.state) ORDER BY s.name)
                        FROM ticket t JOIN ticket_system s ON s.id = t.system_id WHERE t.work_item_id = w.id), '[]') AS tickets, ${WORK_MICROS} AS micros
       FROM work_item w JOIN endpoint e ON e.id = w.endpoint_id
      WHERE ($1::text IS NULL OR w.state = $1) AND ($2::text IS NULL OR w.kind = $2) AND ($3::uuid IS NULL OR w.endpoint_id = $3)
        AND ($4::uuid IS NULL OR w.change_id = $4) AND ($5::bigint IS NULL OR (${WORK_MICROS}, w.id) < ($5, $6::uuid))
      ORDER BY ${WORK_MICROS} DESC, w.id DESC LIMIT $7`,
    [
      filter.state ?? null,
      filter.kind ?? null,
      filter.endpointId ?? null,
      filter.changeId ?? null,
      args.after?.[0] ?? null,
      args.after?.[1] ?? null,
      args.limit + 1,
    ],
  );
  const page = pageOf(rows, args.limit, (row) => [row.micros, row.id]);
  return { next: page.next, items: page.items.map(({ micros: _, ...row }) => row) };
}
