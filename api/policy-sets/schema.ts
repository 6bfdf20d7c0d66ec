import { z } from 'zod';
import { policyDocumentSchema } from '../../domain/policy/policy-schema.js';

export const policyPut = z.strictObject({
  /** The highest that applies to an endpoint wins; a tie is refused there. */
  precedence: z.number().int().min(-1_000_000).max(1_000_000),
  document: policyDocumentSchema,
});

export const policyReply = z.object({
  id: z.uuid(),
  version: z.number().int(),
  name: z.string(),
  precedence: z.number(),
  document: z.record(z.string(), z.unknown()),
});

export const calendarReply = z.object({ id: z.uuid(), name: z.string(), importedAt: z.iso.datetime() });
