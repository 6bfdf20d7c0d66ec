import { z } from 'zod';
import { labelsSchema } from '../../domain/fleet/selector-schema.js';

export const joinTokenRequest = z.strictObject({
  labels: labelsSchema.default({}),
  scanOnly: z.boolean().default(false),
  uses: z.number().int().min(1).max(100_000).default(1),
  expiresInSeconds: z
    .number()
    .int()
    .min(60)
    .max(30 * 86_400)
    .default(3_600),
});

export const joinTokenReply = z.object({ id: z.uuid(), token: z.string(), expiresAt: z.iso.datetime() });
