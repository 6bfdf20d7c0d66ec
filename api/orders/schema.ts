import { z } from 'zod';
import { ORDER_KINDS, ORDER_STATES } from '../../domain/order/index.js';
import { paging } from '../http/paging.js';

const time = z.iso.datetime().nullable();

export const orderSummary = z.object({
  id: z.uuid(),
  changeId: z.uuid().nullable(),
  ring: z.number().int(),
  homeRing: z.number().int(),
  endpointId: z.uuid(),
  endpointName: z.string(),
  kind: z.enum(ORDER_KINDS),
  attempt: z.number().int(),
  priority: z.number().int(),
  wave: z.number().int(),
  phase: z.enum(['waiting', 'holding', 'done']),
  state: z.enum(ORDER_STATES),
  seq: z.number().int(),
  permitUntil: time,
  nextOpen: time,
  nextClose: time,
  windowReason: z.string().nullable(),
  stragglerReason: z.string().nullable(),
  outcome: z.string().nullable(),
  reason: z.string().nullable(),
  reverts: z.uuid().nullable(),
  releasedAt: time,
  startedAt: time,
  settledAt: time,
  updatedAt: z.iso.datetime(),
});

export const orderDetail = orderSummary.extend({
  events: z.array(
    z.object({
      id: z.number(),
      at: z.iso.datetime(),
      actor: z.enum(['server', 'agent', 'person']),
      event: z.string(),
      seq: z.number().nullable(),
      from: z.string(),
      to: z.string(),
      detail: z.record(z.string(), z.unknown()),
    }),
  ),
});

const filters = { state: z.enum(ORDER_STATES).optional(), kind: z.enum(ORDER_KINDS).optional() };
export const orderListQuery = z.strictObject({
  ...paging,
  ...filters,
  change: z.uuid().optional(),
  endpoint: z.uuid().optional(),
});
export const endpointOrdersQuery = z.strictObject({ ...paging, ...filters });

export const timelineEntry = z.object({
  at: z.iso.datetime(),
  kind: z.enum(['enrolled', 'audit', 'scan', 'order']),
  id: z.string(),
  what: z.string(),
  actor: z.string(),
  orderId: z.uuid().nullable(),
  changeId: z.uuid().nullable(),
  detail: z.record(z.string(), z.unknown()),
});
