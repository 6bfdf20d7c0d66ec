/** Which file of a package the configured repositories of a release have newest: what a fix that installs it would bring. */
import { type Offers, offerKey, type System } from '../../domain/baseline/plan-remediation.js';
import { compareDebVersionTexts } from '../../domain/content/deb-version.js';
import type { ApprovedPackage } from '../../domain/content/index.js';
import type { Queryable } from '../pool.js';

/** What apt takes from by itself, of what an index names now; of `catalogue_package p`. */
export const OFFERED = `p.withdrawn_at IS NULL AND coalesce(p.detail ->> 'pocket', 'release') NOT IN ('backports', 'proposed')`;

/**
 * By the release's code name and architecture: a suite `bookworm` or `bookworm-…` is one of bookworm's. Suites that apt takes nothing from by
 * itself (backports, proposed updates) do not count, nor what an index no longer names, nor a version with two different files.
 */
export async function loadOffers(
  db: Queryable,
  wanted: readonly (System & { readonly name: string })[],
): Promise<Offers> {
  if (wanted.length === 0) return new Map();
  const { rows } = await db.query<ApprovedPackage & { codename: string; system: string; digests: number }>(
    `SELECT w.codename, w.arch AS system, p.name, p.version, p.arch, min(p.sha256) AS sha256, count(DISTINCT p.sha256)::int AS digests
       FROM unnest($1::text[], $2::text[], $3::text[]) AS w (codename, arch, name)
       JOIN catalogue_package p ON p.name = w.name AND p.arch IN (w.arch, 'all') AND (p.suite = w.codename OR starts_with(p.suite, w.codename || '-'))
      WHERE ${OFFERED}
      GROUP BY 1, 2, 3, 4, 5`,
    [wanted.map((one) => one.codename), wanted.map((one) => one.arch), wanted.map((one) => one.name)],
  );
  const newest = new Map<string, (typeof rows)[number]>();
  for (const row of rows) {
    const key = offerKey({ codename: row.codename, arch: row.system }, row.name);
    const before = newest.get(key);
    const compared = before === undefined ? null : compareDebVersionTexts(row.version, before.version);
    if (compared === null || (compared.ok && compared.order > 0)) newest.set(key, row);
  }
  return new Map(
    [...newest].flatMap(([key, { name, version, arch, sha256, digests }]) =>
      digests === 1 ? [[key, { name, version, arch, sha256 }] as const] : [],
    ),
  );
}
