import { z } from 'zod';
import { selectorSchema } from '../../domain/fleet/selector-schema.js';
import { overrideBody } from '../baselines/schema.js';
import { endpointSummary } from '../endpoints/schema.js';

export const groupPut = z.strictObject({
  selector: selectorSchema,
  /** Where an endpoint would come to a baseline's higher mode by it without a finished trial: why an administrator says so all the same. */
  override: overrideBody.optional(),
});
export const groupReply = z.object({ id: z.uuid(), name: z.string(), selector: selectorSchema });
export const quorumPut = z.strictObject({
  selector: selectorSchema,
  maxUnavailable: z.number().int().min(1).max(100_000),
});
export const quorumReply = z.object({ id: z.uuid(), name: z.string(), members: z.number().int(), ...quorumPut.shape });

export const previewPost = z.strictObject({
  selector: selectorSchema,
  limit: z.number().int().min(1).max(500).default(50),
});
export const previewReply = z.object({
  total: z.number().int(),
  items: z.array(endpointSummary),
  /** There are more; group members and `GET /v1/endpoints?where=` page through them. */
  next: z.string().nullable(),
});
