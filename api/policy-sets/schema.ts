import { z } from 'zod';
import { policyDocumentSchema } from '../../domain/policy/policy-schema.js';
import { zoneSchema } from '../endpoints/schema.js';

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
  document: policyDocumentSchema,
});

export const policyInForce = policyReply.extend({ createdBy: z.string(), createdAt: z.iso.datetime() });

export const policyVersionReply = policyInForce.extend({
  /** When another version, or none, took its place. */
  retiredAt: z.iso.datetime().nullable(),
});

export const policyReach = z.object({
  /** Endpoints it selects, retired ones left out. */
  selected: z.number().int(),
  /** Of those: it is in force. */
  inForce: z.number().int(),
  /** Another with more precedence is. */
  overruled: z.number().int(),
  /** None is, for it ties with another. */
  tied: z.number().int(),
});

export const calendarReply = z.object({ id: z.uuid(), name: z.string(), importedAt: z.iso.datetime() });
export const calendarListReply = calendarReply.extend({ importedBy: z.string(), characters: z.number().int() });

export const calendarQuery = z.strictObject({ zone: zoneSchema.default('UTC') });

const instant = z.iso.datetime();
export const calendarDetail = calendarReply.extend({
  /** The text as imported. */
  icalendar: z.string(),
  importedBy: z.string(),
  /** Policy sets in force that obey it. */
  usedBy: z.array(z.string()),
  events: z.array(z.object({ line: z.number().int(), label: z.string(), allDay: z.boolean(), recurring: z.boolean() })),
  zone: z.string(),
  /** Freezes of the next year, the first fifty. */
  next: z.array(z.object({ label: z.string(), from: instant, to: instant })),
  /** Why they can't be told; null when they can. */
  problem: z.string().nullable(),
});
