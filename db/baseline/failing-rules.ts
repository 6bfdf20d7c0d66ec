/** Rules that fail and that a remediation could put right, by endpoints alike in all that decides it: there are few such groups, however many endpoints. */
import { type Above, ruleConflicts } from '../../domain/baseline/conflicts.js';
import type { Queryable } from '../pool.js';
import { aboveOf, loadRulesOf } from './conflicts.js';

/** Of an assignment's targets: where it is enforced, its trial, or all that is not in the trial. */
export type Side = 'enforced' | 'trial' | 'rest';

const ON: Readonly<Record<Side, string>> = {
  enforced: `t.mode = 'enforce'`,
  trial: 't.in_trial',
  rest: 'NOT t.in_trial',
};

export interface FixableRules {
  readonly endpointIds: readonly string[];
  /** Never empty. */
  readonly rules: readonly { readonly ruleId: string; readonly name: string }[];
}

interface Alike {
  readonly endpointIds: string[];
  readonly checklist: string;
  readonly results: string;
  /** Positions of findings marked as wrong. */
  readonly wrong: number[];
  readonly above: Above[];
}

/** Rules that fail, have a fix, are not marked as wrong and that no other assignment decides. Exceptions are not looked at. */
export async function loadFixableRules(
  db: Queryable,
  args: { readonly assignmentId: string; readonly side: Side },
): Promise<readonly FixableRules[]> {
  const { rows } = await db.query<Alike>(
    `WITH wrong AS MATERIALIZED (
       SELECT f.endpoint_id, f.checklist_id, array_agg(f.position ORDER BY f.position) AS positions FROM false_positive f GROUP BY 1, 2)
     SELECT array_agg(t.endpoint_id) AS "endpointIds", k.name AS checklist, m.results, coalesce(w.positions, '{}') AS wrong,
            ${aboveOf({ target: 't', assignment: 'a' })} AS above
       FROM assessment_target t JOIN baseline_assignment a ON a.id = t.assignment_id JOIN checklist k ON k.id = t.checklist_id
       JOIN assessment m ON (m.endpoint_id, m.checklist_id) = (t.endpoint_id, t.checklist_id)
       LEFT JOIN wrong w ON (w.endpoint_id, w.checklist_id) = (t.endpoint_id, t.checklist_id)
      WHERE t.assignment_id = $1 AND ${ON[args.side]} AND m.failed > 0 GROUP BY 2, 3, 4, 5`,
    [args.assignmentId],
  );
  const rulesOf = await loadRulesOf(db, rows);
  const decided = remembered(({ checklist, above }: Alike) => {
    const found = ruleConflicts({ rules: rulesOf(checklist), above, rulesOf });
    return new Set(found.map(({ ruleId }) => ruleId));
  });
  return rows.flatMap((alike): FixableRules[] => {
    const elsewhere = decided(alike);
    const rules = rulesOf(alike.checklist).filter(
      ({ ruleId, position, fixSha256 }) =>
        fixSha256 !== null &&
        alike.results[position] === 'f' &&
        !alike.wrong.includes(position) &&
        !elsewhere.has(ruleId),
    );
    return rules.length === 0 ? [] : [{ endpointIds: alike.endpointIds, rules }];
  });
}

/** Once per checklist and what comes before it, and not per text of results. */
function remembered<T>(work: (alike: Alike) => T): (alike: Alike) => T {
  const known = new Map<string, T>();
  return (alike) => {
    const key = JSON.stringify([alike.checklist, alike.above]);
    const found = known.get(key) ?? work(alike);
    known.set(key, found);
    return found;
  };
}
