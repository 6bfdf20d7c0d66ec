/** Findings that people say are wrong on an endpoint: on record, shown, and counted nowhere. */
import type { PoolClient } from 'pg';
import type { EpochMs } from '../../domain/time.js';

/** SQL: per endpoint and checklist, how many of the newest results are such findings, by what they say. */
export const WRONG = `(SELECT f.endpoint_id, f.checklist_id, (count(*) FILTER (WHERE substr(m.results, f.position + 1, 1) = 'f'))::int AS failed,
    (count(*) FILTER (WHERE substr(m.results, f.position + 1, 1) IN ('e', 'u')))::int AS errors
  FROM false_positive f JOIN assessment m USING (endpoint_id, checklist_id) GROUP BY 1, 2)`;

/**
 * SQL: what people marked as wrong on an endpoint by another checklist of the same baseline (another version, another tailoring) holds by the rule's
 * id for the one that is `made` (endpoint_id, checklist_id) now, with who said so and when. What was taken back is gone from all of them.
 */
export const CARRY_MARKS = `INSERT INTO false_positive (checklist_id, position, endpoint_id, reason, marked_by, marked_at)
     SELECT DISTINCT ON (m.endpoint_id, m.checklist_id, r.position) m.checklist_id, r.position, m.endpoint_id, f.reason, f.marked_by, f.marked_at
       FROM made m JOIN false_positive f ON f.endpoint_id = m.endpoint_id AND f.checklist_id <> m.checklist_id
       JOIN checklist_rule o ON o.checklist_id = f.checklist_id AND o.position = f.position
       JOIN checklist_rule r ON r.checklist_id = m.checklist_id AND r.rule_id = o.rule_id
       JOIN checklist k ON k.id = m.checklist_id JOIN baseline_version v ON v.id = k.version_id
       JOIN checklist ok ON ok.id = f.checklist_id JOIN baseline_version ov ON ov.id = ok.version_id AND ov.baseline_id = v.baseline_id
      ORDER BY m.endpoint_id, m.checklist_id, r.position, f.marked_at DESC
     ON CONFLICT (checklist_id, position, endpoint_id) DO NOTHING`;

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

/** Takes a mark back, for every checklist of the baseline: the finding counts again. @returns whether there was one */
export async function unmarkFalsePositive(client: PoolClient, args: Finding): Promise<boolean> {
  const { rowCount } = await client.query(
    `DELETE FROM false_positive f USING checklist k, baseline_version v, baseline_version ov, checklist ok, checklist_rule r
      WHERE k.id = $1 AND v.id = k.version_id AND ov.baseline_id = v.baseline_id AND ok.version_id = ov.id AND r.checklist_id = ok.id AND r.rule_id = $2
        AND f.checklist_id = r.checklist_id AND f.position = r.position AND f.endpoint_id = $3`,
    [args.checklistId, args.ruleId, args.endpointId],
  );
  return (rowCount ?? 0) > 0;
}
