/** A subset that is a step ahead, compared with the rest before it is widened. */
import type { SideRecord } from '../../domain/baseline/widening.js';
import type { Queryable } from '../pool.js';
import { loadFixableRules, type Side } from './failing-rules.js';
import { WRONG } from './false-positives.js';

/**
 * `succeeded`, `reverted` and `failed`: orders of remediations by how they ended, since the trial began (all of them where there is none). One that
 * was rolled back afterwards counts by its rollback: as reverted, as failed where that did not get it back, at work until then.
 */
export interface TrialSide extends SideRecord {
  readonly compliant: number;
  /** Failing rules over all of them, less those marked as wrong. */
  readonly failing: number;
  readonly falsePositives: number;
}

export interface TrialComparison {
  readonly trial: TrialSide;
  readonly rest: TrialSide;
}

/** SQL: what became of an order `o` of a change; of its newest revert order `r`, if there is one that was not taken back. Null: nothing is under way. */
const BECAME = `CASE WHEN r.state = 'reverted' THEN 'reverted' WHEN r.state = 'stalled' THEN 'failed'
                     WHEN r.phase <> 'done' THEN 'atWork' WHEN r.state IS NOT NULL THEN 'failed'
                     WHEN o.state IN ('succeeded', 'reverted') THEN o.state WHEN o.state IN ('failed', 'revertFailed', 'stalled') THEN 'failed'
                     WHEN o.phase <> 'done' AND o.started_at IS NOT NULL THEN 'atWork' END`;

/** Both sides of an assignment: its trial and the rest. */
export async function compareTrial(db: Queryable, assignmentId: string): Promise<TrialComparison> {
  const { rows } = await db.query(
    `WITH side AS MATERIALIZED (SELECT endpoint_id, checklist_id, in_trial, able FROM assessment_target WHERE assignment_id = $1),
     begun AS MATERIALIZED (SELECT coalesce(trial_since, '-infinity') AS at FROM baseline_assignment WHERE id = $1),
     ended AS (
       SELECT s.in_trial, ${BECAME} AS became, coalesce(r.settled_at, o.settled_at, 'infinity') >= b.at AS since
         FROM side s CROSS JOIN begun b JOIN order_state o ON o.endpoint_id = s.endpoint_id AND o.kind = 'change' AND NOT o.retried
         JOIN change c ON c.id = o.change_id AND c.kind = 'remediation'
         JOIN update_set u ON u.digest = o.content_digest JOIN checklist k ON k.id = s.checklist_id AND k.name = u.items -> 0 ->> 'source'
         LEFT JOIN LATERAL (SELECT n.* FROM (SELECT x.state, x.phase, x.settled_at FROM order_state x WHERE x.reverts = o.id ORDER BY x.attempt DESC LIMIT 1) n
                             WHERE n.state NOT IN ('withdrawn', 'superseded')) r ON true),
     orders AS (
       SELECT in_trial, (count(*) FILTER (WHERE became = 'succeeded' AND since))::int AS succeeded,
              (count(*) FILTER (WHERE became = 'reverted' AND since))::int AS reverted,
              (count(*) FILTER (WHERE became = 'failed' AND since))::int AS failed,
              (count(*) FILTER (WHERE became = 'atWork'))::int AS at_work
         FROM ended GROUP BY 1),
     measured AS (
       SELECT s.in_trial, (count(*) FILTER (WHERE m.assessed_at IS NOT NULL))::int AS measured,
              (count(*) FILTER (WHERE m.assessed_at IS NULL AND s.able))::int AS waiting,
              (count(*) FILTER (WHERE m.assessed_at IS NOT NULL AND m.failed + m.errors = coalesce(w.failed + w.errors, 0)))::int AS compliant,
              coalesce(sum(m.failed - coalesce(w.failed, 0)), 0)::int AS failing
         FROM side s LEFT JOIN assessment m USING (endpoint_id, checklist_id) LEFT JOIN ${WRONG} w USING (endpoint_id, checklist_id) GROUP BY 1),
     wrong AS (SELECT s.in_trial, count(*)::int AS n FROM side s JOIN false_positive f USING (endpoint_id, checklist_id) GROUP BY 1)
     SELECT x.in_trial, (SELECT count(*)::int FROM side s WHERE s.in_trial = x.in_trial) AS endpoints,
            coalesce(m.measured, 0) AS measured, coalesce(m.waiting, 0) AS waiting, coalesce(o.at_work, 0) AS "atWork",
            coalesce(m.compliant, 0) AS compliant, coalesce(m.failing, 0) AS failing,
            coalesce(o.succeeded, 0) AS succeeded, coalesce(o.reverted, 0) AS reverted, coalesce(o.failed, 0) AS failed,
            coalesce(w.n, 0) AS "falsePositives"
       FROM (VALUES (true), (false)) AS x (in_trial) LEFT JOIN measured m USING (in_trial) LEFT JOIN orders o USING (in_trial)
       LEFT JOIN wrong w USING (in_trial)
      ORDER BY x.in_trial DESC`,
    [assignmentId],
  );
  const fixable = async (side: Side) => (await loadFixableRules(db, { assignmentId, side })).length > 0;
  const [trial, rest] = rows.map(({ in_trial: _, ...side }) => side) as [TrialSide, TrialSide];
  return {
    trial: { ...trial, fixable: await fixable('trial') },
    rest: { ...rest, fixable: await fixable('rest') },
  };
}
