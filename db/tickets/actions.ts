/** What is to be done in tickets: leased to one worker at a time, in order per ticket, kept until it is done. */
import type { EpochMs } from '../../domain/time.js';
import type { Queryable } from '../pool.js';

export interface TicketAction {
  readonly id: number;
  readonly key: string;
  readonly kind: 'open' | 'comment' | 'transition' | 'link';
  readonly payload: Readonly<Record<string, unknown>>;
  readonly attempts: number;
  readonly createdAt: EpochMs;
  readonly ticketId: string;
  readonly ticketKey: string;
  readonly changeId: string | null;
  readonly workItemId: string | null;
  readonly ref: string | null;
}

/**
 * Leases up to `limit` due actions of a system, the first undone one of each ticket: a comment never comes before its ticket.
 * @param args.leaseUntil should their worker die, another one takes them then
 */
export async function takeDueActions(
  db: Queryable,
  args: { readonly systemId: string; readonly now: EpochMs; readonly leaseUntil: EpochMs; readonly limit: number },
): Promise<readonly TicketAction[]> {
  const { rows } = await db.query<TicketAction>(
    `WITH due AS (
       SELECT a.id FROM ticket_action a JOIN ticket t ON t.id = a.ticket_id
        WHERE a.done_at IS NULL AND t.system_id = $1 AND a.next_attempt_at <= to_timestamp($2 / 1000.0)
          AND NOT EXISTS (SELECT FROM ticket_action b WHERE b.ticket_id = a.ticket_id AND b.done_at IS NULL AND b.id < a.id)
        ORDER BY a.priority DESC, a.id LIMIT $4 FOR UPDATE OF a SKIP LOCKED)
     UPDATE ticket_action a SET attempts = a.attempts + 1, next_attempt_at = to_timestamp($3 / 1000.0), leased_until = to_timestamp($3 / 1000.0)
       FROM due, ticket t WHERE a.id = due.id AND t.id = a.ticket_id
     RETURNING a.id, a.key, a.kind, a.payload, a.attempts, (extract(epoch FROM a.created_at) * 1000)::float8 AS "createdAt",
               t.id AS "ticketId", t.key AS "ticketKey", t.change_id AS "changeId", t.work_item_id AS "workItemId", t.ref`,
    [args.systemId, args.now, args.leaseUntil, args.limit],
  );
  return rows;
}

export async function markActionDone(
  client: Queryable,
  args: { readonly id: number; readonly result: object; readonly now: EpochMs },
): Promise<void> {
  await client.query(
    `UPDATE ticket_action SET done_at = to_timestamp($2 / 1000.0), result = $3, last_error = NULL WHERE id = $1 AND done_at IS NULL`,
    [args.id, args.now, JSON.stringify(args.result)],
  );
}

export async function markActionFailed(
  db: Queryable,
  args: { readonly id: number; readonly error: string; readonly retryAt: EpochMs },
): Promise<void> {
  await db.query(
    `UPDATE ticket_action SET last_error = $2, next_attempt_at = to_timestamp($3 / 1000.0), leased_until = NULL WHERE id = $1 AND done_at IS NULL`,
    [args.id, args.error.slice(0, 1_000), args.retryAt],
  );
}

/** What a system refused is worth asking again at once: somebody has mended it. Leaves alone what a worker is at. */
export async function hurryActions(
  db: Queryable,
  args: { readonly systemId: string; readonly now: EpochMs },
): Promise<void> {
  await db.query(
    `UPDATE ticket_action a SET next_attempt_at = '-infinity' FROM ticket t
      WHERE t.id = a.ticket_id AND t.system_id = $1 AND a.done_at IS NULL AND a.last_error IS NOT NULL
        AND (a.leased_until IS NULL OR a.leased_until < to_timestamp($2 / 1000.0))`,
    [args.systemId, args.now],
  );
}

export interface NewAction {
  readonly ticketId: string;
  readonly key: string;
  readonly kind: TicketAction['kind'];
  readonly payload: Readonly<Record<string, unknown>>;
}

/** Adds what is to be done, in the caller's transaction; a key that is there stays as it is. */
export async function queueActions(client: Queryable, actions: readonly NewAction[]): Promise<void> {
  if (actions.length === 0) return;
  await client.query(
    `INSERT INTO ticket_action (ticket_id, key, kind, payload)
     SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::jsonb[]) ON CONFLICT (ticket_id, key) DO NOTHING`,
    [
      actions.map((a) => a.ticketId),
      actions.map((a) => a.key),
      actions.map((a) => a.kind),
      actions.map((a) => JSON.stringify(a.payload)),
    ],
  );
  await client.query(`SELECT pg_notify('rm_tickets', '')`);
}

/** Writes down where the ticket is, once it was opened or found. */
export async function noteOpened(
  client: Queryable,
  args: {
    readonly ticketId: string;
    readonly ref: string;
    readonly url: string | null;
    readonly state: string;
    readonly now: EpochMs;
  },
): Promise<void> {
  await client.query(
    `UPDATE ticket SET ref = $2, url = $3, state = $4, opened_at = coalesce(opened_at, to_timestamp($5 / 1000.0)) WHERE id = $1`,
    [args.ticketId, args.ref, args.url, args.state, args.now],
  );
}

/** The state of a ticket as it is there now. @param args.ours we set it: whatever was wrong with it is settled */
export async function noteState(
  client: Queryable,
  args: { readonly ticketId: string; readonly state: string; readonly ours: boolean },
): Promise<void> {
  await client.query(
    `UPDATE ticket SET state = $2, attention = CASE WHEN $3 THEN NULL ELSE attention END,
            attention_about = CASE WHEN $3 THEN NULL ELSE attention_about END,
            attention_by = CASE WHEN $3 THEN NULL ELSE attention_by END, attention_at = CASE WHEN $3 THEN NULL ELSE attention_at END
      WHERE id = $1`,
    [args.ticketId, args.state, args.ours],
  );
}
