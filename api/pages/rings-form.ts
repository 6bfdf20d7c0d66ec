/**
 * Two rings as a form states them: a test group, then everybody else. Every threshold is a field that whoever submits it has seen; what is
 * missing or no number is refused by the API, by name.
 */
import type { ApprovalRule } from '../../domain/approval/rule.js';
import type { RingSpec } from '../../domain/change/spec.js';
import type { Fields } from './forms.js';

export const RING_FIELDS = [
  'testGroup',
  'maxInFlight',
  'failedPercent',
  'soakHours',
  'approver',
  'deadlineDays',
] as const;
/** What the form has in its fields at first. */
export const RING_PROPOSAL: Fields = {
  ...{ testGroup: '', maxInFlight: '20', failedPercent: '5', soakHours: '24', approver: 'Manager', deadlineDays: '14' },
};
export const APPROVERS = ['Manager', 'Administrator'] as const;

const HOUR_MINUTES = 60;
const DAY_MINUTES = 24 * HOUR_MINUTES;
const OFFLINE_AFTER_MINUTES = 60;

export interface StatedRings {
  readonly rings: readonly RingSpec[];
  readonly deadlineMinutes: number;
  readonly offlineAfterMinutes: number;
}

const numberOf = (text: string | undefined): number => (text === undefined || text === '' ? Number.NaN : Number(text));

export function statedRings(fields: Fields): StatedRings {
  const deadlineMinutes = numberOf(fields.deadlineDays) * DAY_MINUTES;
  const failed = numberOf(fields.failedPercent);
  const role = APPROVERS.find((one) => one === fields.approver) ?? APPROVERS[0];
  const approval: ApprovalRule = {
    from: { role },
    quorum: 1,
    remindEveryMinutes: 12 * HOUR_MINUTES,
    escalateAfterMinutes: DAY_MINUTES,
    escalateTo: { role: 'Administrator' },
    expireAfterMinutes: 3 * DAY_MINUTES,
    highRisk: false,
  };
  const both = {
    maxInFlight: numberOf(fields.maxInFlight),
    minSample: 1,
    approvals: [approval],
    deadlineMinutes,
    haltAction: 'pause',
  } as const;
  return {
    rings: [
      {
        name: 'Test group',
        select: { groups: [fields.testGroup ?? ''] },
        errorBudget: { count: 0 },
        successThresholdPercent: 100,
        soakMinutes: numberOf(fields.soakHours) * HOUR_MINUTES,
        ...both,
      },
      {
        name: 'All others',
        select: { sharePercent: 100 },
        errorBudget: { percent: failed },
        successThresholdPercent: 100 - failed,
        soakMinutes: 0,
        ...both,
      },
    ],
    deadlineMinutes,
    offlineAfterMinutes: OFFLINE_AFTER_MINUTES,
  };
}
