/** Tickets that somebody moved, merged or deleted: searches of the queue don't find them any more, so they are asked for one by one. */
import type { TicketState } from '../../../domain/ticket/ticket.js';
import { TrackerRefused, type Whereabouts } from '../port.js';
import type { RtClient, RtFound, RtTicket } from './client.js';
import type { RtSettings } from './settings.js';

/** Asked for one by one at a time; the others another time. */
const MOST_READ = 20;
/** RT's own word, whatever else a lifecycle has. */
const DELETED = 'deleted';

export async function locateTickets(args: {
  readonly client: RtClient;
  readonly settings: RtSettings;
  readonly keyOf: (ticket: Pick<RtFound, 'CustomFields'>) => string | null;
  readonly stateOf: (status: string) => TicketState | null;
  readonly tickets: readonly { readonly ref: string; readonly ticketKey: string }[];
}): Promise<ReadonlyMap<string, Whereabouts>> {
  const { client, settings } = args;
  const tickets = args.tickets.filter(({ ref }) => /^\d{1,12}$/.test(ref));
  const found = new Map<string, Whereabouts>();
  if (tickets.length === 0) return found;
  const either = tickets.map(({ ref }) => `id = ${ref}`).join(' OR ');
  for (const { id, Status } of await client.search(`Queue = '${settings.queue}' AND (${either})`))
    found.set(id, { kind: 'there', state: args.stateOf(Status) ?? 'working' });
  const rest = tickets.filter(({ ref }) => !found.has(ref)).slice(0, MOST_READ);
  const read: { readonly about: (typeof tickets)[number]; readonly ticket: RtTicket | null }[] = [];
  for (const about of rest) read.push({ about, ticket: (await client.readTicket(about.ref))?.ticket ?? null });
  // A right that was taken away, or a queue that is gone, is told of once, as a fault of the system.
  if (found.size === 0 && tickets.length > 1 && read.every(({ ticket }) => ticket === null))
    throw new TrackerRefused(
      `RT shows ${settings.user} none of ${tickets.length} tickets in “${settings.queue}” any more`,
    );
  for (const { about, ticket } of read) {
    const where = await whereIs({ ...args, about, ticket });
    if (where !== null) found.set(about.ref, where);
  }
  return found;
}

async function whereIs(args: {
  readonly client: RtClient;
  readonly settings: RtSettings;
  readonly keyOf: (ticket: Pick<RtFound, 'CustomFields'>) => string | null;
  readonly about: { readonly ref: string; readonly ticketKey: string };
  readonly ticket: RtTicket | null;
}): Promise<Whereabouts | null> {
  const { about, ticket, settings } = args;
  if (ticket === null) return { kind: 'unseen', about: null, by: null };
  const by = ticket.LastUpdatedBy ?? null;
  if (ticket.id !== about.ref)
    // One of ours of the same key is no other ticket: hearing goes by its number from now on.
    return args.keyOf(ticket) === about.ticketKey ? null : { kind: 'mergedByHand', about: `ticket ${ticket.id}`, by };
  if (ticket.Status === DELETED) return { kind: 'deletedByHand', about: null, by };
  const { Queue } = ticket;
  const queue = Queue === undefined || Queue === null ? null : await args.client.queueName(Queue.id);
  // Changed back between the two looks.
  if (queue === settings.queue) return null;
  return { kind: 'movedByHand', about: queue === null ? null : `queue ${queue}`, by };
}
