/** Request Tracker 5 by its REST 2.0 interface. */
import {
  isClosed,
  isTicketKey,
  type NewTicket,
  TICKET_STATES,
  type TicketState,
} from '../../../domain/ticket/ticket.js';
import { SECOND } from '../../../domain/time.js';
import {
  type ProviderContext,
  type TicketProvider,
  type TicketSystem,
  type TicketView,
  TrackerAway,
  TrackerRefused,
  type Transitioned,
} from '../port.js';
import { createRtClient, type RtFound, type RtTicket } from './client.js';
import { hearTickets } from './events.js';
import { type RtSettings, settingsSchema } from './settings.js';
import { locateTickets } from './whereabouts.js';

export const requestTracker: TicketProvider<RtSettings> = {
  name: 'request-tracker',
  settings: settingsSchema,
  secretIs: 'the password of the RT user, or (auth: token) an authentication token of theirs',
  checkSecret: (secret) => (/^[\x21-\x7e][\x20-\x7e]{0,500}$/.test(secret) ? null : 'must be printable characters'),
  create: createRequestTracker,
};

/** Tries of a change that somebody else's change came before. */
const STALE_TRIES = 5;

function createRequestTracker(context: ProviderContext<RtSettings>): TicketSystem {
  const { settings } = context;
  const client = createRtClient(context);

  const stateOf = (status: string): TicketState | null =>
    settings.alsoMeans[status] ??
    // The last fits when two states share a word: working says more than open.
    [...TICKET_STATES].reverse().find((state) => settings.statuses[state] === status) ??
    null;
  const keyOf = (ticket: Pick<RtFound, 'CustomFields'>): string | null => {
    const value = ticket.CustomFields?.find((field) => field.name === settings.keyField)?.values?.[0];
    return value !== undefined && isTicketKey(value) ? value : null;
  };
  const viewOf = (ticket: RtTicket | RtFound): TicketView => ({
    ref: ticket.id,
    url: `${settings.url.replace(/\/+$/, '')}/Ticket/Display.html?id=${ticket.id}`,
    // A status nobody gave a meaning is somebody's way of working on it.
    state: stateOf(ticket.Status) ?? 'working',
    lastBy: 'LastUpdatedBy' in ticket ? ((ticket as RtTicket).LastUpdatedBy ?? null) : null,
  });
  const need = async (ref: string) => {
    const read = await client.readTicket(ref);
    if (read === null) throw new TrackerRefused(`RT has no ticket ${ref}, or the user may not see it`, 404);
    return read;
  };

  /** Ours alone: a key is no secret, and somebody else's ticket that carries it is not the one we opened. */
  const findAll = (key: string) =>
    client.search(
      `Queue = '${settings.queue}' AND Creator = '${settings.user}' AND CF.{${settings.keyField}} = '${key}'`,
    );
  /** The oldest of a key; others were made by requests whose answer was lost, and become part of it. */
  const find = async (key: string): Promise<RtFound | null> => {
    const [oldest, ...more] = [...(await findAll(key))].sort((a, b) => Number(a.id) - Number(b.id));
    if (oldest === undefined) return null;
    for (const { id } of more) await client.update({ ref: id, etag: null, fields: { MergeInto: Number(oldest.id) } });
    return oldest;
  };

  const create = (ticket: NewTicket): Promise<string> =>
    client.create({
      Queue: settings.queue,
      Subject: ticket.subject,
      ContentType: 'text/plain',
      Content: ticket.text,
      RefersTo: ticket.link,
      CustomFields: {
        [settings.keyField]: ticket.key,
        ...(settings.digestField !== null &&
          ticket.planDigest !== null && { [settings.digestField]: ticket.planDigest }),
      },
    });

  return {
    async check() {
      const queue = await client.readQueue();
      if (queue === null) return `RT has no queue “${settings.queue}”, or ${settings.user} may not see it`;
      if (String(queue.Disabled ?? '0') !== '0') return `the queue “${settings.queue}” is disabled`;
      const fields = new Set(queue.TicketCustomFields?.map((field) => field.name));
      for (const name of [settings.keyField, settings.digestField])
        if (name !== null && !fields.has(name)) return missingField(name, settings.queue);
      return null;
    },

    async open(ticket) {
      const there = await find(ticket.key);
      if (there !== null) return viewOf(there);
      const problem = await this.check();
      if (problem !== null) throw new TrackerRefused(problem);
      const ref = await create(ticket);
      // Read back by its key: RT answers 201 also when a field is not applied to the queue, and throws its value away. One that
      // RT was still making for an earlier request when we looked is there by now.
      const made = await find(ticket.key);
      if (made !== null) return viewOf(made);
      await client.update({ ref, etag: null, fields: { Status: settings.statuses.cancelled } });
      throw new TrackerRefused(missingField(settings.keyField, settings.queue));
    },

    async comment({ ref, key, text, again }) {
      const mark = `[${key}]`;
      if (again && (await hasComment(ref, mark))) return;
      await client.comment({ ref, text: `${text}\n\n${mark}` });
    },

    async transition({ ref, ticketKey, to, reopen }): Promise<Transitioned> {
      for (let n = 0; n < STALE_TRIES; n += 1) {
        const { ticket, etag } = await need(ref);
        const view = viewOf(ticket);
        // Merged by hand into somebody else's, which is not ours to open or close.
        if (ticket.id !== ref && keyOf(ticket) !== ticketKey) return { kind: 'left', view };
        if (view.state === to) return { kind: 'already' };
        if (isClosed(view.state) && !reopen) return { kind: 'left', view };
        const status = settings.statuses[to];
        if (!(await client.update({ ref, etag, fields: { Status: status } }))) continue;
        // RT answers 200 also when it did not do it, and says why in words.
        const now = await need(ref);
        if (now.ticket.Status === status) return { kind: 'set' };
        if (now.etag === etag)
          throw new TrackerRefused(`RT did not set ticket ${ref} to “${status}”: it is “${now.ticket.Status}”`);
      }
      throw new TrackerAway(`ticket ${ref} is being changed all the time`);
    },

    async read(ref) {
      const read = await client.readTicket(ref);
      return read === null ? null : viewOf(read.ticket);
    },

    async link({ ref, url }) {
      // Adding one that is there changes nothing.
      await client.update({ ref, etag: null, fields: { AddRefersTo: url } });
    },

    locate: (tickets) => locateTickets({ client, settings, keyOf, stateOf, tickets }),
    hearEveryMs: settings.hearSeconds * SECOND,
    hear: (args) => hearTickets({ client, settings, stateOf, keyOf, fold: find, ...args }),
  };

  /** All at once, rather than comment by comment: after an outage there may be many to look for. */
  async function hasComment(ref: string, mark: string): Promise<boolean> {
    const parts = await client.attachmentsOf(ref);
    return parts.some((part) => part.Creator === settings.user && part.Content?.includes(mark));
  }
}

const missingField = (field: string, queue: string): string =>
  `the custom field “${field}” is not applied to tickets of the queue “${queue}”, or the user may not see it`;
