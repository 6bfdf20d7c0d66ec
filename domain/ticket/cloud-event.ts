/** CloudEvents 1.0, JSON format, structured mode (https://cloudevents.io): the envelope of generic webhooks in both directions. */
import { z } from 'zod';
import { TICKET_STATES } from './ticket.js';

export const CLOUD_EVENTS_TYPE = 'application/cloudevents+json';

export interface CloudEvent {
  readonly specversion: '1.0';
  readonly id: string;
  readonly source: string;
  readonly type: string;
  readonly subject: string;
  /** RFC 3339. */
  readonly time: string;
  readonly datacontenttype: 'application/json';
  readonly data: Readonly<Record<string, unknown>>;
}

/** What we ask of whoever receives our webhooks. */
export const OUTGOING = {
  open: 'ringmaster.ticket.open',
  comment: 'ringmaster.ticket.comment',
  state: 'ringmaster.ticket.state',
  link: 'ringmaster.ticket.link',
} as const;

const about = {
  /** The key the ticket was opened with, and its id there where it has one. */
  key: z.string().min(1).max(100),
  ref: z.string().min(1).max(200).optional(),
  /** Who did it, as named in `policy.people`. */
  author: z.string().min(1).max(200).optional(),
};

const envelope = {
  specversion: z.literal('1.0'),
  id: z.string().min(1).max(200),
  source: z.string().min(1).max(1_000),
  subject: z.string().max(200).optional(),
  time: z.iso.datetime({ offset: true }).optional(),
  datacontenttype: z.literal('application/json').optional(),
};

/** What we take in. Further attributes are allowed, as CloudEvents has it; in `data` nothing else. */
export const incomingEvent = z.discriminatedUnion('type', [
  z.looseObject({
    ...envelope,
    type: z.literal('ticket.commented'),
    data: z.strictObject({ ...about, text: z.string().max(20_000) }),
  }),
  z.looseObject({
    ...envelope,
    type: z.literal('ticket.state'),
    data: z.strictObject({ ...about, state: z.enum(TICKET_STATES) }),
  }),
]);

export type IncomingEvent = z.output<typeof incomingEvent>;
