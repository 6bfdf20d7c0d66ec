/** Which endpoints are measured by which checklist, in which mode. */
import { randomUUID } from 'node:crypto';
import type { PoolClient } from 'pg';
import type { Mode } from '../../domain/baseline/assignment.js';
import type { Selector } from '../../domain/fleet/selector.js';
import type { EpochMs } from '../../domain/time.js';
import type { Queryable } from '../pool.js';

export interface AssignmentRow {
  readonly id: string;
  readonly name: string;
  readonly baseline: string;
  readonly version: number;
  readonly profile: string;
  readonly checklistId: number;
  readonly checklist: string;
  readonly tailored: boolean;
  readonly appliesTo: Selector;
  readonly precedence: number;
  readonly mode: Mode;
  readonly trial: { readonly mode: Mode; readonly appliesTo: Selector } | null;
  readonly critical: readonly string[];
  /** domain/baseline/enforcement.ts; null: it makes no changes by itself. */
  readonly enforcement: unknown;
  /** Since when the trial runs, as it is; null: there is none. */
  readonly trialSince: Date | null;
  readonly editedBy: string;
  readonly editedAt: Date;
}

const COLUMNS = `a.id, a.name, b.name AS baseline, v.number AS version, c.profile, c.id AS "checklistId", c.name AS checklist,
  c.tailoring IS NOT NULL AS tailored, a.applies_to AS "appliesTo", a.precedence, a.mode, a.trial, a.critical, a.enforcement,
  a.trial_since AS "trialSince", a.edited_by AS "editedBy", a.edited_at AS "editedAt"`;
const FROM = `baseline_assignment a JOIN checklist c ON c.id = a.checklist_id JOIN baseline_version v ON v.id = c.version_id
  JOIN baseline b ON b.id = a.baseline_id`;

/** By name. */
export async function listAssignments(db: Queryable): Promise<AssignmentRow[]> {
  const { rows } = await db.query<AssignmentRow>(`SELECT ${COLUMNS} FROM ${FROM} ORDER BY a.name`);
  return rows;
}

/** @param options.lock take the row's lock until the transaction ends */
export async function findAssignment(
  db: Queryable,
  name: string,
  options: { readonly lock?: boolean } = {},
): Promise<AssignmentRow | null> {
  const lock = options.lock === true ? 'FOR UPDATE OF a' : '';
  const { rows } = await db.query<AssignmentRow>(`SELECT ${COLUMNS} FROM ${FROM} WHERE a.name = $1 ${lock}`, [name]);
  return rows[0] ?? null;
}

/** Of these names those that no assignment has. */
export async function unknownAssignments(db: Queryable, names: readonly string[]): Promise<string[]> {
  if (names.length === 0) return [];
  const { rows } = await db.query<{ name: string }>(
    'SELECT DISTINCT i.name FROM unnest($1::text[]) AS i (name) WHERE NOT EXISTS (SELECT FROM baseline_assignment a WHERE a.name = i.name)',
    [names],
  );
  return rows.map((row) => row.name);
}

/** Makes or replaces an assignment. */
export async function putAssignment(
  client: PoolClient,
  args: {
    readonly name: string;
    readonly baselineId: string;
    readonly checklistId: number;
    readonly appliesTo: Selector;
    readonly precedence: number;
    readonly mode: Mode;
    readonly trial: AssignmentRow['trial'];
    readonly critical: readonly string[];
    readonly enforcement: unknown;
    readonly by: string;
    readonly now: EpochMs;
  },
): Promise<void> {
  await client.query(
    `INSERT INTO baseline_assignment (id, name, baseline_id, checklist_id, applies_to, precedence, mode, trial, critical, edited_by, edited_at, enforcement, trial_since)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, to_timestamp($11 / 1000.0), $12, CASE WHEN $8::jsonb IS NOT NULL THEN to_timestamp($11 / 1000.0) END)
     ON CONFLICT (name) DO UPDATE SET baseline_id = excluded.baseline_id, checklist_id = excluded.checklist_id,
       applies_to = excluded.applies_to, precedence = excluded.precedence, mode = excluded.mode, trial = excluded.trial,
       critical = excluded.critical, edited_by = excluded.edited_by, edited_at = excluded.edited_at, enforcement = excluded.enforcement,
       trial_since = CASE WHEN (baseline_assignment.trial, baseline_assignment.checklist_id) IS NOT DISTINCT FROM (excluded.trial, excluded.checklist_id)
                          THEN baseline_assignment.trial_since ELSE excluded.trial_since END`,
    [
      randomUUID(),
      args.name,
      args.baselineId,
      args.checklistId,
      JSON.stringify(args.appliesTo),
      args.precedence,
      args.mode,
      args.trial === null ? null : JSON.stringify(args.trial),
      args.critical,
      args.by,
      args.now,
      args.enforcement === null ? null : JSON.stringify(args.enforcement),
    ],
  );
}

/** @returns whether there was one */
export async function deleteAssignment(client: PoolClient, name: string): Promise<boolean> {
  const { rowCount } = await client.query('DELETE FROM baseline_assignment WHERE name = $1', [name]);
  return rowCount === 1;
}
