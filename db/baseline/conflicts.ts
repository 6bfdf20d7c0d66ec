/** Rules that several baselines of one endpoint want different things of: which assignment decides, and whose wish stands back. */
import { type Above, type RuleConflict, type RuleWish, ruleConflicts } from '../../domain/baseline/conflicts.js';
import type { Queryable } from '../pool.js';
import { type Page, pageOf } from '../read/cursor.js';

/** SQL: other targets `h` of a target's endpoint, with their assignments `ha`, that come before it and are not only observed. */
const before = (target: string, assignment: string): string => `
  assessment_target h JOIN baseline_assignment ha ON ha.id = h.assignment_id
  WHERE h.endpoint_id = ${target}.endpoint_id AND h.checklist_id <> ${target}.checklist_id AND h.mode <> 'observe'
    AND (ha.precedence > ${assignment}.precedence
         OR ha.precedence = ${assignment}.precedence AND ha.name COLLATE "C" < ${assignment}.name COLLATE "C")`;
const HIGHEST_FIRST = 'ha.precedence DESC, ha.name COLLATE "C"';

/** SQL: what comes first on a target's endpoint, as {@link Above}s from the highest. @param args aliases */
export const aboveOf = ({ target, assignment }: { readonly target: string; readonly assignment: string }): string => `
  (SELECT coalesce(jsonb_agg(jsonb_build_object('assignment', ha.name, 'checklist', (SELECT name FROM checklist WHERE id = h.checklist_id))
                             ORDER BY ${HIGHEST_FIRST}), '[]')
     FROM ${before(target, assignment)})`;

interface NamedWish extends RuleWish {
  /** Of its letter in texts of results. */
  readonly position: number;
  readonly name: string;
  readonly title: string;
  readonly severity: string;
}

/** By checklist, in the order of results. */
async function loadWishes(db: Queryable, checklists: readonly string[]): Promise<Map<string, NamedWish[]>> {
  const { rows } = await db.query<NamedWish & { checklist: string }>(
    `SELECT c.name AS checklist, r.rule_id AS "ruleId", r.position, r.name, r.title, r.severity, r.fix_sha256 AS "fixSha256", r.vals AS values
       FROM checklist c JOIN checklist_rule r ON r.checklist_id = c.id WHERE c.name = ANY ($1) ORDER BY c.name, r.position`,
    [checklists],
  );
  const found = new Map<string, NamedWish[]>(checklists.map((name) => [name, []]));
  for (const { checklist, ...wish } of rows) found.get(checklist)?.push(wish);
  return found;
}

/** Of each checklist that targets hold, or that comes before them there, its rules in the order of results. */
export async function loadRulesOf(
  db: Queryable,
  targets: readonly { readonly checklist: string; readonly above: readonly Above[] }[],
): Promise<(checklist: string) => readonly NamedWish[]> {
  const named = targets.flatMap(({ checklist, above }) => [checklist, ...above.map((one) => one.checklist)]);
  const wishes = await loadWishes(db, [...new Set(named)]);
  return (checklist) => wishes.get(checklist) ?? [];
}

export interface AssignmentConflict extends Omit<RuleConflict, 'ruleId'> {
  readonly id: string;
  readonly name: string;
  readonly title: string;
  readonly severity: string;
  /** On so many the other assignment decides. */
  readonly endpoints: number;
}

/**
 * Rules of an assignment that others decide somewhere, by the rule's name. Endpoints with the same assignments before this one are looked at once.
 * @param args.after rule's name and deciding assignment of the last row before
 */
export async function listConflicts(
  db: Queryable,
  args: { readonly assignmentId: string; readonly after: readonly [string, string] | null; readonly limit: number },
): Promise<Page<AssignmentConflict>> {
  const { rows: stacks } = await db.query<{ checklist: string; above: Above[]; endpoints: number }>(
    `SELECT k.name AS checklist, x.above, count(*)::int AS endpoints
       FROM assessment_target t JOIN baseline_assignment a ON a.id = t.assignment_id JOIN checklist k ON k.id = t.checklist_id
      CROSS JOIN LATERAL (SELECT ${aboveOf({ target: 't', assignment: 'a' })} AS above) x
      WHERE t.assignment_id = $1 AND x.above <> '[]' GROUP BY 1, 2`,
    [args.assignmentId],
  );
  const rulesOf = await loadRulesOf(db, stacks);
  const found = new Map<string, AssignmentConflict>();
  for (const { checklist, above, endpoints } of stacks) {
    const rules = rulesOf(checklist);
    const byId = new Map(rules.map((rule) => [rule.ruleId, rule]));
    for (const { ruleId: id, ...conflict } of ruleConflicts({ rules, above, rulesOf })) {
      const { name = '', title = '', severity = '' } = byId.get(id) ?? {};
      const key = keyOf([name, conflict.decidedBy]);
      const known = found.get(key)?.endpoints ?? 0;
      found.set(key, { id, name, title, severity, ...conflict, endpoints: known + endpoints });
    }
  }
  const { after, limit } = args;
  const rows = [...found]
    .filter(([key]) => after === null || key > keyOf(after))
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .slice(0, limit + 1)
    .map(([, one]) => one);
  return pageOf(rows, limit, (one) => [one.name, one.decidedBy]);
}

/** Neither holds a control character. */
const keyOf = ([rule, assignment]: readonly [string, string]): string => `${rule}\u0000${assignment}`;

/** Rules of a checklist that another assignment decides on this endpoint, by id. */
export async function conflictsOn(
  db: Queryable,
  args: { readonly endpointId: string; readonly checklistId: number },
): Promise<ReadonlyMap<string, RuleConflict>> {
  const { rows } = await db.query<{ checklist: string; above: Above[] }>(
    `SELECT k.name AS checklist, ${aboveOf({ target: 't', assignment: 'a' })} AS above
       FROM assessment_target t JOIN baseline_assignment a ON a.id = t.assignment_id JOIN checklist k ON k.id = t.checklist_id
      WHERE t.endpoint_id = $1 AND t.checklist_id = $2`,
    [args.endpointId, args.checklistId],
  );
  const [held] = rows;
  if (held === undefined || held.above.length === 0) return new Map();
  const rulesOf = await loadRulesOf(db, [held]);
  const found = ruleConflicts({ rules: rulesOf(held.checklist), above: held.above, rulesOf });
  return new Map(found.map((one) => [one.ruleId, one]));
}
