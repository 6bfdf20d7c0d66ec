/** How the fleet stands by its baselines, as the console's first page of compliance has it: one row per assignment. */
import type { Mode } from '../../domain/baseline/assignment.js';
import type { Selector } from '../../domain/fleet/selector.js';
import type { EpochMs } from '../../domain/time.js';
import { WRONG } from '../baseline/false-positives.js';
import type { Queryable } from '../pool.js';

/** How far back "lately" goes, days. */
export const LATELY_DAYS = 7;

/** How endpoints stand. The first four add up to all of them; findings marked as wrong count in none. */
export interface Standing {
  readonly endpoints: number;
  readonly passing: number;
  /** A rule fails. */
  readonly failing: number;
  /** No rule fails, but the scanner could not tell of some. */
  readonly erring: number;
  readonly unmeasured: number;
  /** The newest try gave no answer; they stand as they did before. */
  readonly unanswered: number;
  /** Rules that fail, over all endpoints. */
  readonly findings: number;
  readonly falsePositives: number;
  /** When the one was measured that was measured longest ago. */
  readonly oldest: Date | null;
}

/** SQL of a standing, over `assessment_target t LEFT JOIN assessment m LEFT JOIN wrong w`. */
const STANDING = `count(*)::int AS endpoints,
  (count(*) FILTER (WHERE m.assessed_at IS NOT NULL AND m.failed + m.errors = coalesce(w.failed + w.errors, 0)))::int AS passing,
  (count(*) FILTER (WHERE m.assessed_at IS NOT NULL AND m.failed > coalesce(w.failed, 0)))::int AS failing,
  (count(*) FILTER (WHERE m.assessed_at IS NOT NULL AND m.failed = coalesce(w.failed, 0) AND m.errors > coalesce(w.errors, 0)))::int AS erring,
  (count(*) FILTER (WHERE m.assessed_at IS NULL))::int AS unmeasured, (count(*) FILTER (WHERE m.problem IS NOT NULL))::int AS unanswered,
  coalesce(sum(m.failed - coalesce(w.failed, 0)), 0)::int AS findings, coalesce(sum(w.failed + w.errors), 0)::int AS "falsePositives",
  min(m.assessed_at) AS oldest`;
const TARGETS = `assessment_target t LEFT JOIN assessment m USING (endpoint_id, checklist_id) LEFT JOIN ${WRONG} w USING (endpoint_id, checklist_id)`;
const NOBODY: Standing = {
  ...{ endpoints: 0, passing: 0, failing: 0, erring: 0, unmeasured: 0, unanswered: 0, findings: 0, falsePositives: 0 },
  oldest: null,
};

export interface AssignmentStanding extends Standing {
  readonly name: string;
  readonly baseline: string;
  readonly version: number;
  /** Of the baseline; a newer one than the assignment's changes nothing by itself. */
  readonly newestVersion: number;
  readonly profile: string;
  readonly checklist: string;
  readonly tailored: boolean;
  readonly appliesTo: Selector;
  readonly mode: Mode;
  readonly trial: { readonly mode: Mode; readonly appliesTo: Selector } | null;
  readonly inTrial: number;
  /** Rules that began to fail since `since`, over all endpoints, and that no longer do. */
  readonly worse: number;
  readonly better: number;
}

/** Assignments by name, with how their endpoints stand and what has changed since. A few sums over rows that hold their counts. */
export async function readOverview(db: Queryable, since: EpochMs): Promise<AssignmentStanding[]> {
  const { rows } = await db.query<AssignmentStanding & { none: boolean; assignment_id: string | null }>(
    `WITH n AS (SELECT t.assignment_id, (count(*) FILTER (WHERE t.in_trial))::int AS "inTrial", ${STANDING} FROM ${TARGETS} GROUP BY 1),
     moved AS (
       SELECT t.assignment_id, (count(*) FILTER (WHERE x.after = 'f'))::int AS worse, (count(*) FILTER (WHERE x.before = 'f'))::int AS better
         FROM rule_change x JOIN assessment_target t USING (endpoint_id, checklist_id)
        WHERE x.at >= to_timestamp($1 / 1000.0) AND (x.after = 'f' OR x.before = 'f') GROUP BY 1)
     SELECT a.name, b.name AS baseline, v.number AS version, c.profile, c.name AS checklist, c.tailoring IS NOT NULL AS tailored,
            (SELECT max(number) FROM baseline_version x WHERE x.baseline_id = b.id) AS "newestVersion", a.applies_to AS "appliesTo", a.mode, a.trial,
            n.*, n.endpoints IS NULL AS none, coalesce(n."inTrial", 0) AS "inTrial", coalesce(d.worse, 0) AS worse, coalesce(d.better, 0) AS better
       FROM baseline_assignment a JOIN checklist c ON c.id = a.checklist_id JOIN baseline_version v ON v.id = c.version_id
       JOIN baseline b ON b.id = a.baseline_id LEFT JOIN n ON n.assignment_id = a.id LEFT JOIN moved d ON d.assignment_id = a.id
      ORDER BY a.name`,
    [since],
  );
  return rows.map(({ none, assignment_id: _, ...row }) => (none ? { ...row, ...NOBODY } : row));
}

/** How the endpoints stand that are measured by a checklist. */
export async function readStanding(db: Queryable, checklistId: number): Promise<Standing> {
  const { rows } = await db.query<Standing>(`SELECT ${STANDING} FROM ${TARGETS} WHERE t.checklist_id = $1`, [
    checklistId,
  ]);
  return rows[0] ?? NOBODY;
}
