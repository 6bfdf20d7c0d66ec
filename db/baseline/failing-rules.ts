/** Rules that fail and that a remediation could put right. */
import { comesFirst, HIGHEST_FIRST } from './conflicts.js';

/**
 * SQL: a list of WITH queries of which the last, `failing`, has endpoint_id, in_trial, rule_id and name of rules that fail by the assignment $1, have a fix,
 * are not marked as wrong and that no other assignment decides (as domain/baseline/conflicts.ts says). Exceptions are not looked at: selectors are no SQL.
 *
 * Looked at once are endpoints that are alike, not each rule of each: `alike` are those with the same results and the same assignments that come first.
 * @param which SQL condition on targets `t`
 */
export const failingRules = (which: string): string => `
  first AS MATERIALIZED (
    SELECT h.endpoint_id, array_agg(h.checklist_id ORDER BY ${HIGHEST_FIRST}) AS checklists
      FROM baseline_assignment own JOIN baseline_assignment ha ON ${comesFirst('own')}
      JOIN assessment_target h ON h.assignment_id = ha.id AND h.mode <> 'observe'
     WHERE own.id = $1 GROUP BY 1),
  measured_by AS MATERIALIZED (
    SELECT t.endpoint_id, t.checklist_id, t.in_trial, m.results, coalesce(f.checklists, '{}') AS above
      FROM assessment_target t JOIN assessment m USING (endpoint_id, checklist_id) LEFT JOIN first f ON f.endpoint_id = t.endpoint_id
     WHERE t.assignment_id = $1 AND ${which} AND m.failed > 0),
  alike AS MATERIALIZED (
    SELECT DISTINCT checklist_id, results, above FROM measured_by),
  deciding AS MATERIALIZED (
    SELECT DISTINCT ON (s.checklist_id, s.above, r.position) s.checklist_id, s.above, r.position,
           d.vals <> r.vals OR coalesce(d.fix_sha256 <> r.fix_sha256, false) AS differs
      FROM (SELECT DISTINCT checklist_id, above FROM alike) s CROSS JOIN LATERAL unnest(s.above) WITH ORDINALITY AS h (checklist_id, rank)
      JOIN checklist_rule r ON r.checklist_id = s.checklist_id
      JOIN checklist_rule d ON d.checklist_id = h.checklist_id AND d.rule_id = r.rule_id
     ORDER BY s.checklist_id, s.above, r.position, h.rank),
  fixable AS MATERIALIZED (
    SELECT a.checklist_id, a.results, a.above, r.position, r.rule_id, r.name FROM alike a JOIN checklist_rule r USING (checklist_id)
     WHERE r.fix_sha256 IS NOT NULL AND substr(a.results, r.position + 1, 1) = 'f'
       AND NOT EXISTS (SELECT FROM deciding d WHERE d.differs AND d.checklist_id = a.checklist_id AND d.above = a.above AND d.position = r.position)),
  failing AS (
    SELECT t.endpoint_id, t.in_trial, r.rule_id, r.name
      FROM measured_by t JOIN fixable r ON r.checklist_id = t.checklist_id AND r.results = t.results AND r.above = t.above
     WHERE NOT EXISTS (SELECT FROM false_positive f
                        WHERE f.checklist_id = t.checklist_id AND f.position = r.position AND f.endpoint_id = t.endpoint_id))`;
