import type { EpochMs } from '../../domain/time.js';
import type { Queryable } from '../pool.js';

/** Which of these files are in the content store, by its own record. */
export async function storedContent(db: Queryable, digests: readonly string[]): Promise<Set<string>> {
  const { rows } = await db.query<{ sha256: string }>('SELECT sha256 FROM content WHERE sha256 = ANY ($1)', [digests]);
  return new Set(rows.map((row) => row.sha256));
}

/** Writes down that a file is in the store; whatever was wrong with it before is over. */
export async function recordStored(
  db: Queryable,
  args: { readonly sha256: string; readonly size: number; readonly now: EpochMs },
): Promise<void> {
  await db.query(
    `WITH gone AS (DELETE FROM content_refusal WHERE sha256 = $1)
     INSERT INTO content (sha256, size, stored_at) VALUES ($1, $2, to_timestamp($3 / 1000.0))
     ON CONFLICT (sha256) DO NOTHING`,
    [args.sha256, args.size, args.now],
  );
}

/** Writes down why a file can't be had: content whose digest differs, or that no repository serves any more. */
export async function recordRefusal(
  db: Queryable,
  args: { readonly sha256: string; readonly reason: string; readonly now: EpochMs },
): Promise<void> {
  await db.query(
    `INSERT INTO content_refusal (sha256, reason, at) VALUES ($1, $2, to_timestamp($3 / 1000.0))
     ON CONFLICT (sha256) DO UPDATE SET reason = excluded.reason, at = excluded.at`,
    [args.sha256, args.reason, args.now],
  );
}

/** Lets every refused file be tried again. */
export async function forgetRefusals(db: Queryable): Promise<void> {
  await db.query('DELETE FROM content_refusal');
}
