import type { Pool, QueryConfig } from 'pg';
import { type EpochMs, HOUR } from '../../domain/time.js';
import { inTransaction } from '../pool.js';

/**
 * What must stay, whoever asks for it next: files of plans that are not closed (or only lately), of orders that have not ended,
 * of released agents, of every version of a baseline, of what some endpoint would upgrade to, and of what some endpoint has installed: the next change may have
 * to go back to it, when no repository serves it any more.
 */
const NEEDED = `
  SELECT d.sha256
    FROM update_set s CROSS JOIN LATERAL jsonb_array_elements(s.items || s.previous) AS f (file)
   CROSS JOIN LATERAL unnest(ARRAY[f.file ->> 'sha256', f.file #>> '{installs,brings,sha256}']) AS d (sha256)
   WHERE d.sha256 IS NOT NULL AND s.digest IN (
     SELECT pe.update_set_digest FROM change c JOIN plan_endpoint pe ON pe.change_id = c.id
      WHERE c.closed_at IS NULL OR c.closed_at > to_timestamp($1 / 1000.0)
     UNION SELECT o.content_digest FROM order_state o WHERE o.phase <> 'done')
  UNION SELECT sha256 FROM agent_release
  UNION SELECT sha256 FROM baseline_version
  UNION SELECT tailoring_sha256 FROM checklist WHERE tailoring_sha256 IS NOT NULL
  UNION
  SELECT p.sha256 FROM content k JOIN catalogue_package p ON p.sha256 = k.sha256
   WHERE EXISTS (SELECT FROM installed_package i
                  WHERE i.source = p.source AND i.name = p.name AND i.version = p.version AND p.arch IN (i.arch, 'all'))
      OR (p.name, p.version) IN (SELECT a.name, a.candidate FROM available_update a)`;

/** Of one look at the whole fleet. */
const PATIENCE = HOUR;
/** The driver's own limit is set aside, too; its types do not know that a query may bring one. */
const patiently = (text: string, values: unknown[]): QueryConfig =>
  ({ text, values, query_timeout: PATIENCE }) as QueryConfig;

/**
 * Strikes up to `most` files off the record that nothing needs and that were stored before `unusedSince`. What is struck off is
 * fetched and recorded anew by whoever wants it after all.
 * @returns every digest that must stay in the store; null when another worker is at it
 */
export async function strikeUnneeded(
  pool: Pool,
  args: { readonly unusedSince: EpochMs; readonly most: number },
): Promise<{ readonly keep: ReadonlySet<string>; readonly struck: number } | null> {
  return inTransaction(pool, async (client) => {
    const { rows: mine } = await client.query(
      `SELECT pg_try_advisory_xact_lock(hashtextextended('content_garbage', 0)) AS mine`,
    );
    if (!mine[0].mine) return null;
    // The fleet's packages are many, and nobody waits for this.
    await client.query(`SET LOCAL statement_timeout = ${PATIENCE}`);
    const { rows: needed } = await client.query<{ sha256: string }>(patiently(NEEDED, [args.unusedSince]));
    await client.query(
      'DELETE FROM package_list WHERE planned_at < to_timestamp($1 / 1000.0) AND sha256 <> ALL ($2::text[])',
      [args.unusedSince, needed.map((row) => row.sha256)],
    );
    const { rowCount } = await client.query(
      `DELETE FROM content WHERE sha256 IN (
         SELECT sha256 FROM content WHERE stored_at < to_timestamp($1 / 1000.0) AND sha256 <> ALL ($2::text[]) ORDER BY stored_at LIMIT $3)`,
      [args.unusedSince, needed.map((row) => row.sha256), args.most],
    );
    const { rows: recorded } = await client.query<{ sha256: string }>('SELECT sha256 FROM content');
    return { keep: new Set([...needed, ...recorded].map((row) => row.sha256)), struck: rowCount ?? 0 };
  });
}
