import { z } from 'zod';
import { changeSpecSchema } from '../../domain/change/spec-schema.js';
import { cadenceSchema } from '../../domain/schedule/index.js';

export const schedulePost = z.strictObject({
  name: z.string().trim().min(1).max(200),
  /** "Second Tuesday + 3 days, 22:00": `{rrule: "FREQ=MONTHLY;BYDAY=2TU", plusDays: 3, at: "22:00", zone: "Europe/Berlin"}`. */
  calendar: cadenceSchema,
  /** What happens when the one before still runs. There is no default: somebody must have decided. */
  overlap: z.enum(['skip', 'bufferOne', 'allowAll']),
  spec: changeSpecSchema,
});

/** Its name stays. */
export const schedulePut = schedulePost.omit({ name: true });

export const scheduleReply = z.object({
  id: z.uuid(),
  name: z.string(),
  nextStarts: z.array(z.iso.datetime()),
});

export const scheduleDetail = scheduleReply.extend({
  calendar: cadenceSchema,
  overlap: z.enum(['skip', 'bufferOne', 'allowAll']),
  spec: changeSpecSchema,
  createdBy: z.string(),
  createdAt: z.iso.datetime(),
  /** Whether the worker has taken it up as it is. */
  applied: z.boolean(),
});
