/** Gold standards as rows, and endpoints compared with one. */
import { randomUUID } from 'node:crypto';
import type { PoolClient } from 'pg';
import { countDrift } from '../../domain/baseline/drift.js';
import type { EpochMs } from '../../domain/time.js';
import type { Queryable } from '../pool.js';
import { type Page, pageOf } from '../read/cursor.js';

export interface EndpointPicture {
  /** Results by checklist id. */
  readonly results: Readonly<Record<string, string>>;
  readonly packages: Readonly<Record<string, string>>;
  readonly services: Readonly<Record<string, string>>;
}

export interface GoldStandard extends EndpointPicture {
  readonly name: string;
  readonly endpointId: string;
  readonly endpoint: string;
  readonly capturedBy: string;
  readonly capturedAt: Date;
}

/** The endpoint as its newest scans have it. */
export async function loadPicture(db: Queryable, endpointId: string): Promise<EndpointPicture> {
  const { rows } = await db.query(
    `SELECT (SELECT coalesce(jsonb_object_agg(checklist_id, results), '{}') FROM assessment WHERE endpoint_id = $1 AND results <> '') AS results,
            (SELECT coalesce(jsonb_object_agg(name || ':' || arch, version), '{}') FROM installed_package WHERE endpoint_id = $1) AS packages,
            (SELECT coalesce(jsonb_object_agg(kind || ' ' || name, ''), '{}') FROM endpoint_service
              WHERE endpoint_id = $1 AND (kind <> 'unit' OR (detail ->> 'active')::boolean)) AS services`,
    [endpointId],
  );
  return rows[0] as EndpointPicture;
}

/** Keeps the endpoint's picture under this name, in place of an earlier one. */
export async function putGoldStandard(
  client: PoolClient,
  args: {
    readonly name: string;
    readonly endpointId: string;
    readonly picture: EndpointPicture;
    readonly by: string;
    readonly now: EpochMs;
  },
): Promise<void> {
  await client.query(
    `INSERT INTO gold_standard (id, name, endpoint_id, results, packages, services, captured_by, captured_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, to_timestamp($8 / 1000.0))
     ON CONFLICT (name) DO UPDATE SET endpoint_id = excluded.endpoint_id, results = excluded.results, packages = excluded.packages,
       services = excluded.services, captured_by = excluded.captured_by, captured_at = excluded.captured_at`,
    [
      randomUUID(),
      args.name,
      args.endpointId,
      JSON.stringify(args.picture.results),
      JSON.stringify(args.picture.packages),
      JSON.stringify(args.picture.services),
      args.by,
      args.now,
    ],
  );
}

export async function findGoldStandard(db: Queryable, name: string): Promise<GoldStandard | null> {
  const { rows } = await db.query<GoldStandard>(
    `SELECT g.name, g.endpoint_id AS "endpointId", e.name AS endpoint, g.results, g.packages, g.services, g.captured_by AS "capturedBy",
            g.captured_at AS "capturedAt" FROM gold_standard g JOIN endpoint e ON e.id = g.endpoint_id WHERE g.name = $1`,
    [name],
  );
  return rows[0] ?? null;
}

export interface GoldSummary extends Omit<GoldStandard, keyof EndpointPicture> {
  readonly checklists: number;
  readonly packages: number;
  readonly services: number;
}

/** By name. @param args.after the last row's name on the page before */
export async function listGoldStandards(
  db: Queryable,
  args: { readonly after: string | null; readonly limit: number },
): Promise<Page<GoldSummary>> {
  const count = (column: string) => `(SELECT count(*)::int FROM jsonb_object_keys(g.${column}))`;
  const { rows } = await db.query<GoldSummary>(
    `SELECT g.name, g.endpoint_id AS "endpointId", e.name AS endpoint, g.captured_by AS "capturedBy", g.captured_at AS "capturedAt",
            ${count('results')} AS checklists, ${count('packages')} AS packages, ${count('services')} AS services
       FROM gold_standard g JOIN endpoint e ON e.id = g.endpoint_id
      WHERE $1::text IS NULL OR g.name COLLATE "C" > $1 ORDER BY g.name COLLATE "C" LIMIT $2`,
    [args.after, args.limit + 1],
  );
  return pageOf(rows, args.limit, (row) => [row.name]);
}

/** @returns whether there was one */
export async function deleteGoldStandard(client: PoolClient, name: string): Promise<boolean> {
  const { rowCount } = await client.query('DELETE FROM gold_standard WHERE name = $1', [name]);
  return rowCount === 1;
}

export interface EndpointDrift {
  readonly endpointId: string;
  readonly endpoint: string;
  /** Rules whose result is another one, over all checklists both are measured by. */
  readonly rules: number;
}

/** Who comes after whom: the farthest first, of equally far ones by name. */
const farther = (a: EndpointDrift, b: EndpointDrift): number =>
  b.rules - a.rules ||
  (a.endpoint < b.endpoint ? -1 : a.endpoint > b.endpoint ? 1 : a.endpointId < b.endpointId ? -1 : 1);

/**
 * Endpoints measured by one of the standard's checklists, the farthest from it first. All are compared for each page: nobody knows beforehand
 * who is farthest.
 * @param args.after drift, name and id of the last row before
 */
export async function fleetDrift(
  db: Queryable,
  args: {
    readonly gold: Pick<GoldStandard, 'results' | 'endpointId'>;
    readonly after: readonly [number, string, string] | null;
    readonly limit: number;
  },
): Promise<Page<EndpointDrift>> {
  const { gold, after } = args;
  const { rows } = await db.query<{ endpoint_id: string; name: string; checklist_id: number; results: string }>(
    `SELECT m.endpoint_id, e.name, m.checklist_id, m.results FROM assessment m JOIN endpoint e ON e.id = m.endpoint_id
      WHERE m.checklist_id = ANY ($1::int[]) AND m.results <> '' AND e.state <> 'retired' AND e.id <> $2`,
    [Object.keys(gold.results).map(Number), gold.endpointId],
  );
  const found = new Map<string, { endpointId: string; endpoint: string; rules: number }>();
  for (const { endpoint_id: endpointId, name: endpoint, checklist_id: checklist, results } of rows) {
    const drift = countDrift(gold.results[checklist] ?? '', results);
    const known = found.get(endpointId);
    if (known === undefined) found.set(endpointId, { endpointId, endpoint, rules: drift });
    else known.rules += drift;
  }
  const last = after === null ? null : { rules: after[0], endpoint: after[1], endpointId: after[2] };
  const rest = [...found.values()].filter((one) => last === null || farther(last, one) < 0).sort(farther);
  return pageOf(rest.slice(0, args.limit + 1), args.limit, (one) => [one.rules, one.endpoint, one.endpointId]);
}
