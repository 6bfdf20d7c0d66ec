/** What people did in RT's tickets, by polling: RT has no outgoing webhooks of its own. */
import { textOfHtml } from '../../../domain/ticket/html-text.js';
import type { TicketEvent, TicketState } from '../../../domain/ticket/ticket.js';
import { type EpochMs, MINUTE } from '../../../domain/time.js';
import type { Heard } from '../port.js';
import type { RtAttachment, RtClient, RtFound, RtTransaction } from './client.js';
import type { RtSettings } from './settings.js';

/** Looked at again each time: clocks differ by a little, and transactions commit out of order. Hearing twice is hearing once. */
const OVERLAP_MINUTES = 2;
/** A tracker that was never heard is heard from then on; what people did before concerned nothing of ours. */
const FIRST_LOOK_MINUTES = 60;
/** Types of RT's transactions. */
const TOLD = ['Status', 'Comment', 'Correspond'];

export async function hearTickets(args: {
  readonly client: RtClient;
  readonly settings: RtSettings;
  readonly stateOf: (status: string) => TicketState | null;
  readonly keyOf: (ticket: Pick<RtFound, 'CustomFields'>) => string | null;
  /** Makes all tickets of a key that we opened one. */
  readonly fold: (key: string) => Promise<RtFound | null>;
  readonly since: EpochMs | null;
  readonly now: EpochMs;
  readonly refsOf: (keys: readonly string[]) => Promise<ReadonlyMap<string, string>>;
  readonly known: (externalIds: readonly string[]) => Promise<ReadonlySet<string>>;
}): Promise<Heard> {
  const { client, settings, now } = args;
  const minutes =
    args.since === null ? FIRST_LOOK_MINUTES : Math.ceil(Math.max(0, now - args.since) / MINUTE) + OVERLAP_MINUTES;
  // A length of time, not a time: RT reads times in the zone of its user, and its clock is not ours.
  const span = `'-${minutes} minutes'`;
  const changed = await client.search(`Queue = '${settings.queue}' AND LastUpdated > ${span}`);
  const keyed = changed.flatMap((ticket) => {
    const key = args.keyOf(ticket);
    return key === null ? [] : [{ ticket, key }];
  });
  const events: TicketEvent[] = [];
  const moved = new Map<string, string>();
  if (keyed.length === 0) return { events, moved, until: now };
  const refs = await args.refsOf([...new Set(keyed.map(({ key }) => key))]);
  const ours = new Map<string, { ticket: RtFound; key: string }>();
  for (const one of keyed) {
    const ref = refs.get(one.key);
    // Not opened by us, or not yet: its opening looks for itself.
    if (ref === undefined) continue;
    if (ref === one.ticket.id) ours.set(ref, one);
    else {
      const oldest = await args.fold(one.key);
      if (oldest !== null && oldest.id !== ref) moved.set(one.key, oldest.id);
    }
  }
  const types = TOLD.map((type) => `Type = '${type}'`).join(' OR ');
  const theirs = (
    await client.transactions(
      `TicketQueue = '${settings.queue}' AND Created > ${span} AND Creator != '${settings.user}' AND (${types})`,
    )
  ).filter((one) => ours.has(one.ObjectId ?? ''));
  const known = await args.known(theirs.map((one) => one.id));
  for (const one of theirs) {
    const about = ours.get(one.ObjectId ?? '');
    if (about === undefined || known.has(one.id)) continue;
    const event = await eventOf({ ...args, ...about, one });
    if (event !== null) events.push(event);
  }
  return { events, moved, until: now };
}

async function eventOf(args: {
  readonly client: RtClient;
  readonly stateOf: (status: string) => TicketState | null;
  readonly ticket: RtFound;
  readonly key: string;
  readonly one: RtTransaction;
}): Promise<TicketEvent | null> {
  const { one, ticket, key } = args;
  const at = Date.parse(one.Created);
  if (Number.isNaN(at)) return null;
  const common = { externalId: one.id, key, ref: ticket.id, author: one.Creator, at };
  if (one.Type === 'Status') {
    const state = args.stateOf(one.NewValue ?? '');
    return state === null ? null : { ...common, type: 'state', vouched: true, state, text: null };
  }
  const parts = await args.client.attachments(one.id);
  const { text, vouched } = readMessage(parts);
  return { ...common, type: 'comment', vouched, state: null, text };
}

/**
 * The words of a message, and whether RT itself knows who wrote them. What came by mail carries whatever From line its sender
 * liked: RT marks where each message came in, and only those of its own pages and interfaces count.
 */
export function readMessage(parts: readonly RtAttachment[]): { readonly text: string; readonly vouched: boolean } {
  const ways = parts.flatMap((part) =>
    [...(part.Headers ?? '').matchAll(/^X-RT-Interface:\s*(\S+)/gim)].map((m) => m[1]),
  );
  const vouched = ways.length > 0 && ways.every((way) => way === 'Web' || way === 'Mobile' || way === 'REST');
  const of = (type: string) => parts.find((part) => part.ContentType?.toLowerCase() === type)?.Content;
  const plain = of('text/plain');
  const html = of('text/html');
  const text = plain ?? (html === undefined || html === null ? '' : textOfHtml(html));
  return { text: text.slice(0, 20_000), vouched };
}
