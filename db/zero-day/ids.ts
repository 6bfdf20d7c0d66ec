/** What the catalogue knows of CVEs, packages and sources that somebody names. */
import type { NamedFix, NamedVersion } from '../../domain/zero-day/targets.js';
import type { Queryable } from '../pool.js';

/** Fixes of these CVEs by any changelog, and every version that a current index names of the sources and names in question. */
export async function lookUpIds(
  db: Queryable,
  args: { readonly cves: readonly string[]; readonly names: readonly string[] },
): Promise<{ readonly fixes: readonly NamedFix[]; readonly versions: readonly NamedVersion[] }> {
  const { rows: fixes } = await db.query<NamedFix>(
    `SELECT cve, f.source, f.version FROM source_fix f, unnest(f.cves) AS cve
      WHERE f.cves && $1::text[] AND cve = ANY ($1) ORDER BY cve, f.source, f.version`,
    [args.cves],
  );
  const { rows: versions } = await db.query<NamedVersion>(
    `SELECT DISTINCT name, source, version, source_version AS "sourceVersion" FROM catalogue_package
      WHERE withdrawn_at IS NULL AND (name = ANY ($1) OR source = ANY ($1) OR source = ANY ($2))`,
    [args.names, [...new Set(fixes.map((fix) => fix.source))]],
  );
  return { fixes, versions };
}
