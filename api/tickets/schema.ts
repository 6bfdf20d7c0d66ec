import { z } from 'zod';
import { ATTENTIONS, TICKET_STATES } from '../../domain/ticket/ticket.js';

const time = z.iso.datetime().nullable();
export const states = ['queued', ...TICKET_STATES] as const;

export const ticketReply = z.object({
  id: z.uuid(),
  systemId: z.uuid(),
  system: z.string(),
  key: z.string(),
  changeId: z.uuid().nullable(),
  workItemId: z.uuid().nullable(),
  endpointId: z.uuid().nullable(),
  endpoint: z.string().nullable(),
  about: z.string().nullable(),
  ref: z.string().nullable(),
  url: z.string().nullable(),
  state: z.enum(states),
  wanted: z.enum(['open', 'done', 'cancelled']),
  attention: z.enum(ATTENTIONS).nullable(),
  attentionAbout: z.string().nullable(),
  attentionBy: z.string().nullable(),
  attentionAt: time,
  createdAt: z.iso.datetime(),
  openedAt: time,
  waiting: z.number().int(),
  lastError: z.string().nullable(),
});

export const workReply = z.object({
  id: z.uuid(),
  kind: z.enum(['failedEndpoint', 'straggler', 'drift']),
  endpointId: z.uuid(),
  endpoint: z.string(),
  changeId: z.uuid().nullable(),
  reason: z.string(),
  seen: z.number().int(),
  state: z.enum(['open', 'claimed', 'closed']),
  openedAt: z.iso.datetime(),
  lastSeenAt: z.iso.datetime(),
  claimedAt: time,
  claimedBy: z.string().nullable(),
  rescanDueAt: time,
  closedAt: time,
  closedReason: z.string().nullable(),
  judgedScan: z.uuid().nullable(),
  tickets: z.array(
    z.object({ system: z.string(), ref: z.string().nullable(), url: z.string().nullable(), state: z.enum(states) }),
  ),
});
