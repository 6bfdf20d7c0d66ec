/** Reading an untrusted expedite policy. Thresholds and approvals have no defaults here either. */
import { z } from 'zod';
import { approvalRuleSchema } from '../approval/rule-schema.js';
import { ringSpecSchema } from '../change/spec-schema.js';
import type { ExpeditePolicy } from './expedite-policy.js';

/** At most a year, in minutes. */
const minutes = z
  .number()
  .int()
  .min(1)
  .max(366 * 24 * 60);

export const expeditePolicySchema = z
  .strictObject({
    rings: z.array(ringSpecSchema).min(1).max(50),
    deadlineMinutes: minutes,
    offlineAfterMinutes: minutes,
    dueMinutes: minutes,
    override: z.strictObject({ hours: z.boolean(), freezes: z.boolean(), approval: approvalRuleSchema }).nullable(),
  })
  .superRefine((policy, context) => {
    const seen = new Set<string>();
    for (const [i, ring] of policy.rings.entries()) {
      if (seen.has(ring.name))
        context.addIssue({ code: 'custom', path: ['rings', i, 'name'], message: 'another ring has this name' });
      seen.add(ring.name);
      if (ring.deadlineMinutes > policy.deadlineMinutes) {
        const message = 'is later than deadlineMinutes of the policy';
        context.addIssue({ code: 'custom', path: ['rings', i, 'deadlineMinutes'], message });
      }
    }
  }) satisfies z.ZodType<ExpeditePolicy>;
