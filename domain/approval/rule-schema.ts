/** Reading untrusted approval rules. Nothing has a default that would make approving easier. */
import { z } from 'zod';
import type { ApprovalRule } from './rule.js';

export const roleSchema = z.enum(['Administrator', 'Manager', 'Operator', 'User']);
export const stakeholderKindSchema = z.enum(['itOwner', 'user', 'management', 'businessOwner']);

export const approversSchema = z.union([
  z.strictObject({ role: roleSchema }),
  z.strictObject({ stakeholder: stakeholderKindSchema }),
  z.strictObject({ accounts: z.array(z.uuid()).min(1).max(100) }),
]);

/** At most 60 days, in minutes. */
const minutes = z
  .number()
  .int()
  .min(1)
  .max(60 * 24 * 60);

export const approvalRuleSchema = z
  .strictObject({
    from: approversSchema,
    quorum: z.number().int().min(1).max(100),
    distinctPeople: z.boolean().optional(),
    remindEveryMinutes: minutes,
    escalateAfterMinutes: minutes,
    escalateTo: approversSchema,
    expireAfterMinutes: minutes,
    highRisk: z.boolean(),
  })
  .superRefine((rule, context) => {
    if (rule.escalateAfterMinutes >= rule.expireAfterMinutes) {
      context.addIssue({
        code: 'custom',
        path: ['escalateAfterMinutes'],
        message: 'must be less than expireAfterMinutes',
      });
    }
    if ('accounts' in rule.from && new Set(rule.from.accounts).size < rule.quorum && !('accounts' in rule.escalateTo)) {
      context.addIssue({ code: 'custom', path: ['quorum'], message: 'asks for more people than "from" names' });
    }
  }) satisfies z.ZodType<ApprovalRule>;
