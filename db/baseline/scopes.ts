/** What orders say of a checklist. */
import type { BaselineScope } from '../../protocol/messages.js';
import type { Queryable } from '../pool.js';

export interface ChecklistScope {
  readonly id: number;
  readonly scope: Omit<BaselineScope, 'rules' | 'critical' | 'handOver'>;
  /** Rule id by the name it has in updates. */
  readonly ruleIds: ReadonlyMap<string, string>;
}

/** By the checklist's name, which is the `source` of its rules in update sets; those whose bytes endpoints can't have yet are left out. */
export async function loadScopes(
  db: Queryable,
  by: { readonly names: readonly string[] } | { readonly ids: readonly number[] },
): Promise<Map<string, ChecklistScope>> {
  const { rows } = await db.query(
    `SELECT c.id, c.name, c.digest, c.scanner_profile, c.tailoring_sha256, c.tailoring_size, v.sha256, v.size,
            jsonb_object_agg(r.name, r.rule_id) AS rules
       FROM checklist c JOIN baseline_version v ON v.id = c.version_id JOIN checklist_rule r ON r.checklist_id = c.id
      WHERE (c.name = ANY ($1::text[]) OR c.id = ANY ($2::int[])) AND v.stored_at IS NOT NULL
        AND (c.tailoring_sha256 IS NULL OR c.stored_at IS NOT NULL)
      GROUP BY c.id, v.id`,
    ['names' in by ? by.names : [], 'ids' in by ? by.ids : []],
  );
  return new Map(
    rows.map((row) => [
      row.name as string,
      {
        id: row.id as number,
        scope: {
          checklist: row.digest,
          dataStream: { sha256: row.sha256, size: row.size },
          tailoring: row.tailoring_sha256 === null ? null : { sha256: row.tailoring_sha256, size: row.tailoring_size },
          profile: row.scanner_profile,
        },
        ruleIds: new Map(Object.entries(row.rules as Record<string, string>)),
      },
    ]),
  );
}
