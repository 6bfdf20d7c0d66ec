/** How a baseline in mode `enforce` makes its own changes: through which rings, with which approvals, how often at most. */
import { z } from 'zod';
import type { ChangeSpec } from '../change/spec.js';
import { ringSpecSchema } from '../change/spec-schema.js';
import type { Selector } from '../fleet/selector.js';

const minutes = z.number().int().min(1).max(527_040);

export const enforcementSchema = z.strictObject({
  rings: z.array(ringSpecSchema).min(1).max(50),
  deadlineMinutes: minutes,
  offlineAfterMinutes: minutes.default(60),
  /** From one change to the next: what fails again and again must not be tried all the time. */
  everyMinutes: minutes.default(24 * 60),
});
export type Enforcement = z.infer<typeof enforcementSchema>;

export const enforcementName = (assignment: string): string => `enforce ${assignment}`;

export function enforcementSpec(args: {
  readonly assignment: string;
  readonly scope: Selector;
  readonly enforcement: Enforcement;
}): ChangeSpec {
  const { assignment, enforcement } = args;
  return {
    kind: 'remediation',
    name: enforcementName(assignment),
    reason: `rules of baseline assignment ${assignment} fail where it is enforced`,
    scope: args.scope,
    rings: enforcement.rings,
    priority: 0,
    deadlineMinutes: enforcement.deadlineMinutes,
    offlineAfterMinutes: enforcement.offlineAfterMinutes,
    parameters: { assignments: [assignment], enforcedOnly: true },
  };
}
