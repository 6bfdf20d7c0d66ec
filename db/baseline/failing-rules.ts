/** Rules that fail and that a remediation could put right. */
import { decidedElsewhere } from './conflicts.js';

/**
 * SQL from FROM on: targets `t` with their results `m` and rules `r` that fail, have a fix, are not marked as wrong and that no other assignment
 * decides. Exceptions are not looked at: selectors are no SQL.
 * @param which SQL condition on `t`
 */
export const failingRules = (which: string): string => `
  FROM assessment_target t JOIN assessment m USING (endpoint_id, checklist_id) JOIN checklist_rule r ON r.checklist_id = t.checklist_id
  WHERE ${which} AND m.failed > 0 AND r.fix_sha256 IS NOT NULL AND substr(m.results, r.position + 1, 1) = 'f'
    AND NOT EXISTS (SELECT FROM false_positive f
                     WHERE f.checklist_id = t.checklist_id AND f.position = r.position AND f.endpoint_id = t.endpoint_id)
    AND NOT ${decidedElsewhere({ target: 't', rule: 'r' })}`;
