/** Findings that people say are wrong on an endpoint: on record, shown, and counted nowhere. */
import type { PoolClient } from 'pg';
import type { EpochMs } from '../../domain/time.js';

/** SQL: per endpoint and checklist, how many of the newest results are such findings, by what they say. */
export const WRONG = `(SELECT f.endpoint_id, f.checklist_id, (count(*) FILTER (WHERE substr(m.results, f.position + 1, 1) = 'f'))::int AS failed,
    (count(*) FILTER (WHERE substr(m.results, f.position + 1, 1) IN ('e', 'u')))::int AS errors
  FROM false_positive f JOIN assessment m USING (endpoint_id, checklist_id) GROUP BY 1, 2)`;

interface Finding {
  readonly endpointId: string;
  readonly checklistId: number;
  readonly ruleId: string;
}

/** Marks a finding as wrong. @returns whether the checklist has the rule */
export async function markFalsePositive(
  client: PoolClient,
  args: Finding & { readonly reason: string; readonly by: string; readonly now: EpochMs },
): Promise<boolean> {
  const { rowCount } = await client.query(
    `INSERT INTO false_positive (checklist_id, position, endpoint_id, reason, marked_by, marked_at)
     SELECT checklist_id, position, $3, $4, $5, to_timestamp($6 / 1000.0) FROM checklist_rule WHERE checklist_id = $1 AND rule_id = $2
     ON CONFLICT (checklist_id, position, endpoint_id) DO UPDATE
       SET reason = excluded.reason, marked_by = excluded.marked_by, marked_at = excluded.marked_at`,
    [args.checklistId, args.ruleId, args.endpointId, args.reason, args.by, args.now],
  );
  return rowCount === 1;
}

/** Takes a mark back: the finding counts again. @returns whether there was one */
export async function unmarkFalsePositive(client: PoolClient, args: Finding): Promise<boolean> {
  const { rowCount } = await client.query(
    `DELETE FROM false_positive f USING checklist_rule r
      WHERE r.checklist_id = $1 AND r.rule_id = $2 AND f.checklist_id = r.checklist_id AND f.position = r.position AND f.endpoint_id = $3`,
    [args.checklistId, args.ruleId, args.endpointId],
  );
  return rowCount === 1;
}
