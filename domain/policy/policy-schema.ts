/** Reading an untrusted policy. Hours that can't be read are refused here, and never open where they are used. */
import { z } from 'zod';
import { approvalRuleSchema } from '../approval/rule-schema.js';
import { selectorSchema } from '../fleet/selector-schema.js';
import { hoursSchema } from '../schedule/index.js';
import type { PolicyDocument } from './policy-set.js';

const plainName = z.string().regex(/^[a-z0-9][a-z0-9-]{0,63}$/, 'must be lower-case letters, digits and dashes');

/** The same checks an order may carry (protocol/messages.ts), so that a policy can't hold one no agent accepts. */
const healthCheckSchema = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('unit'), unit: z.string().min(1).max(256) }),
  z.strictObject({ type: z.literal('port'), port: z.number().int().min(1).max(65_535) }),
  z.strictObject({
    type: z.literal('http'),
    url: z.url({ protocol: /^https?$/ }),
    status: z.number().int().min(100).max(599).default(200),
  }),
  z.strictObject({ type: z.literal('named'), name: plainName }),
]);

const hook = {
  name: plainName,
  when: z.enum(['before', 'after']),
  onFailure: z.enum(['fail', 'ignore']),
  timeoutSeconds: z.number().int().min(1).max(3_600),
};
/** A hook on the server runs only if it is these very bytes, so they are part of what is approved. */
const hookSchema = z.union([
  z.strictObject({ ...hook, runsOn: z.literal('endpoint').optional() }),
  z.strictObject({
    ...hook,
    runsOn: z.literal('server'),
    sha256: z.string().regex(/^[0-9a-f]{64}$/, 'must be the SHA-256 of the program, in lower-case hex'),
  }),
]);

export const policyDocumentSchema = z.strictObject({
  appliesTo: selectorSchema,
  hours: hoursSchema,
  freezeCalendars: z.array(z.string().min(1).max(200)).max(50),
  reboot: z.enum(['never', 'ifNeeded', 'always']),
  expectedMinutes: z
    .number()
    .int()
    .min(1)
    .max(24 * 60),
  healthChecks: z.array(healthCheckSchema).max(50),
  hooks: z.array(hookSchema).max(20),
  stageRateLimit: z.number().int().positive().nullable(),
  revisitMinutes: z
    .number()
    .int()
    .min(5)
    .max(366 * 24 * 60)
    .optional(),
  patchApprovals: z.array(approvalRuleSchema).max(10).optional(),
}) satisfies z.ZodType<PolicyDocument>;
