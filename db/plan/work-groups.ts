import { type InstalledPackage, readOwnersPatterns } from '../../domain/content/index.js';
import type { WorkGroup } from '../../domain/patch/model.js';
import type { Queryable } from '../pool.js';

export type { WorkGroup };

/**
 * Groups endpoints by what they would upgrade and what is installed around it. Endpoints with nothing to upgrade are in
 * no group. The database groups: first by the digests of whole inventories, then one speaker of each such set by what matters
 * here; only one endpoint's rows per group travel. So 10,000 alike hosts cost little more than one.
 */
export async function loadWorkGroups(db: Queryable, endpointIds: readonly string[]): Promise<WorkGroup[]> {
  const { rows: groups } = await db.query<{ endpoint_ids: string[]; provider: string; never_touch: unknown }>(
    `WITH alike AS MATERIALIZED (
       SELECT (array_agg(e.id))[1] AS speaker, array_agg(e.id) AS ids, seen.provider, e.local_limits -> 'neverTouch' AS never_touch
         FROM endpoint e
         JOIN LATERAL (SELECT s.id, s.provider FROM scan s WHERE s.endpoint_id = e.id AND s.complete
                        ORDER BY s.received_at DESC LIMIT 1) seen ON true
         LEFT JOIN inventory_digest d ON d.endpoint_id = e.id AND d.scan_id = seen.id
        WHERE e.id = ANY ($1::uuid[])
        GROUP BY seen.provider, e.local_limits -> 'neverTouch', d.packages, d.updates, CASE WHEN d.endpoint_id IS NULL THEN e.id END),
     ups AS MATERIALIZED (
       SELECT a.speaker, string_agg(concat_ws(' ', u.name, u.arch, coalesce(u.installed, '-'), u.candidate), E'\\n'
                             ORDER BY u.name COLLATE "C", u.arch COLLATE "C") AS text
         FROM alike a JOIN available_update u ON u.endpoint_id = a.speaker GROUP BY a.speaker),
     moving AS MATERIALIZED (
       SELECT DISTINCT i.source FROM alike a JOIN available_update u ON u.endpoint_id = a.speaker
         JOIN installed_package i USING (endpoint_id, name, arch)),
     around AS MATERIALIZED (
       SELECT u.speaker, string_agg(concat_ws(' ', i.name, i.arch, i.version, i.source), E'\\n'
                             ORDER BY i.name COLLATE "C", i.arch COLLATE "C") AS text
         FROM ups u JOIN installed_package i ON i.endpoint_id = u.speaker
        WHERE i.source IN (SELECT source FROM moving) OR i.name ~ '-[0-9]+(\\.[0-9]+)?$'
        GROUP BY u.speaker)
     SELECT array_agg(id ORDER BY id) AS endpoint_ids, a.provider, a.never_touch
       FROM alike a JOIN ups USING (speaker) LEFT JOIN around USING (speaker) CROSS JOIN unnest(a.ids) AS id
      GROUP BY a.provider, sha256(convert_to(ups.text || E'\\n\\n' || coalesce(around.text, ''), 'UTF8')), a.never_touch
      ORDER BY min(id::text)`,
    [endpointIds],
  );
  const speakers = groups.map((group) => group.endpoint_ids[0] as string);
  const [proposed, installed] = await Promise.all([loadProposed(db, speakers), loadInstalledAround(db, speakers)]);
  return groups.map((group, index) => {
    const speaker = speakers[index] as string;
    return {
      endpointIds: group.endpoint_ids,
      provider: group.provider,
      neverTouch: readOwnersPatterns(group.never_touch),
      proposed: proposed.get(speaker) ?? [],
      installed: installed.get(speaker) ?? [],
    };
  });
}

async function loadProposed(db: Queryable, speakers: readonly string[]) {
  const { rows } = await db.query<{
    endpoint_id: string;
    name: string;
    arch: string;
    installed: string | null;
    candidate: string;
  }>(
    `SELECT endpoint_id, name, arch, installed, candidate FROM available_update WHERE endpoint_id = ANY ($1)
      ORDER BY endpoint_id, name COLLATE "C", arch COLLATE "C"`,
    [speakers],
  );
  return byEndpoint(rows, ({ name, arch, installed, candidate }) => ({ name, arch, installed, candidate }));
}

async function loadInstalledAround(db: Queryable, speakers: readonly string[]) {
  const { rows } = await db.query<InstalledPackage & { endpoint_id: string }>(
    `SELECT i.endpoint_id, i.name, i.arch, i.version, i.source FROM installed_package i
      WHERE i.endpoint_id = ANY ($1)
        AND (i.name ~ '-[0-9]+(\\.[0-9]+)?$'
          OR i.source IN (SELECT own.source FROM available_update u JOIN installed_package own USING (endpoint_id, name, arch)
                           WHERE u.endpoint_id = ANY ($1)))`,
    [speakers],
  );
  return byEndpoint(rows, ({ name, arch, version, source }) => ({ name, arch, version, source }));
}

function byEndpoint<R extends { endpoint_id: string }, T>(rows: readonly R[], pick: (row: R) => T): Map<string, T[]> {
  const map = new Map<string, T[]>();
  for (const row of rows) {
    const list = map.get(row.endpoint_id);
    if (list === undefined) map.set(row.endpoint_id, [pick(row)]);
    else list.push(pick(row));
  }
  return map;
}
