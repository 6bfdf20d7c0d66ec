/** Rules whose result changed on an endpoint while no change was at work there. */
import { type RuleResult, resultOf } from '../../domain/baseline/results.js';
import type { Queryable } from '../pool.js';
import { type Page, pageOf } from '../read/cursor.js';

export interface UnexplainedRuleChange {
  readonly endpointId: string;
  readonly endpoint: string;
  readonly checklist: string;
  readonly baseline: string;
  readonly rule: string;
  readonly title: string;
  readonly severity: string;
  readonly from: RuleResult | null;
  readonly to: RuleResult | null;
  readonly at: Date;
}

/** Newest first. @param args.after the last row's number on the page before */
export async function listUnexplainedRuleChanges(
  db: Queryable,
  args: { readonly endpointId: string | null; readonly after: number | null; readonly limit: number },
): Promise<Page<UnexplainedRuleChange>> {
  const { rows } = await db.query(
    `SELECT k.id, k.endpoint_id AS "endpointId", e.name AS endpoint, c.name AS checklist, b.name AS baseline,
            r.name AS rule, r.title, r.severity, k.before, k.after, k.at
       FROM rule_change k JOIN endpoint e ON e.id = k.endpoint_id
       JOIN checklist c ON c.id = k.checklist_id JOIN baseline_version v ON v.id = c.version_id JOIN baseline b ON b.id = v.baseline_id
       JOIN checklist_rule r ON r.checklist_id = k.checklist_id AND r.position = k.position
      WHERE k.change_id IS NULL AND ($1::uuid IS NULL OR k.endpoint_id = $1) AND ($2::bigint IS NULL OR k.id < $2)
      ORDER BY k.id DESC LIMIT $3`,
    [args.endpointId, args.after, args.limit + 1],
  );
  const page = pageOf(rows, args.limit, (row) => [row.id]);
  return {
    next: page.next,
    items: page.items.map(({ id: _, before, after, ...row }) => ({
      ...row,
      from: resultOf(before),
      to: resultOf(after),
    })),
  };
}
