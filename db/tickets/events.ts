/** What people did in tickets: kept once, handled once. */
import type { PoolClient } from 'pg';
import type { TicketPolicy } from '../../domain/ticket/policy.js';
import type { Attention, TicketEvent, TicketState } from '../../domain/ticket/ticket.js';
import type { EpochMs } from '../../domain/time.js';
import type { Queryable } from '../pool.js';

/** Keeps events in the order given. @returns how many are new */
export async function storeEvents(
  client: Queryable,
  args: { readonly systemId: string; readonly events: readonly TicketEvent[]; readonly now: EpochMs },
): Promise<number> {
  const { events } = args;
  if (events.length === 0) return 0;
  const { rowCount } = await client.query(
    `INSERT INTO ticket_event (system_id, external_id, ticket_key, ticket_ref, type, author, vouched, state, text, at, received_at)
     SELECT $1, e.id, e.key, e.ref, e.type, e.author, e.vouched, e.state, e.text, to_timestamp(e.at / 1000.0), to_timestamp($2 / 1000.0)
       FROM unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::boolean[], $9::text[], $10::text[], $11::float8[])
              WITH ORDINALITY AS e(id, key, ref, type, author, vouched, state, text, at, place)
      ORDER BY e.place
     ON CONFLICT (system_id, external_id) DO NOTHING`,
    [
      args.systemId,
      args.now,
      events.map((e) => e.externalId),
      events.map((e) => e.key),
      events.map((e) => e.ref),
      events.map((e) => e.type),
      events.map((e) => e.author),
      events.map((e) => e.vouched),
      events.map((e) => e.state),
      events.map((e) => e.text),
      events.map((e) => e.at),
    ],
  );
  await client.query(`SELECT pg_notify('rm_tickets', '')`);
  return rowCount ?? 0;
}

export async function knownEvents(
  db: Queryable,
  args: { readonly systemId: string; readonly externalIds: readonly string[] },
): Promise<ReadonlySet<string>> {
  const { rows } = await db.query<{ id: string }>(
    'SELECT external_id AS id FROM ticket_event WHERE system_id = $1 AND external_id = ANY ($2)',
    [args.systemId, args.externalIds],
  );
  return new Set(rows.map((row) => row.id));
}

/** The numbers of tickets by their keys, of those that have been opened. */
export async function refsOf(
  db: Queryable,
  args: { readonly systemId: string; readonly keys: readonly string[] },
): Promise<ReadonlyMap<string, string>> {
  const { rows } = await db.query<{ key: string; ref: string }>(
    'SELECT key, ref FROM ticket WHERE system_id = $1 AND key = ANY ($2) AND ref IS NOT NULL',
    [args.systemId, args.keys],
  );
  return new Map(rows.map(({ key, ref }) => [key, ref]));
}

/** Tickets that became part of another one go by its number from now on. */
export async function noteMoved(
  client: Queryable,
  args: { readonly systemId: string; readonly moved: ReadonlyMap<string, string> },
): Promise<void> {
  if (args.moved.size === 0) return;
  await client.query(
    `UPDATE ticket t SET ref = m.ref FROM unnest($2::text[], $3::text[]) AS m(key, ref) WHERE t.system_id = $1 AND t.key = m.key`,
    [args.systemId, [...args.moved.keys()], [...args.moved.values()]],
  );
}

export interface NewEvent {
  readonly id: number;
  readonly type: 'comment' | 'state';
  readonly author: string | null;
  readonly vouched: boolean;
  readonly state: TicketState | null;
  readonly text: string | null;
  readonly policy: TicketPolicy;
  readonly systemName: string;
  /** Null: of no ticket of ours. */
  readonly ticketId: string | null;
  readonly ticketKey: string | null;
  readonly changeId: string | null;
  readonly workItemId: string | null;
  readonly wanted: 'open' | 'done' | 'cancelled';
  readonly ref: string | null;
  readonly url: string | null;
  readonly systemId: string;
}

/** SQL: there is an event nobody has handled. */
export const EVENT_WAITS = 'EXISTS (SELECT FROM ticket_event WHERE handled_at IS NULL)';

/** The oldest event nobody has handled, locked; null when there is none that nobody is handling. */
export async function lockNewEvent(client: PoolClient): Promise<NewEvent | null> {
  const { rows } = await client.query<NewEvent>(
    `SELECT e.id, e.type, e.author, e.vouched, e.state, e.text, s.policy, s.name AS "systemName", s.id AS "systemId", t.id AS "ticketId",
            t.key AS "ticketKey", t.change_id AS "changeId", t.work_item_id AS "workItemId", t.wanted, t.ref, t.url
       FROM ticket_event e JOIN ticket_system s ON s.id = e.system_id
       LEFT JOIN ticket t ON t.system_id = e.system_id
         AND (t.key = e.ticket_key OR (e.ticket_key IS NULL AND t.ref = e.ticket_ref))
      WHERE e.handled_at IS NULL
        -- In order per ticket: closing and opening again is not opening and closing.
        AND NOT EXISTS (SELECT FROM ticket_event b WHERE b.handled_at IS NULL AND b.id < e.id AND b.system_id = e.system_id
                          AND b.ticket_key IS NOT DISTINCT FROM e.ticket_key AND b.ticket_ref IS NOT DISTINCT FROM e.ticket_ref)
      ORDER BY e.id LIMIT 1 FOR UPDATE OF e SKIP LOCKED`,
  );
  return rows[0] ?? null;
}

/** @param args.result what came of it, for whoever asks why nothing did */
export async function markEventHandled(
  client: Queryable,
  args: { readonly id: number; readonly result: string; readonly now: EpochMs },
): Promise<void> {
  await client.query('UPDATE ticket_event SET handled_at = to_timestamp($2 / 1000.0), result = $3 WHERE id = $1', [
    args.id,
    args.now,
    args.result.slice(0, 1_000),
  ]);
}

/**
 * Notes that a ticket is not as we set it, or (null) is so again. What was told of a ticket that is not where it was stays until it is found
 * (`located`). @returns whether that is news
 */
export async function noteAttention(
  client: Queryable,
  args: {
    readonly ticketId: string;
    readonly attention: Attention | null;
    /** Where it is now, in words. */
    readonly about?: string | null;
    readonly by: string | null;
    readonly now: EpochMs;
    readonly located?: boolean;
  },
): Promise<boolean> {
  const { rowCount } = await client.query(
    `UPDATE ticket SET attention = $2, attention_by = $3, attention_about = $5,
            attention_at = CASE WHEN $2::text IS NULL THEN NULL ELSE to_timestamp($4 / 1000.0) END
      WHERE id = $1 AND (attention IS DISTINCT FROM $2 OR attention_about IS DISTINCT FROM $5)
        AND ($6 OR attention IS NULL OR attention IN ('closedByHand', 'reopenedByHand'))`,
    [args.ticketId, args.attention, args.by, args.now, args.about ?? null, args.located === true],
  );
  return rowCount === 1;
}
