import { z } from 'zod';
import { labelsSchema } from '../../domain/fleet/selector-schema.js';
import { paging } from '../http/paging.js';

const expiresInSeconds = z
  .number()
  .int()
  .min(60)
  .max(30 * 86_400)
  .default(3_600);

export const joinTokenRequest = z.strictObject({
  labels: labelsSchema.default({}),
  scanOnly: z.boolean().default(false),
  uses: z.number().int().min(1).max(100_000).default(1),
  expiresInSeconds,
});

/** For one machine, that takes over an endpoint. */
export const reEnrolRequest = z.strictObject({ expiresInSeconds });

export const joinTokenReply = z.object({ id: z.uuid(), token: z.string(), expiresAt: z.iso.datetime() });

export const joinTokenQuery = z.strictObject({
  ...paging,
  /** Whether it can still be used. */
  usable: z
    .enum(['true', 'false'])
    .transform((text) => text === 'true')
    .optional(),
});

export const joinTokenRow = z.object({
  id: z.uuid(),
  labels: z.record(z.string(), z.string()),
  scanOnly: z.boolean(),
  usesLeft: z.number().int(),
  /** The endpoint that whoever uses it takes over; null: it becomes a new one. */
  endpointId: z.uuid().nullable(),
  createdBy: z.string(),
  createdAt: z.iso.datetime(),
  expiresAt: z.iso.datetime(),
  revokedAt: z.iso.datetime().nullable(),
});
