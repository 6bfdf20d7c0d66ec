/** What the API answers, by the very schemas it is documented and checked with: types only, nothing of it is loaded. */
import type { z } from 'zod';
import type { auditEntry } from '../../api/audit/schema.js';
import type { incidentReply } from '../../api/baselines/notice-routes.js';
import type { changeDetail, changeSummary, commandReply, stopAllReply } from '../../api/changes/schema.js';
import type { patchReply } from '../../api/endpoints/patch-routes.js';
import type { endpointDetail, endpointSummary } from '../../api/endpoints/schema.js';
import type { whyReply } from '../../api/endpoints/why-routes.js';
import type { orderSummary } from '../../api/orders/schema.js';
import type { systemReply } from '../../api/ticket-systems/schema.js';
import type { ticketReply, workReply } from '../../api/tickets/schema.js';

export type EndpointSummary = z.output<typeof endpointSummary>;
export type EndpointDetail = z.output<typeof endpointDetail>;
export type Why = z.output<typeof whyReply>;
export type PatchStarted = z.output<typeof patchReply>;
export type ChangeSummary = z.output<typeof changeSummary>;
export type ChangeDetail = z.output<typeof changeDetail>;
export type RingState = ChangeDetail['rings'][number];
export type OrderSummary = z.output<typeof orderSummary>;
export type CommandReply = z.output<typeof commandReply>;
export type StopAllReply = z.output<typeof stopAllReply>;
export type AuditEntry = z.output<typeof auditEntry>;
export type TicketEntry = z.output<typeof ticketReply>;
export type WorkEntry = z.output<typeof workReply>;
export type IncidentEntry = z.output<typeof incidentReply>;
export type TicketSystemEntry = z.output<typeof systemReply>;
