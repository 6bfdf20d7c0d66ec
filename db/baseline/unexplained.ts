/** Rules whose result changed on an endpoint, and no change at work there explains it. */
import { type RuleResult, resultOf } from '../../domain/baseline/results.js';
import type { EpochMs } from '../../domain/time.js';
import type { Queryable } from '../pool.js';
import { type Page, pageOf } from '../read/cursor.js';

export interface UnexplainedRuleChange {
  readonly id: number;
  readonly endpointId: string;
  readonly endpoint: string;
  readonly checklist: string;
  readonly baseline: string;
  readonly rule: string;
  readonly title: string;
  readonly severity: string;
  readonly from: RuleResult | null;
  readonly to: RuleResult | null;
  /** The assessment that found it. */
  readonly at: Date;
  /** What a person says it was. */
  readonly explanation: string | null;
  readonly explainedBy: string | null;
  readonly explainedAt: Date | null;
}

/** Newest first. @param args.explained whether a person has said what it was; null: both. @param args.after the last row's number on the page before */
export async function listUnexplainedRuleChanges(
  db: Queryable,
  args: {
    readonly endpointId: string | null;
    readonly explained: boolean | null;
    readonly after: number | null;
    readonly limit: number;
  },
): Promise<Page<UnexplainedRuleChange>> {
  const { rows } = await db.query(
    `SELECT k.id, k.endpoint_id AS "endpointId", e.name AS endpoint, c.name AS checklist, b.name AS baseline,
            r.name AS rule, r.title, r.severity, k.before, k.after, k.at, k.explanation, coalesce(p.name, k.explained_by) AS "explainedBy",
            k.explained_at AS "explainedAt"
       FROM rule_change k JOIN endpoint e ON e.id = k.endpoint_id
       JOIN checklist c ON c.id = k.checklist_id JOIN baseline_version v ON v.id = c.version_id JOIN baseline b ON b.id = v.baseline_id
       JOIN checklist_rule r ON r.checklist_id = k.checklist_id AND r.position = k.position
       LEFT JOIN account p ON p.id::text = k.explained_by
      WHERE k.change_id IS NULL AND ($1::uuid IS NULL OR k.endpoint_id = $1) AND ($2::bigint IS NULL OR k.id < $2)
        AND ($4::boolean IS NULL OR (k.explained_at IS NOT NULL) = $4)
      ORDER BY k.id DESC LIMIT $3`,
    [args.endpointId, args.after, args.limit + 1, args.explained],
  );
  const page = pageOf(rows, args.limit, (row) => [row.id]);
  return {
    next: page.next,
    items: page.items.map(({ before, after, ...row }) => ({ ...row, from: resultOf(before), to: resultOf(after) })),
  };
}

/** A person says what it was. @returns where that is; null: there is no such change, or an order explains it */
export async function explainRuleChange(
  client: Queryable,
  args: { readonly id: number; readonly by: string; readonly explanation: string; readonly now: EpochMs },
): Promise<{ readonly endpointId: string; readonly rule: string } | null> {
  const { rows } = await client.query(
    `UPDATE rule_change k SET explained_by = $2, explanation = $3, explained_at = to_timestamp($4 / 1000.0)
       FROM checklist_rule r
      WHERE k.id = $1 AND k.change_id IS NULL AND r.checklist_id = k.checklist_id AND r.position = k.position
     RETURNING k.endpoint_id AS "endpointId", r.name AS rule`,
    [args.id, args.by, args.explanation, args.now],
  );
  return rows[0] ?? null;
}
