import type { SourceFix } from '../../domain/patch/model.js';
import type { Queryable } from '../pool.js';

export type { SourceFix };

/** Everything known of these sources, by source. */
export async function loadSourceFixes(db: Queryable, sources: readonly string[]): Promise<Map<string, SourceFix[]>> {
  const { rows } = await db.query(
    'SELECT source, version, cves, urgency, released_at FROM source_fix WHERE source = ANY ($1)',
    [sources],
  );
  const found = new Map<string, SourceFix[]>();
  for (const row of rows) {
    const fix = {
      source: row.source,
      version: row.version,
      cves: row.cves,
      urgency: row.urgency,
      releasedAt: row.released_at?.getTime() ?? null,
    };
    found.set(row.source, [...(found.get(row.source) ?? []), fix]);
  }
  return found;
}

/** Keeps what changelogs said. A version's changelog entry does not change, so the first reading stays. */
export async function recordSourceFixes(db: Queryable, fixes: readonly SourceFix[]): Promise<void> {
  if (fixes.length === 0) return;
  await db.query(
    `INSERT INTO source_fix (source, version, cves, urgency, released_at)
     SELECT f.source, f.version, ARRAY(SELECT jsonb_array_elements_text(f.cves)), f.urgency, to_timestamp(f.released / 1000.0)
       FROM unnest($1::text[], $2::text[], $3::jsonb[], $4::text[], $5::float8[]) AS f (source, version, cves, urgency, released)
     ON CONFLICT DO NOTHING`,
    [
      fixes.map((f) => f.source),
      fixes.map((f) => f.version),
      fixes.map((f) => JSON.stringify(f.cves)),
      fixes.map((f) => f.urgency),
      fixes.map((f) => f.releasedAt),
    ],
  );
}
