/** A remediation of one rule on one endpoint at once: what a critical drift asks for, by a notice rule or by a person. */
import type { PoolClient } from 'pg';
import type { Mode } from '../../domain/baseline/assignment.js';
import { conflictInWords } from '../../domain/baseline/conflicts.js';
import { shortRuleId } from '../../domain/baseline/rule-name.js';
import { EXPEDITED_PRIORITY } from '../../domain/change/spec.js';
import type { EpochMs } from '../../domain/time.js';
import { createChange } from '../change/create.js';
import { loadSelectables } from '../endpoints/selectable.js';
import { loadGroups } from '../policy/load.js';
import { loadExpeditePolicy } from '../zero-day/policy.js';
import { conflictsOn } from './conflicts.js';
import { loadQuietRules, type RuleOn } from './drift.js';

/** `underWay`: the change that is open for it already. `refused`: a change would put nothing right, and why. */
export type Expedited =
  | { readonly kind: 'requested' | 'underWay'; readonly changeId: string }
  | { readonly kind: 'refused'; readonly reason: string };

/** As hurried as the expedite policy says, and with its approvals; never a second of one rule on one endpoint while one is open. */
export async function expediteRule(
  client: PoolClient,
  args: RuleOn & {
    readonly endpoint: string;
    readonly reason: string;
    readonly requestedBy: string;
    readonly now: EpochMs;
    readonly workflowId: (changeId: string) => string;
  },
): Promise<Expedited> {
  const { endpointId, ruleId, now } = args;
  if (!(await lockRule(client, args)))
    return { kind: 'refused', reason: 'a change is being asked for it at this very moment' };
  const underWay = await openExpedited(client, args);
  if (underWay !== null) return { kind: 'underWay', changeId: underWay };
  const by = await whoPutsRight(client, { endpointId, ruleId, now });
  if (!by.ok) return { kind: 'refused', reason: by.reason };
  const { document } = await loadExpeditePolicy(client);
  const changeId = await createChange(client, {
    spec: {
      kind: 'remediation',
      name: `${shortRuleId(ruleId)} on ${args.endpoint}`.slice(0, 200),
      reason: args.reason,
      scope: { ids: [endpointId] },
      rings: document.rings,
      priority: EXPEDITED_PRIORITY,
      deadlineMinutes: document.deadlineMinutes,
      offlineAfterMinutes: document.offlineAfterMinutes,
      parameters: { assignments: by.assignments, rules: [ruleId], scanMaxAgeHours: 0.01 },
    },
    requestedBy: args.requestedBy,
    now,
    workflowId: args.workflowId,
  });
  return { kind: 'requested', changeId };
}

/** Not waited for: whoever holds it makes the change, and two who waited for each other's incidents would wait for ever. */
async function lockRule(client: PoolClient, { endpointId, ruleId }: RuleOn): Promise<boolean> {
  const { rows } = await client.query<{ locked: boolean }>(
    `SELECT pg_try_advisory_xact_lock(hashtextextended('expedite ' || $1 || ' ' || $2, 0)) AS locked`,
    [endpointId, ruleId],
  );
  return rows[0]?.locked === true;
}

/** Whichever incident asked for it. */
async function openExpedited(client: PoolClient, { endpointId, ruleId }: RuleOn): Promise<string | null> {
  const { rows } = await client.query<{ id: string }>(
    `SELECT id FROM change WHERE closed_at IS NULL AND kind = 'remediation' AND priority = $3
        AND spec -> 'scope' = jsonb_build_object('ids', jsonb_build_array($1::text))
        AND spec -> 'parameters' -> 'rules' = jsonb_build_array($2::text) LIMIT 1`,
    [endpointId, ruleId, EXPEDITED_PRIORITY],
  );
  return rows[0]?.id ?? null;
}

/** Assignments by which the rule is critical there and may be put right, or why none: what planning would say of it. */
async function whoPutsRight(
  client: PoolClient,
  { now, ...rule }: RuleOn & { readonly now: EpochMs },
): Promise<
  { readonly ok: true; readonly assignments: readonly string[] } | { readonly ok: false; readonly reason: string }
> {
  const { endpointId, ruleId } = rule;
  const { rows } = await client.query<{ name: string; mode: Mode; checklistId: number; noFix: string | null }>(
    `SELECT a.name, t.mode, t.checklist_id AS "checklistId",
            coalesce(r.no_fix_reason, CASE WHEN r.fix_sha256 IS NULL THEN 'its fix is not at hand' END) AS "noFix"
       FROM assessment_target t JOIN baseline_assignment a ON a.id = t.assignment_id
       JOIN checklist_rule r ON r.checklist_id = t.checklist_id AND r.rule_id = $2
      WHERE t.endpoint_id = $1 AND $2 = ANY (a.critical) ORDER BY a.name`,
    [endpointId, ruleId],
  );
  if (rows.length === 0)
    return { ok: false, reason: 'no baseline assignment that holds there says that the rule is critical' };
  const [endpoints, groups] = await Promise.all([
    loadSelectables(client, { endpointIds: [endpointId] }),
    loadGroups(client),
  ]);
  const quiet = await loadQuietRules(client, { rules: [rule], endpoints, groups, now });
  if (quiet.size > 0) return { ok: false, reason: 'the rule is excepted there, or marked as wrong' };
  const reasons: string[] = [];
  const assignments: string[] = [];
  for (const { name, mode, checklistId, noFix } of rows) {
    const conflict = (await conflictsOn(client, { endpointId, checklistId })).get(ruleId);
    if (mode === 'observe') reasons.push(`baseline assignment ${name} is only observed there`);
    else if (conflict !== undefined) reasons.push(`of baseline assignment ${name} it is ${conflictInWords(conflict)}`);
    else if (noFix !== null) reasons.push(`baseline assignment ${name} can't put it right: ${noFix}`);
    else assignments.push(name);
  }
  return assignments.length > 0 ? { ok: true, assignments } : { ok: false, reason: reasons.join('; ') };
}
