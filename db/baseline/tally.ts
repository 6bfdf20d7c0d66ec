/** Per rule of a checklist, on how many endpoints it passes and fails. */
import type { PackageMove } from '../../domain/baseline/package-fix.js';
import { codeOf } from '../../domain/baseline/results.js';
import type { Queryable } from '../pool.js';
import { loadChecklistRules } from './checklists.js';

export interface RuleTally {
  readonly id: string;
  readonly name: string;
  readonly title: string;
  readonly severity: string;
  readonly pass: number;
  readonly fail: number;
  readonly error: number;
  readonly packageFix: PackageMove | null;
  /** Why nothing remediates it; null: a fix does. */
  readonly noFixReason: string | null;
}

/** Positions of a checklist with their counts; findings marked as wrong don't count. */
interface Counted {
  /** Of what they were counted of. */
  readonly stamp: string;
  readonly pass: Int32Array;
  readonly fail: Int32Array;
  readonly error: Int32Array;
}

/** The newest counts of each checklist: they are counted anew when a result, a mark or who is measured has changed, and not for each look. */
const counted = new Map<number, Counted>();
const MOST_KEPT = 200;

export async function tallyRules(db: Queryable, checklistId: number): Promise<RuleTally[]> {
  const [rules, { rows }] = await Promise.all([
    loadChecklistRules(db, [checklistId]),
    // A result that changes counts the revision up. What changes after this was read has another stamp next time.
    db.query<{ stamp: string }>(
      `SELECT (SELECT count(*) || ' ' || coalesce(sum(hashtextextended(m.endpoint_id || ' ' || m.revision, 0)), 0)
                 FROM assessment_target t JOIN assessment m USING (endpoint_id, checklist_id) WHERE t.checklist_id = $1 AND m.assessed_at IS NOT NULL)
              || ' ' || (SELECT count(*) || ' ' || coalesce(sum(hashtextextended(endpoint_id || ' ' || position, 0)), 0)
                           FROM false_positive WHERE checklist_id = $1) AS stamp`,
      [checklistId],
    ),
  ]);
  const list = rules.get(checklistId) ?? [];
  const stamp = `${list.length} ${rows[0]?.stamp}`;
  const known = counted.get(checklistId);
  const counts =
    known?.stamp === stamp ? known : { stamp, ...(await countByRule(db, { checklistId, width: list.length })) };
  counted.delete(checklistId);
  counted.set(checklistId, counts);
  for (const oldest of counted.keys()) if (counted.size > MOST_KEPT) counted.delete(oldest);
  return list.map(({ position, ruleId: id, fixSha256: _, ...rule }) => ({
    id,
    ...rule,
    pass: counts.pass[position] ?? 0,
    fail: counts.fail[position] ?? 0,
    error: counts.error[position] ?? 0,
  }));
}

/** Endpoints with the same results travel as one: most of a fleet is alike. */
async function countByRule(
  db: Queryable,
  { checklistId, width }: { readonly checklistId: number; readonly width: number },
): Promise<Omit<Counted, 'stamp'>> {
  const [{ rows }, wrong] = await Promise.all([
    db.query<{ results: string; endpoints: number }>(
      `SELECT m.results, count(*)::int AS endpoints FROM assessment_target t JOIN assessment m USING (endpoint_id, checklist_id)
        WHERE t.checklist_id = $1 AND m.results <> '' GROUP BY 1`,
      [checklistId],
    ),
    db.query<{ position: number; code: string; n: number }>(
      `SELECT f.position, substr(m.results, f.position + 1, 1) AS code, count(*)::int AS n FROM false_positive f
         JOIN assessment m USING (endpoint_id, checklist_id) JOIN assessment_target t USING (endpoint_id, checklist_id)
        WHERE f.checklist_id = $1 GROUP BY 1, 2`,
      [checklistId],
    ),
  ]);
  const counts = { pass: new Int32Array(width), fail: new Int32Array(width), error: new Int32Array(width) };
  const add = (of: Int32Array, position: number, n: number): void => {
    of[position] = (of[position] ?? 0) + n;
  };
  for (const { results, endpoints } of rows)
    for (let position = 0; position < width; position++) {
      const code = results.charCodeAt(position);
      if (code === PASS || code === FIXED) add(counts.pass, position, endpoints);
      else if (code === FAIL) add(counts.fail, position, endpoints);
      else if (code === ERROR || code === UNKNOWN) add(counts.error, position, endpoints);
    }
  for (const { position, code, n } of wrong.rows) {
    if (code === 'f') add(counts.fail, position, -n);
    else if (code === 'e' || code === 'u') add(counts.error, position, -n);
  }
  return counts;
}

const [PASS, FIXED, FAIL, ERROR, UNKNOWN] = (['pass', 'fixed', 'fail', 'error', 'unknown'] as const).map((result) =>
  codeOf(result).charCodeAt(0),
);
