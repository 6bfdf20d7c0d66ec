import { z } from 'zod';
import { changeSpecSchema } from '../../domain/change/spec-schema.js';
import { paging } from '../http/paging.js';

export const changePost = changeSpecSchema;

export const changeQuery = z.strictObject({
  ...paging,
  open: z
    .enum(['true', 'false'])
    .transform((text) => text === 'true')
    .optional(),
});

export const orderQuery = z.strictObject({
  ...paging,
  ring: z.coerce.number().int().min(0).max(1_000).optional(),
  state: z.string().max(32).optional(),
});

const reason = z.string().trim().min(1).max(2_000);
const ring = z.number().int().min(0).max(1_000).optional();

/** What each verb takes. A body may be left out where nothing in it is required. */
export const commandBodies = {
  pause: z.strictObject({ reason: reason.optional() }).default({}),
  resume: z.strictObject({ reason: reason.optional(), ring }).default({}),
  abort: z.strictObject({ reason }),
  rollback: z.strictObject({ reason, ring, ignoreWindows: z.boolean().default(false) }),
  'retry-failed': z.strictObject({ reason: reason.optional(), ring }).default({}),
  skip: z.strictObject({ endpointId: z.uuid(), reason }),
  replan: z.strictObject({ reason: reason.optional() }).default({}),
};

export const stopAllBody = z.strictObject({ reason });

/** For stops: how many orders may still start, because they hold a permit, and until when at the latest. */
const stopped = { outstanding: z.number(), mayStillStartUntil: z.iso.datetime().nullable() };

export const commandReply = z.object({ commandId: z.uuid(), ...z.object(stopped).partial().shape });

export const stopAllReply = z.object({
  changes: z.array(z.object({ changeId: z.uuid(), commandId: z.uuid() })),
  ...stopped,
});

export const changeSummary = z.object({
  id: z.uuid(),
  kind: z.string(),
  name: z.string(),
  priority: z.number(),
  requestedBy: z.string(),
  requestedAt: z.iso.datetime(),
  deadline: z.iso.datetime(),
  stage: z.string(),
  outcome: z.string().nullable(),
  waitingFor: z.string().nullable(),
  halted: z.boolean(),
  haltVerb: z.string().nullable(),
  haltedBy: z.string().nullable(),
  closedAt: z.iso.datetime().nullable(),
});

const counts = z.object({
  total: z.number(),
  pending: z.number(),
  inFlight: z.number(),
  succeeded: z.number(),
  failed: z.number(),
  none: z.number(),
  byState: z.record(z.string(), z.number()),
});

export const changeDetail = changeSummary.extend({
  spec: changeSpecSchema,
  summary: z.record(z.string(), z.unknown()).nullable(),
  planDigest: z.string().nullable(),
  planRevision: z.number(),
  plan: z
    .object({
      revision: z.number().int(),
      digest: z.string(),
      header: z.record(z.string(), z.unknown()),
      frozenAt: z.iso.datetime(),
    })
    .nullable(),
  approvals: z.array(
    z.object({
      id: z.uuid(),
      ring: z.number().int(),
      state: z.string(),
      planDigest: z.string(),
      highRisk: z.boolean(),
      openedAt: z.iso.datetime(),
      expiresAt: z.iso.datetime(),
    }),
  ),
  rings: z.array(
    z.object({
      ordinal: z.number(),
      name: z.string(),
      state: z.string(),
      halted: z.boolean(),
      haltReason: z.string().nullable(),
      haltedBy: z.string().nullable(),
      haltedAt: z.iso.datetime().nullable(),
      concurrency: z.number().int(),
      /** The order its endpoints are brought to: change, or revert once it rolls back. */
      targetKind: z.string(),
      openedAt: z.iso.datetime().nullable(),
      drainedAt: z.iso.datetime().nullable(),
      deadline: z.iso.datetime().nullable(),
      endpoints: z.number(),
      counts: z.object({ stage: counts, change: counts, revert: counts }),
    }),
  ),
});
