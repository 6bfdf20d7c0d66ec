/** What installing packages may bring beside them, by the indexes of the configured repositories. */
import { type Offers, offerKey, type System } from '../../domain/baseline/plan-remediation.js';
import {
  type ApprovedPackage,
  type Brings,
  bringsOf,
  type IndexedPackage,
  namesNeeded,
  packageIndex,
  packageLine,
  readPackageList,
} from '../../domain/content/index.js';
import type { EpochMs } from '../../domain/time.js';
import type { Queryable } from '../pool.js';
import { OFFERED } from './offers.js';

/** Which packages a system's indexes have under these names, their own or ones they stand in for. */
const NAMED = `
  SELECT DISTINCT p.name, p.version, p.arch, p.sha256, p.depends, coalesce(p.provides, '') AS provides
    FROM catalogue_package p
   WHERE p.arch IN ($2, 'all') AND (p.suite = $1 OR starts_with(p.suite, $1 || '-')) AND ${OFFERED}
     AND (p.name = ANY ($3) OR p.provided <> '{}' AND p.provided && $3)`;

/** By {@link offerKey}, for each offer of these systems. */
export async function loadBrings(
  db: Queryable,
  wanted: readonly (System & { readonly name: string })[],
  offers: Offers,
): Promise<ReadonlyMap<string, Brings>> {
  const systems = new Map<string, { system: System; offers: Map<string, ApprovedPackage> }>();
  for (const { codename, arch, name } of wanted) {
    const key = offerKey({ codename, arch }, name);
    const offer = offers.get(key);
    if (offer === undefined) continue;
    const system = `${codename} ${arch}`;
    const found = systems.get(system) ?? { system: { codename, arch }, offers: new Map() };
    systems.set(system, { ...found, offers: found.offers.set(key, offer) });
  }
  const brings = new Map<string, Brings>();
  for (const { system, offers: of } of systems.values()) {
    const packages = await gather(
      db,
      system,
      [...of.values()].map(({ name }) => name),
    );
    const index = packages === null ? null : packageIndex(packages);
    for (const [key, offer] of of) brings.set(key, index === null ? UNREAD : bringsOf(index, offer));
  }
  return brings;
}

const UNREAD: Brings = {
  ok: false,
  reason:
    'needs packages of an index that was read by an earlier release: it must be read anew, which the next look at its repository does',
};

/** All that these names lead to, a query for each step away from them. Null: of some package it is not known what it needs. */
async function gather(db: Queryable, system: System, names: readonly string[]): Promise<IndexedPackage[] | null> {
  const packages = new Map<string, IndexedPackage>();
  const asked = new Set<string>();
  for (let next = [...new Set(names)]; next.length > 0; ) {
    for (const name of next) asked.add(name);
    const { rows } = await db.query<IndexedPackage & { depends: string | null }>(NAMED, [
      system.codename,
      system.arch,
      next,
    ]);
    const needed = new Set<string>();
    for (const row of rows) {
      if (row.depends === null) return null;
      packages.set(packageLine(row), row);
      for (const name of namesNeeded(row)) if (!asked.has(name)) needed.add(name);
    }
    next = [...needed];
  }
  return [...packages.values()];
}

/** Keeps lists that a plan names, for people and for the content store, where one that is there already is put again: it may have been cleared away. */
export async function keepPackageLists(
  db: Queryable,
  lists: readonly Extract<Brings, { ok: true }>[],
  now: EpochMs,
): Promise<void> {
  if (lists.length === 0) return;
  // Packages that need the same, or nothing, have one list.
  const each = [...new Map(lists.map((one) => [one.list.sha256, one])).values()];
  await db.query(
    `INSERT INTO package_list (sha256, size, packages, body, planned_at)
     SELECT l.*, to_timestamp($5 / 1000.0) FROM unnest($1::text[], $2::int[], $3::int[], $4::text[]) AS l
     ON CONFLICT (sha256) DO UPDATE SET planned_at = excluded.planned_at, stored_at = NULL`,
    [
      each.map(({ list }) => list.sha256),
      each.map(({ list }) => list.size),
      each.map(({ list }) => list.packages),
      each.map(({ text }) => text),
      now,
    ],
  );
}

/** What is on a list, in its order; null: no plan has named it lately. @throws Error when the row is no list: nobody but us writes it */
export async function readPackagesBrought(db: Queryable, sha256: string): Promise<readonly ApprovedPackage[] | null> {
  const { rows } = await db.query<{ body: string }>('SELECT body FROM package_list WHERE sha256 = $1', [sha256]);
  if (rows[0] === undefined) return null;
  const read = readPackageList(rows[0].body);
  if (!read.ok) throw new Error(`package_list ${sha256}: ${read.reason}`);
  return read.packages;
}
