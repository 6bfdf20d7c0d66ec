/** A subset that is a step ahead, compared with the rest before it is widened; and findings that people say are wrong. */
import type { PoolClient } from 'pg';
import type { EpochMs } from '../../domain/time.js';
import type { Queryable } from '../pool.js';

export interface TrialSide {
  readonly endpoints: number;
  readonly compliant: number;
  /** Failing rules over all of them. */
  readonly failing: number;
  /** Orders of remediations, by how they ended. */
  readonly succeeded: number;
  readonly reverted: number;
  readonly failed: number;
  readonly falsePositives: number;
}

/** Both sides of an assignment: its trial and the rest. */
export async function compareTrial(
  db: Queryable,
  assignmentId: string,
): Promise<{ readonly trial: TrialSide; readonly rest: TrialSide }> {
  const { rows } = await db.query(
    `WITH side AS MATERIALIZED (SELECT endpoint_id, checklist_id, in_trial FROM assessment_target WHERE assignment_id = $1),
     orders AS (
       SELECT s.in_trial, count(*) FILTER (WHERE o.state = 'succeeded')::int AS succeeded,
              count(*) FILTER (WHERE o.state = 'reverted')::int AS reverted,
              count(*) FILTER (WHERE o.state IN ('failed', 'revertFailed', 'stalled'))::int AS failed
         FROM side s JOIN order_state o ON o.endpoint_id = s.endpoint_id AND o.kind = 'change' AND NOT o.retried
         JOIN change c ON c.id = o.change_id AND c.kind = 'remediation'
         JOIN update_set u ON u.digest = o.content_digest JOIN checklist k ON k.id = s.checklist_id AND k.name = u.items -> 0 ->> 'source'
        GROUP BY 1),
     wrong AS (SELECT s.in_trial, count(*)::int AS n FROM side s JOIN false_positive f USING (endpoint_id, checklist_id) GROUP BY 1)
     SELECT x.in_trial, (SELECT count(*)::int FROM side s WHERE s.in_trial = x.in_trial) AS endpoints,
            (SELECT count(*)::int FROM side s JOIN assessment m USING (endpoint_id, checklist_id)
              WHERE s.in_trial = x.in_trial AND m.assessed_at IS NOT NULL AND m.failed + m.errors = 0) AS compliant,
            (SELECT coalesce(sum(m.failed), 0)::int FROM side s JOIN assessment m USING (endpoint_id, checklist_id)
              WHERE s.in_trial = x.in_trial) AS failing,
            coalesce(o.succeeded, 0) AS succeeded, coalesce(o.reverted, 0) AS reverted, coalesce(o.failed, 0) AS failed,
            coalesce(w.n, 0) AS "falsePositives"
       FROM (VALUES (true), (false)) AS x (in_trial) LEFT JOIN orders o USING (in_trial) LEFT JOIN wrong w USING (in_trial)
      ORDER BY x.in_trial DESC`,
    [assignmentId],
  );
  const [trial, rest] = rows.map(({ in_trial: _, ...side }) => side) as [TrialSide, TrialSide];
  return { trial, rest };
}

/** Marks a finding as wrong. @returns whether the checklist has the rule */
export async function markFalsePositive(
  client: PoolClient,
  args: {
    readonly endpointId: string;
    readonly checklistId: number;
    readonly ruleId: string;
    readonly reason: string;
    readonly by: string;
    readonly now: EpochMs;
  },
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
