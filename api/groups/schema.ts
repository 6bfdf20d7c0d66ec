import { z } from 'zod';
import { selectorSchema } from '../../domain/fleet/selector-schema.js';

export const groupPut = z.strictObject({ selector: selectorSchema });
export const groupReply = z.object({ id: z.uuid(), name: z.string(), selector: selectorSchema });
export const quorumPut = z.strictObject({
  selector: selectorSchema,
  maxUnavailable: z.number().int().min(1).max(100_000),
});
