/** Drift of critical rules as work: of which rules it is none, and who is to be measured when one says that it passes again. */
import type { PoolClient } from 'pg';
import { namesOfRule, ruleNames } from '../../domain/baseline/rule-name.js';
import { exceptionForRule, exceptionsByEndpoint } from '../../domain/exception/exception.js';
import type { Group, Selectable } from '../../domain/fleet/selector.js';
import type { EpochMs } from '../../domain/time.js';
import { loadExceptions } from '../exceptions/exceptions.js';
import type { Queryable } from '../pool.js';
import { askedAt } from './targets.js';

export interface RuleOn {
  readonly endpointId: string;
  readonly ruleId: string;
}

/** Of these rules those that need nobody there: excepted, or marked as a false positive. @returns `<endpoint>/<rule>` */
export async function loadQuietRules(
  db: Queryable,
  args: {
    readonly rules: readonly RuleOn[];
    readonly endpoints: readonly Selectable[];
    readonly groups: ReadonlyMap<string, Group>;
    readonly now: EpochMs;
  },
): Promise<ReadonlySet<string>> {
  const { rules, now } = args;
  if (rules.length === 0) return new Set();
  const { rows } = await db.query<{ on: string }>(
    `SELECT DISTINCT f.endpoint_id || '/' || r.rule_id AS "on" FROM false_positive f JOIN checklist_rule r USING (checklist_id, position)
      WHERE (f.endpoint_id, r.rule_id) IN (SELECT * FROM unnest($1::uuid[], $2::text[]))`,
    [rules.map((rule) => rule.endpointId), rules.map((rule) => rule.ruleId)],
  );
  const quiet = new Set(rows.map((row) => row.on));
  const exceptions = (await loadExceptions(db, now)).filter(({ target }) => 'rule' in target);
  const byEndpoint = exceptionsByEndpoint({ ...args, exceptions });
  for (const { endpointId, ruleId } of rules) {
    const name = ruleNames([ruleId])[0] ?? ruleId;
    if (exceptionForRule(namesOfRule({ ruleId, name }), byEndpoint.get(endpointId) ?? []) !== null)
      quiet.add(`${endpointId}/${ruleId}`);
  }
  return quiet;
}

/** Has endpoints measured on which one of these rules is open drift: the agent says that it passes again, and an assessment proves it. */
export async function askForRecovered(
  client: PoolClient,
  args: { readonly rules: readonly RuleOn[]; readonly now: EpochMs },
): Promise<void> {
  if (args.rules.length === 0) return;
  await client.query(
    `WITH recovered AS MATERIALIZED (
       SELECT t.endpoint_id, t.checklist_id FROM (SELECT DISTINCT * FROM unnest($1::uuid[], $2::text[]) AS i (endpoint_id, rule_id)) i
         JOIN work_item w ON w.endpoint_id = i.endpoint_id AND w.closed_at IS NULL AND w.kind = 'drift' AND w.evidence ->> 'rule' = i.rule_id
         JOIN checklist_rule r ON r.rule_id = i.rule_id
         JOIN assessment_target t ON t.endpoint_id = i.endpoint_id AND t.checklist_id = r.checklist_id
        ORDER BY 1, 2 FOR UPDATE OF t)
     UPDATE assessment_target t SET ${askedAt('to_timestamp($3 / 1000.0)')}, wanted_by = 'drift'
       FROM recovered r WHERE t.endpoint_id = r.endpoint_id AND t.checklist_id = r.checklist_id`,
    [args.rules.map((rule) => rule.endpointId), args.rules.map((rule) => rule.ruleId), args.now],
  );
}

/** What an endpoint is to watch between scans: rules by the digest of the checklist, as assignments say now. */
export async function loadWatched(db: Queryable, endpointId: string): Promise<Record<string, string[]>> {
  const { rows } = await db.query<{ digest: string; critical: string[] }>(
    `SELECT c.digest, a.critical FROM assessment_target t JOIN baseline_assignment a ON a.id = t.assignment_id JOIN checklist c ON c.id = t.checklist_id
      WHERE t.endpoint_id = $1 AND cardinality(a.critical) > 0`,
    [endpointId],
  );
  return Object.fromEntries(rows.map(({ digest, critical }) => [digest, critical]));
}
