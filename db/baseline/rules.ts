/** Rules of a version, and of a profile of it, as people look at them. */
import type { BaselineRule } from '../../domain/baseline/model.js';
import type { Queryable } from '../pool.js';
import { type Page, pageOf } from '../read/cursor.js';
import type { ChecklistRule } from './checklists.js';

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

/** Of these ids and short names those that no imported version of any baseline has a rule for. */
export async function unknownRules(db: Queryable, names: readonly string[]): Promise<string[]> {
  if (names.length === 0) return [];
  const { rows } = await db.query<{ name: string }>(
    `SELECT i.name FROM unnest($1::text[]) AS i (name)
      WHERE i.name NOT IN (SELECT n.name FROM baseline_rule b CROSS JOIN LATERAL (
                             VALUES (b.id), (b.name), (regexp_replace(b.id, '^xccdf_.*?_rule_', ''))) n (name))`,
    [[...new Set(names)]],
  );
  return rows.map((row) => row.name);
}

/** Of these ids and short names those that no checklist of these assignments has a rule for. */
export async function rulesNotAssigned(
  db: Queryable,
  args: { readonly names: readonly string[]; readonly assignments: readonly string[] },
): Promise<string[]> {
  if (args.names.length === 0) return [];
  const { rows } = await db.query<{ name: string }>(
    `SELECT DISTINCT i.name FROM unnest($1::text[]) AS i (name)
      WHERE i.name NOT IN (SELECT n.name FROM baseline_assignment a JOIN checklist_rule r ON r.checklist_id = a.checklist_id CROSS JOIN LATERAL (
                             VALUES (r.rule_id), (r.name), (regexp_replace(r.rule_id, '^xccdf_.*?_rule_', ''))) n (name)
                            WHERE a.name = ANY ($2))`,
    [args.names, args.assignments],
  );
  return rows.map((row) => row.name);
}

/** A rule as a checklist has it, with what its authors say and the script that would run. */
export interface RuleText extends ChecklistRule {
  readonly id: string;
  readonly description: string;
  readonly rationale: string;
  readonly warnings: readonly string[];
  readonly references: BaselineRule['references'];
  readonly script: string | null;
}

/** @param args.name as the checklist has it (unique there) */
export async function readRuleText(
  db: Queryable,
  args: { readonly checklistId: number; readonly name: string },
): Promise<RuleText | null> {
  const { rows } = await db.query(
    `SELECT r.position, r.rule_id AS id, r.rule_id AS "ruleId", r.name, r.title, r.severity, r.fix_sha256 AS "fixSha256",
            r.no_fix_reason AS "noFixReason", r.package_fix AS "packageFix", d.detail, f.body AS script
       FROM checklist_rule r JOIN checklist c ON c.id = r.checklist_id LEFT JOIN baseline_fix f ON f.sha256 = r.fix_sha256
       LEFT JOIN baseline_rule d ON d.version_id = c.version_id AND d.id = r.rule_id
      WHERE r.checklist_id = $1 AND r.name = $2`,
    [args.checklistId, args.name],
  );
  const [row] = rows;
  if (row === undefined) return null;
  const { detail, ...rule } = row;
  const { description = '', rationale = '', warnings = [], references = [] } = (detail ?? {}) as Partial<BaselineRule>;
  return { ...rule, description, rationale, warnings, references };
}
