/** Looks whether tickets are where they were, and tells whoever must know of those that are not. */
import { TrackerRefused, type Whereabouts } from '../../adapters/tickets/port.js';
import { appendAudit } from '../../db/audit/append.js';
import { queueMail } from '../../db/mail/outbox.js';
import { inTransaction } from '../../db/pool.js';
import { loadAlertMails } from '../../db/tickets/alerts.js';
import { noteAttention } from '../../db/tickets/events.js';
import { noteLocated, type TicketToLocate, ticketsToLocate } from '../../db/tickets/whereabouts.js';
import { isClosed } from '../../domain/ticket/ticket.js';
import { MINUTE } from '../../domain/time.js';
import type { ReadySystem, TicketDeps } from './systems.js';

/** Looked for at once: one search, as long as all are there. */
const AT_ONCE = 100;
const LOOK_AGAIN_MS = MINUTE;

/** @throws TrackerAway, TrackerRefused */
export async function locateTickets(deps: TicketDeps, { row, port }: ReadySystem): Promise<void> {
  if (port.locate === undefined) return;
  const now = deps.clock();
  const tickets = await ticketsToLocate(deps.pool, {
    systemId: row.id,
    before: now - LOOK_AGAIN_MS,
    limit: AT_ONCE,
  });
  if (tickets.length === 0) return;
  const found = await port.locate(tickets).catch(async (error: unknown) => {
    // Its answer is no, which looking every few seconds does not change.
    if (error instanceof TrackerRefused)
      await noteLocated(deps.pool, { ticketIds: tickets.map(({ ticketId }) => ticketId), now });
    throw error;
  });
  const answered = tickets.flatMap((ticket) => {
    const where = found.get(ticket.ref);
    return where === undefined ? [] : [{ ticket, where }];
  });
  await noteLocated(deps.pool, { ticketIds: answered.map(({ ticket }) => ticket.ticketId), now });
  for (const { ticket, where } of answered)
    if (where.kind !== 'there' || isAstray(ticket)) await note(deps, { systemName: row.name, ticket, where });
}

const isAstray = ({ attention }: TicketToLocate): boolean =>
  attention !== null && attention !== 'closedByHand' && attention !== 'reopenedByHand';

async function note(
  deps: TicketDeps,
  args: { readonly systemName: string; readonly ticket: TicketToLocate; readonly where: Whereabouts },
): Promise<void> {
  const { systemName, ticket, where } = args;
  const { ticketId, ref, changeId, workItemId } = ticket;
  const now = deps.clock();
  const { attention, about, by } =
    where.kind === 'there'
      ? { attention: isClosed(where.state) ? ('closedByHand' as const) : null, about: null, by: null }
      : { attention: where.kind, about: where.about, by: where.by };
  await inTransaction(deps.pool, async (client) => {
    if (!(await noteAttention(client, { ticketId, attention, about, by, now, located: true }))) return;
    await appendAudit(client, [
      {
        actor: `ticket-system/${systemName}/${by ?? 'unknown'}`,
        action: `ticket.${where.kind === 'there' ? 'foundAgain' : where.kind}`,
        subject: changeId === null ? `work/${workItemId}` : `change/${changeId}`,
        detail: { system: systemName, ref, about, ticket: ticketId },
      },
    ]);
    if (where.kind === 'there' || changeId === null) return;
    const event = { key: `${ticketId}/${where.kind}/${now}`, systemName, ref, author: by };
    const what = { attention: where.kind, about };
    await queueMail(client, await loadAlertMails(client, { changeId, event, what, publicUrl: deps.publicUrl }));
  });
}
