/** Which endpoints a zero-day concerns: by what is installed, never by what a plan says. */

import { matches, type Selector } from '../../domain/fleet/selector.js';
import type { EpochMs } from '../../domain/time.js';
import type { Target } from '../../domain/zero-day/target.js';
import { judgeStanding } from '../../domain/zero-day/target.js';
import { loadSelectables } from '../endpoints/selectable.js';
import { loadGroups } from '../policy/load.js';
import type { Queryable } from '../pool.js';

export interface Exposed {
  readonly endpointId: string;
  /** Its own package index offers a fix for all that is vulnerable there. */
  readonly offered: boolean;
}

/**
 * Compares every inventory with the targets: one query that groups alike packages, and one comparison per group, however
 * many endpoints there are. Retired endpoints are out of the world.
 */
export async function findExposed(
  db: Queryable,
  args: { readonly targets: readonly Target[]; readonly endpointIds?: readonly string[] },
): Promise<Exposed[]> {
  const { targets } = args;
  const { rows } = await db.query<{
    source: string;
    name: string;
    version: string;
    source_version: string;
    candidate: string | null;
    candidate_source_version: string | null;
    endpoint_ids: string[];
  }>(
    `WITH standing AS MATERIALIZED (
       SELECT i.source, i.name, i.arch, i.version, i.source_version, u.candidate, array_agg(i.endpoint_id) AS endpoint_ids
         FROM installed_package i
         JOIN endpoint e ON e.id = i.endpoint_id AND e.state <> 'retired'
         LEFT JOIN available_update u ON u.endpoint_id = i.endpoint_id AND u.name = i.name AND u.arch = i.arch
        WHERE i.source = ANY ($1) AND ($2::uuid[] IS NULL OR i.endpoint_id = ANY ($2))
        GROUP BY 1, 2, 3, 4, 5, 6)
     SELECT s.source, s.name, s.version, s.source_version, s.candidate, s.endpoint_ids,
            coalesce((SELECT min(c.source_version) FROM catalogue_package c
                       WHERE c.name = s.name AND c.arch = s.arch AND c.version = s.candidate), s.candidate) AS candidate_source_version
       FROM standing s`,
    [[...new Set(targets.map((target) => target.source))], args.endpointIds ?? null],
  );
  const offered = new Map<string, boolean>();
  for (const row of rows) {
    for (const target of targets) {
      if (target.source !== row.source || (target.kind === 'package' && target.name !== row.name)) continue;
      const verdict = judgeStanding(
        target,
        target.kind === 'source'
          ? { installed: row.source_version, candidate: row.candidate_source_version }
          : { installed: row.version, candidate: row.candidate },
      );
      if (verdict === 'fixed') continue;
      for (const id of row.endpoint_ids) offered.set(id, (offered.get(id) ?? true) && verdict === 'offered');
    }
  }
  return [...offered].map(([endpointId, all]) => ({ endpointId, offered: all }));
}

/** Endpoints that have any package of the targets at all, vulnerable or not. */
export async function countHaving(db: Queryable, targets: readonly Target[]): Promise<number> {
  const { rows } = await db.query<{ n: number }>(
    `SELECT count(DISTINCT i.endpoint_id)::int AS n FROM installed_package i
       JOIN endpoint e ON e.id = i.endpoint_id AND e.state <> 'retired'
       JOIN unnest($1::text[], $2::text[]) AS t (source, name) ON t.source = i.source AND (t.name IS NULL OR t.name = i.name)`,
    [targets.map((t) => t.source), targets.map((t) => (t.kind === 'source' ? null : t.name))],
  );
  return rows[0]?.n ?? 0;
}

/** Endpoints nobody knows the packages of: no complete scan yet. */
export async function countUnscanned(db: Queryable): Promise<number> {
  const { rows } = await db.query<{ n: number }>(
    `SELECT count(*)::int AS n FROM endpoint e WHERE e.state <> 'retired'
        AND NOT EXISTS (SELECT FROM scan s WHERE s.endpoint_id = e.id AND s.complete)`,
  );
  return rows[0]?.n ?? 0;
}

/** Endpoints that one of its changes is to fix: not proven fixed, and in no ring of another open change of the zero-day. */
export async function loadExposedIds(
  db: Queryable,
  args: { readonly zeroDayId: string; readonly changeId: string },
): Promise<string[]> {
  const { rows } = await db.query<{ endpoint_id: string }>(
    `SELECT z.endpoint_id FROM zero_day_endpoint z
      WHERE z.zero_day_id = $1 AND z.fixed_at IS NULL
        AND NOT EXISTS (SELECT FROM plan_endpoint pe JOIN change c ON c.id = pe.change_id
                         WHERE pe.endpoint_id = z.endpoint_id AND pe.ring IS NOT NULL
                           AND c.zero_day_id = $1 AND c.closed_at IS NULL AND c.id <> $2)
      ORDER BY z.endpoint_id`,
    [args.zeroDayId, args.changeId],
  );
  return rows.map((row) => row.endpoint_id);
}

/** Of these endpoints, those in a ring of one of its open changes: those take care of them. */
export async function loadTakenIds(
  db: Queryable,
  zeroDayId: string,
  endpointIds: readonly string[],
): Promise<ReadonlySet<string>> {
  const { rows } = await db.query<{ endpoint_id: string }>(
    `SELECT pe.endpoint_id FROM plan_endpoint pe JOIN change c ON c.id = pe.change_id
      WHERE c.zero_day_id = $1 AND c.closed_at IS NULL AND pe.ring IS NOT NULL AND pe.endpoint_id = ANY ($2)`,
    [zeroDayId, endpointIds],
  );
  return new Set(rows.map((row) => row.endpoint_id));
}

/** Remembers endpoints as exposed; those remembered already stay as they are. */
export async function rememberExposed(
  db: Queryable,
  args: { readonly zeroDayId: string; readonly endpointIds: readonly string[]; readonly since: EpochMs },
): Promise<void> {
  if (args.endpointIds.length === 0) return;
  await db.query(
    `INSERT INTO zero_day_endpoint (zero_day_id, endpoint_id, exposed_since)
     SELECT $1, id, to_timestamp($3 / 1000.0) FROM unnest($2::uuid[]) AS id ON CONFLICT DO NOTHING`,
    [args.zeroDayId, args.endpointIds, args.since],
  );
}

/** Those of the exposed that the scope selects. */
export async function ofScope(db: Queryable, exposed: readonly Exposed[], scope: Selector | null): Promise<Exposed[]> {
  if (scope === null) return [...exposed];
  const [endpoints, groups] = [
    await loadSelectables(db, { endpointIds: exposed.map((one) => one.endpointId) }),
    await loadGroups(db),
  ];
  const selected = new Set(
    endpoints.flatMap((endpoint) => (matches({ endpoint, selector: scope, groups }) ? [endpoint.id] : [])),
  );
  return exposed.filter((one) => selected.has(one.endpointId));
}
