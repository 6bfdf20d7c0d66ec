/** Versions that an earlier release imported, which did not keep what tests use: read once more out of their data streams. */
import type { PoolClient } from 'pg';
import type { Benchmark } from '../../domain/baseline/model.js';
import type { Queryable } from '../pool.js';

export interface UnreadVersion {
  readonly id: string;
  readonly baseline: string;
  readonly number: number;
  readonly sha256: string;
  /** Compressed by gzip. Null: it is in the content store. */
  readonly document: Buffer | null;
}

/** One whose rules say nothing of their tests. Every rule has had it since one had. @param except ids */
export async function nextWithoutChecks(db: Queryable, except: readonly string[]): Promise<UnreadVersion | null> {
  const { rows } = await db.query<UnreadVersion>(
    `SELECT v.id, b.name AS baseline, v.number, v.sha256, v.document
       FROM baseline_version v JOIN baseline b ON b.id = v.baseline_id JOIN baseline_rule r ON r.version_id = v.id AND r.number = 0
      WHERE NOT r.detail ? 'checkValues' AND v.id <> ALL ($1::uuid[]) ORDER BY v.id LIMIT 1`,
    [except],
  );
  return rows[0] ?? null;
}

/** Adds what its rules' tests are and use; its checklists are then due to be read anew (./checklists.ts). */
export async function noteChecks(
  client: PoolClient,
  args: { readonly versionId: string; readonly benchmark: Benchmark },
): Promise<void> {
  const checks = args.benchmark.rules.map(({ id, check, checkValues }) => ({ id, detail: { check, checkValues } }));
  await client.query(
    `UPDATE baseline_rule r SET detail = r.detail || n.detail FROM jsonb_to_recordset($2::jsonb) AS n (id text, detail jsonb)
      WHERE r.version_id = $1 AND r.id = n.id`,
    [args.versionId, JSON.stringify(checks)],
  );
  await client.query('UPDATE checklist SET fixes_read = 0 WHERE version_id = $1', [args.versionId]);
}
