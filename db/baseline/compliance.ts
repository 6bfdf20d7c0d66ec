/** What was found, for one endpoint and for all of them. */

import type { RuleConflict } from '../../domain/baseline/conflicts.js';
import type { PackageMove } from '../../domain/baseline/package-fix.js';
import { type ResultCounts, type RuleResult, resultOf } from '../../domain/baseline/results.js';
import type { Queryable } from '../pool.js';
import { loadChecklistRules } from './checklists.js';
import { conflictsOn } from './conflicts.js';
import { WRONG } from './false-positives.js';

/** Findings marked as wrong count as neither failing nor error. */
export interface Counts extends ResultCounts {
  readonly falsePositives: number;
}

export interface EndpointAssessment extends Counts {
  readonly checklist: string;
  readonly baseline: string;
  readonly version: number;
  readonly profile: string;
  /** Null: nothing assigns it any more. */
  readonly assignment: string | null;
  readonly mode: string | null;
  readonly assessedAt: Date | null;
  readonly problem: string | null;
  readonly problemAt: Date | null;
  /** Asked for, and not answered yet. */
  readonly wanted: boolean;
}

/** By assignment precedence, what holds no more last. */
export async function listEndpointAssessments(db: Queryable, endpointId: string): Promise<EndpointAssessment[]> {
  const { rows } = await db.query<EndpointAssessment>(
    `SELECT c.name AS checklist, b.name AS baseline, v.number AS version, c.profile, a.name AS assignment, t.mode,
            m.assessed_at AS "assessedAt", m.problem, m.problem_at AS "problemAt",
            coalesce(t.wanted_at IS NOT NULL OR t.order_id IS NOT NULL, false) AS wanted, coalesce(m.passed, 0) AS pass,
            coalesce(m.failed, 0) - coalesce(w.failed, 0) AS fail, coalesce(m.errors, 0) - coalesce(w.errors, 0) AS error,
            coalesce(w.failed + w.errors, 0) AS "falsePositives", coalesce(m.not_applicable, 0) AS "notApplicable",
            coalesce(m.not_checked, 0) AS "notChecked"
       FROM (SELECT endpoint_id, checklist_id FROM assessment_target WHERE endpoint_id = $1
              UNION SELECT endpoint_id, checklist_id FROM assessment WHERE endpoint_id = $1) k
       JOIN checklist c ON c.id = k.checklist_id JOIN baseline_version v ON v.id = c.version_id JOIN baseline b ON b.id = v.baseline_id
       LEFT JOIN assessment_target t ON t.endpoint_id = $1 AND t.checklist_id = k.checklist_id
       LEFT JOIN baseline_assignment a ON a.id = t.assignment_id
       LEFT JOIN assessment m ON m.endpoint_id = $1 AND m.checklist_id = k.checklist_id
       LEFT JOIN ${WRONG} w ON w.endpoint_id = $1 AND w.checklist_id = k.checklist_id
      ORDER BY a.precedence DESC NULLS LAST, c.name`,
    [endpointId],
  );
  return rows;
}

export interface EndpointRule {
  readonly id: string;
  readonly name: string;
  readonly title: string;
  readonly severity: string;
  readonly result: RuleResult;
  readonly since: Date;
  /** Who decides it here, wanting something else; null: nobody but this checklist. */
  readonly conflict: Pick<RuleConflict, 'decidedBy' | 'values'> | null;
  /** Why the finding is wrong here, and who says so; null: nobody does. */
  readonly falsePositive: { readonly reason: string; readonly by: string; readonly at: Date } | null;
  readonly packageFix: PackageMove | null;
  /** Why nothing remediates it; null: a fix does. */
  readonly noFixReason: string | null;
}

/** Each rule's result and since when it has it; null when the endpoint was never measured by it. */
export async function listEndpointRules(
  db: Queryable,
  args: { readonly endpointId: string; readonly checklistId: number },
): Promise<EndpointRule[] | null> {
  const { rows } = await db.query(
    `SELECT results, first_at FROM assessment WHERE endpoint_id = $1 AND checklist_id = $2 AND results <> ''`,
    [args.endpointId, args.checklistId],
  );
  const [found] = rows;
  if (found === undefined) return null;
  const [rules, conflicts, since, wrong] = await Promise.all([
    loadChecklistRules(db, [args.checklistId]),
    conflictsOn(db, args),
    db.query(
      `SELECT position, max(at) AS at FROM rule_change WHERE endpoint_id = $1 AND checklist_id = $2 GROUP BY position`,
      [args.endpointId, args.checklistId],
    ),
    db.query(
      'SELECT position, reason, marked_by AS by, marked_at AS at FROM false_positive WHERE endpoint_id = $1 AND checklist_id = $2',
      [args.endpointId, args.checklistId],
    ),
  ]);
  const wrongOf = new Map(wrong.rows.map(({ position, ...mark }) => [position, mark]));
  const sinceOf = new Map(since.rows.map((row) => [row.position, row.at as Date]));
  return (rules.get(args.checklistId) ?? []).flatMap(({ position, ruleId: id, fixSha256: _, ...rule }) => {
    const result = resultOf(found.results[position] ?? '');
    return result === null
      ? []
      : [
          {
            id,
            ...rule,
            result,
            since: sinceOf.get(position) ?? found.first_at,
            conflict: conflictOf(conflicts.get(id)),
            falsePositive: wrongOf.get(position) ?? null,
          },
        ];
  });
}

const conflictOf = (found: RuleConflict | undefined): EndpointRule['conflict'] =>
  found === undefined ? null : { decidedBy: found.decidedBy, values: found.values };

export interface FleetCompliance {
  readonly checklist: string;
  readonly baseline: string;
  readonly version: number;
  readonly profile: string;
  readonly endpoints: number;
  /** Endpoints on which no rule fails or ends in an error. */
  readonly compliant: number;
  readonly unanswered: number;
  /** Why this release could not read its fixes anew; null: it could. */
  readonly fixesProblem: string | null;
  readonly results: Counts;
}

/** Per checklist, over all endpoints it holds for. Rows hold their counts, so no results are read. */
export async function fleetCompliance(db: Queryable): Promise<FleetCompliance[]> {
  const { rows } = await db.query(
    `SELECT c.name AS checklist, b.name AS baseline, v.number AS version, c.profile, c.fixes_problem, n.*
       FROM (SELECT t.checklist_id, count(*)::int AS endpoints,
                    count(*) FILTER (WHERE m.assessed_at IS NOT NULL AND m.failed + m.errors = coalesce(w.failed + w.errors, 0))::int AS compliant,
                    count(*) FILTER (WHERE m.assessed_at IS NULL OR m.problem IS NOT NULL)::int AS unanswered,
                    coalesce(sum(m.passed), 0)::int AS pass, coalesce(sum(m.failed - coalesce(w.failed, 0)), 0)::int AS fail,
                    coalesce(sum(m.errors - coalesce(w.errors, 0)), 0)::int AS error, coalesce(sum(w.failed + w.errors), 0)::int AS wrong,
                    coalesce(sum(m.not_applicable), 0)::int AS not_applicable, coalesce(sum(m.not_checked), 0)::int AS not_checked
               FROM assessment_target t
               LEFT JOIN assessment m ON m.endpoint_id = t.endpoint_id AND m.checklist_id = t.checklist_id
               LEFT JOIN ${WRONG} w ON w.endpoint_id = t.endpoint_id AND w.checklist_id = t.checklist_id GROUP BY 1) n
       JOIN checklist c ON c.id = n.checklist_id JOIN baseline_version v ON v.id = c.version_id JOIN baseline b ON b.id = v.baseline_id
      ORDER BY c.name`,
  );
  return rows.map((row) => ({
    checklist: row.checklist,
    baseline: row.baseline,
    version: row.version,
    profile: row.profile,
    endpoints: row.endpoints,
    compliant: row.compliant,
    unanswered: row.unanswered,
    fixesProblem: row.fixes_problem,
    results: {
      pass: row.pass,
      fail: row.fail,
      error: row.error,
      falsePositives: row.wrong,
      notApplicable: row.not_applicable,
      notChecked: row.not_checked,
    },
  }));
}
