/** How a zero-day is hurried: through which rings, who approves, and whether hours or freezes may be overridden at all. */
import type { ApprovalRule } from '../approval/rule.js';
import type { Override } from '../change/override.js';
import { NO_OVERRIDE } from '../change/override.js';
import type { ChangeSpec, RingSpec } from '../change/spec.js';

export interface ExpeditePolicy {
  /** As of any change: the first is the canary. */
  readonly rings: readonly RingSpec[];
  /** From the request; after it nothing new begins. */
  readonly deadlineMinutes: number;
  readonly offlineAfterMinutes: number;
  /** By when nobody should be exposed any more, from the request, where the request does not say. */
  readonly dueMinutes: number;
  /** Null: nobody may override hours or freezes. */
  readonly override: null | {
    readonly hours: boolean;
    readonly freezes: boolean;
    /** Whose approval exactly that needs, beside the rings' own. */
    readonly approval: ApprovalRule;
  };
}

const MANAGER: ApprovalRule = {
  from: { role: 'Manager' },
  quorum: 1,
  remindEveryMinutes: 15,
  escalateAfterMinutes: 30,
  escalateTo: { role: 'Administrator' },
  expireAfterMinutes: 24 * 60,
  highRisk: false,
};

/**
 * In force until somebody stores another: a twentieth goes first, a failure there stops everything, a second person approves
 * each step, and hours and freezes stand.
 */
export const DEFAULT_EXPEDITE_POLICY: ExpeditePolicy = {
  rings: [
    {
      name: 'canary',
      select: { sharePercent: 5 },
      maxInFlight: 20,
      errorBudget: { count: 0 },
      successThresholdPercent: 100,
      minSample: 1,
      soakMinutes: 10,
      approvals: [MANAGER],
      deadlineMinutes: 24 * 60,
      haltAction: 'pause',
    },
    {
      name: 'everyone',
      select: { sharePercent: 100 },
      maxInFlight: 500,
      errorBudget: { percent: 2 },
      successThresholdPercent: 95,
      minSample: 1,
      soakMinutes: 0,
      approvals: [MANAGER],
      deadlineMinutes: 6 * 24 * 60,
      haltAction: 'pause',
    },
  ],
  deadlineMinutes: 7 * 24 * 60,
  offlineAfterMinutes: 15,
  dueMinutes: 3 * 24 * 60,
  override: null,
};

/** What the policy does not allow of a wanted override; null when it allows all of it. */
export function whyNoOverride(policy: ExpeditePolicy, wanted: Override): string | null {
  const allowed = policy.override ?? NO_OVERRIDE;
  const refused = (['hours', 'freezes'] as const).filter((what) => wanted[what] && !allowed[what]);
  if (refused.length === 0) return null;
  const words = { hours: 'hours of operation', freezes: 'freezes' };
  return `the expedite policy does not allow overriding ${refused.map((what) => words[what]).join(' or ')}`;
}

/** The rings a hurried change runs in: the policy's, each with the override's own approval where one is wanted. */
export function expeditedRings(
  policy: ExpeditePolicy,
  args: { readonly rings: readonly RingSpec[]; readonly override: Override },
): RingSpec[] {
  const { override } = args;
  if (policy.override === null || !(override.hours || override.freezes)) return [...args.rings];
  const rule: ApprovalRule = { ...policy.override.approval, overrides: override };
  return args.rings.map((ring) => ({ ...ring, approvals: [...ring.approvals, rule] }));
}

/** The deadline of the change: the policy's, or the due date where that comes later. */
export const deadlineMinutesOf = (policy: ExpeditePolicy, untilDue: number): ChangeSpec['deadlineMinutes'] =>
  Math.max(policy.deadlineMinutes, Math.ceil(untilDue));
