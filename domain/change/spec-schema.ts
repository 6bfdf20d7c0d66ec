/** Reading an untrusted change. Thresholds have no defaults: one that is missing or malformed is refused by name (fail closed). */
import { z } from 'zod';
import { approvalRuleSchema } from '../approval/rule-schema.js';
import { selectorSchema } from '../fleet/selector-schema.js';
import type { ChangeSpec, RingSpec } from './spec.js';

const percent = z.number().min(0).max(100);
const count = z.number().int().min(0).max(1_000_000);
const name = z.string().trim().min(1).max(200);
/** At most a year, in minutes. */
const minutes = z
  .number()
  .int()
  .min(1)
  .max(366 * 24 * 60);

const limitSchema = z.union([z.strictObject({ count }), z.strictObject({ percent })], {
  error: 'must be {"count": n} or {"percent": n}',
});

export const ringSpecSchema = z.strictObject({
  name,
  select: z.union([z.strictObject({ sharePercent: percent.gt(0) }), selectorSchema]),
  maxInFlight: z.number().int().min(1).max(100_000),
  errorBudget: limitSchema,
  successThresholdPercent: percent,
  minSample: count,
  soakMinutes: z
    .number()
    .int()
    .min(0)
    .max(60 * 24 * 60),
  approvals: z.array(approvalRuleSchema).max(10),
  deadlineMinutes: minutes,
  haltAction: z.enum(['pause', 'rollback', 'ask']),
  disruptionBudget: z.number().int().min(1).max(1_000_000).optional(),
  hostOrder: z.array(selectorSchema).max(50).optional(),
}) satisfies z.ZodType<RingSpec>;

export const changeSpecSchema = z
  .strictObject({
    kind: z.string().regex(/^[a-z][a-zA-Z0-9-]{0,63}$/, 'must be the name of a kind of change'),
    name,
    reason: z.string().trim().min(1).max(2_000),
    scope: selectorSchema,
    rings: z.array(ringSpecSchema).min(1).max(50),
    priority: z.number().int().min(0).max(1_000),
    deadlineMinutes: minutes,
    offlineAfterMinutes: minutes,
    parameters: z.record(z.string().max(64), z.unknown()),
  })
  .superRefine((spec, context) => {
    const seen = new Set<string>();
    for (const [i, ring] of spec.rings.entries()) {
      if (seen.has(ring.name)) {
        context.addIssue({ code: 'custom', path: ['rings', i, 'name'], message: 'another ring has this name' });
      }
      seen.add(ring.name);
      if (ring.deadlineMinutes > spec.deadlineMinutes) {
        const message = 'is later than the deadline of the whole change';
        context.addIssue({ code: 'custom', path: ['rings', i, 'deadlineMinutes'], message });
      }
    }
  }) satisfies z.ZodType<ChangeSpec>;
