/** Rules of a version, and of a profile of it, as people look at them. */
import type { BaselineRule } from '../../domain/baseline/model.js';
import type { Queryable } from '../pool.js';
import { type Page, pageOf } from '../read/cursor.js';

export interface RuleRow extends BaselineRule {
  readonly number: number;
  readonly name: string;
}

/** Rules in the benchmark's order. */
export async function listRules(
  db: Queryable,
  args: {
    readonly versionId: string;
    /** Only these numbers; null: all. */
    readonly numbers: readonly number[] | null;
    readonly severity: string | null;
    readonly after: number | null;
    readonly limit: number;
  },
): Promise<Page<RuleRow>> {
  const { rows } = await db.query(
    `SELECT number, id, name, title, severity, detail FROM baseline_rule
      WHERE version_id = $1 AND ($2::smallint[] IS NULL OR number = ANY ($2)) AND ($3::text IS NULL OR severity = $3)
        AND ($4::int IS NULL OR number > $4) ORDER BY number LIMIT $5`,
    [args.versionId, args.numbers, args.severity, args.after, args.limit + 1],
  );
  return pageOf(
    rows.map(({ detail, ...rest }) => ({ ...rest, ...detail }) as RuleRow),
    args.limit,
    (row) => [row.number],
  );
}
