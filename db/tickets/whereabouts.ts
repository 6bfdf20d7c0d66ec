/** Which tickets are looked for next, and when that was. */
import type { Attention } from '../../domain/ticket/ticket.js';
import type { EpochMs } from '../../domain/time.js';
import type { Queryable } from '../pool.js';

export interface TicketToLocate {
  readonly ticketId: string;
  readonly ref: string;
  readonly ticketKey: string;
  readonly url: string | null;
  readonly attention: Attention | null;
  readonly changeId: string | null;
  readonly workItemId: string | null;
}

/** Tickets that are to be open and that nobody has looked for since `before`, longest first. */
export async function ticketsToLocate(
  db: Queryable,
  args: { readonly systemId: string; readonly before: EpochMs; readonly limit: number },
): Promise<readonly TicketToLocate[]> {
  const { rows } = await db.query<TicketToLocate>(
    `SELECT id AS "ticketId", ref, key AS "ticketKey", url, attention, change_id AS "changeId", work_item_id AS "workItemId"
       FROM ticket WHERE system_id = $1 AND ref IS NOT NULL AND wanted = 'open' AND (located_at IS NULL OR located_at < to_timestamp($2 / 1000.0))
      ORDER BY located_at NULLS FIRST LIMIT $3`,
    [args.systemId, args.before, args.limit],
  );
  return rows;
}

export async function noteLocated(
  db: Queryable,
  args: { readonly ticketIds: readonly string[]; readonly now: EpochMs },
): Promise<void> {
  await db.query('UPDATE ticket SET located_at = to_timestamp($2 / 1000.0) WHERE id = ANY ($1::uuid[])', [
    args.ticketIds,
    args.now,
  ]);
}
