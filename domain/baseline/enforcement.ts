/** How a baseline in mode `enforce` makes its own changes: through which rings, with which approvals, how often at most. */
import { z } from 'zod';
import type { ChangeSpec } from '../change/spec.js';
import { changeSpecSchema, ringSpecSchema } from '../change/spec-schema.js';
import type { Selector } from '../fleet/selector.js';

const minutes = z.number().int().min(1).max(527_040);

const shape = z.strictObject({
  rings: z.array(ringSpecSchema).min(1).max(50),
  deadlineMinutes: minutes,
  offlineAfterMinutes: minutes.default(60),
  /** From one change to the next: what fails again and again must not be tried all the time. */
  everyMinutes: minutes.default(24 * 60),
});
export type Enforcement = z.infer<typeof shape>;

/** What is wrong with the changes it would make is wrong with it. */
export const enforcementSchema = shape.superRefine((enforcement, context) => {
  const made = changeSpecSchema.safeParse(enforcementSpec({ assignment: 'one', scope: { all: true }, enforcement }));
  for (const { path, message } of made.error?.issues ?? []) context.addIssue({ code: 'custom', path, message });
});

/** Who requests its changes; what they are told by, for anybody may name a change alike. */
export const enforcementActor = (assignment: string): string => `baseline-assignment/${assignment}`;

export function enforcementSpec(args: {
  readonly assignment: string;
  readonly scope: Selector;
  readonly enforcement: Enforcement;
}): ChangeSpec {
  const { assignment, enforcement } = args;
  return {
    kind: 'remediation',
    name: `enforce ${assignment}`.slice(0, 200),
    reason: `rules of baseline assignment ${assignment} fail where it is enforced`,
    scope: args.scope,
    rings: enforcement.rings,
    priority: 0,
    deadlineMinutes: enforcement.deadlineMinutes,
    offlineAfterMinutes: enforcement.offlineAfterMinutes,
    parameters: { assignments: [assignment], enforcedOnly: true },
  };
}
