/** A remediation of one rule on one endpoint at once: what a critical drift asks for, by a notice rule or by a person. */
import type { PoolClient } from 'pg';
import { shortRuleId } from '../../domain/baseline/rule-name.js';
import { EXPEDITED_PRIORITY } from '../../domain/change/spec.js';
import type { EpochMs } from '../../domain/time.js';
import { createChange } from '../change/create.js';
import { loadExpeditePolicy } from '../zero-day/policy.js';
import { criticalBy } from './drift.js';

/**
 * As hurried as the expedite policy says, and with its approvals.
 * @returns the change's id; null: no assignment that holds there says any more that the rule is critical
 */
export async function expediteRule(
  client: PoolClient,
  args: {
    readonly endpointId: string;
    readonly endpoint: string;
    readonly ruleId: string;
    readonly reason: string;
    readonly requestedBy: string;
    readonly now: EpochMs;
    readonly workflowId: (changeId: string) => string;
  },
): Promise<string | null> {
  const { endpointId, ruleId } = args;
  const assignments = await criticalBy(client, { endpointId, ruleId });
  if (assignments.length === 0) return null;
  const { document } = await loadExpeditePolicy(client);
  return createChange(client, {
    spec: {
      kind: 'remediation',
      name: `${shortRuleId(ruleId)} on ${args.endpoint}`.slice(0, 200),
      reason: args.reason,
      scope: { ids: [endpointId] },
      rings: document.rings,
      priority: EXPEDITED_PRIORITY,
      deadlineMinutes: document.deadlineMinutes,
      offlineAfterMinutes: document.offlineAfterMinutes,
      parameters: { assignments, rules: [ruleId], scanMaxAgeHours: 0.01 },
    },
    requestedBy: args.requestedBy,
    now: args.now,
    workflowId: args.workflowId,
  });
}
