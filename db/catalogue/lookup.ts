import type { KnownPackage } from '../../domain/patch/model.js';
import { packageKey } from '../../domain/patch/model.js';
import type { Queryable } from '../pool.js';

export type { KnownPackage };
export { packageKey };

/**
 * What the catalogue knows of these versions, by {@link packageKey}. Named by several suites, a version counts as security
 * when any of them is, as published when the first of them named it, and as withdrawn when none names it now.
 */
export async function lookUpPackages(
  db: Queryable,
  wanted: readonly { readonly name: string; readonly arch: string; readonly version: string }[],
): Promise<Map<string, KnownPackage>> {
  const { rows } = await db.query(
    `SELECT p.name, p.arch, p.version, min(p.source) AS source, min(p.source_version) AS source_version,
            min(p.sha256) AS sha256, min(p.size) AS size, min(p.first_seen) AS first_seen,
            bool_and(p.withdrawn_at IS NOT NULL) AS withdrawn, count(DISTINCT p.sha256) > 1 AS ambiguous,
            array_agg(DISTINCT coalesce(p.detail ->> 'pocket', 'release')) AS pockets,
            min(p.detail ->> 'origin') AS vendor, min(r.reason) AS refusal
       FROM unnest($1::text[], $2::text[], $3::text[]) AS w (name, arch, version)
       JOIN catalogue_package p USING (name, arch, version)
       LEFT JOIN content_refusal r ON r.sha256 = p.sha256
      GROUP BY p.name, p.arch, p.version`,
    [wanted.map((w) => w.name), wanted.map((w) => w.arch), wanted.map((w) => w.version)],
  );
  return new Map(
    rows.map((row) => [
      packageKey(row),
      {
        name: row.name,
        arch: row.arch,
        version: row.version,
        source: row.source,
        sourceVersion: row.source_version,
        sha256: row.sha256,
        size: row.size,
        pocket: row.pockets.includes('security') ? 'security' : row.pockets[0],
        vendor: row.vendor,
        firstSeen: row.first_seen.getTime(),
        withdrawn: row.withdrawn,
        ambiguous: row.ambiguous,
        refusal: row.refusal,
      },
    ]),
  );
}

/** Where configured repositories keep a file. */
export interface FileLocation {
  readonly sha256: string;
  readonly size: number;
  readonly repositoryId: string;
  readonly filename: string;
}

/** Places of these files by digest, those a current index names first. */
export async function locateFiles(db: Queryable, digests: readonly string[]): Promise<Map<string, FileLocation[]>> {
  const { rows } = await db.query(
    `SELECT DISTINCT ON (sha256, repository_id, filename) sha256, size, repository_id, filename, withdrawn_at
       FROM catalogue_package WHERE sha256 = ANY ($1)
      ORDER BY sha256, repository_id, filename, withdrawn_at DESC NULLS FIRST`,
    [digests],
  );
  rows.sort((a, b) => Number(a.withdrawn_at !== null) - Number(b.withdrawn_at !== null));
  const found = new Map<string, FileLocation[]>();
  for (const row of rows) {
    const place = { sha256: row.sha256, size: row.size, repositoryId: row.repository_id, filename: row.filename };
    found.set(row.sha256, [...(found.get(row.sha256) ?? []), place]);
  }
  return found;
}
