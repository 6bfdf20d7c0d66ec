/** A subset that is a step ahead, compared with the rest before it is widened. */
import type { Queryable } from '../pool.js';
import { WRONG } from './false-positives.js';

export interface TrialSide {
  readonly endpoints: number;
  readonly compliant: number;
  /** Failing rules over all of them, less those marked as wrong. */
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
     measured AS (
       SELECT s.in_trial, (count(*) FILTER (WHERE m.assessed_at IS NOT NULL AND m.failed + m.errors = coalesce(w.failed + w.errors, 0)))::int AS compliant,
              sum(m.failed - coalesce(w.failed, 0))::int AS failing
         FROM side s JOIN assessment m USING (endpoint_id, checklist_id) LEFT JOIN ${WRONG} w USING (endpoint_id, checklist_id) GROUP BY 1),
     wrong AS (SELECT s.in_trial, count(*)::int AS n FROM side s JOIN false_positive f USING (endpoint_id, checklist_id) GROUP BY 1)
     SELECT x.in_trial, (SELECT count(*)::int FROM side s WHERE s.in_trial = x.in_trial) AS endpoints,
            coalesce(m.compliant, 0) AS compliant, coalesce(m.failing, 0) AS failing,
            coalesce(o.succeeded, 0) AS succeeded, coalesce(o.reverted, 0) AS reverted, coalesce(o.failed, 0) AS failed,
            coalesce(w.n, 0) AS "falsePositives"
       FROM (VALUES (true), (false)) AS x (in_trial) LEFT JOIN measured m USING (in_trial) LEFT JOIN orders o USING (in_trial)
       LEFT JOIN wrong w USING (in_trial)
      ORDER BY x.in_trial DESC`,
    [assignmentId],
  );
  const [trial, rest] = rows.map(({ in_trial: _, ...side }) => side) as [TrialSide, TrialSide];
  return { trial, rest };
}
