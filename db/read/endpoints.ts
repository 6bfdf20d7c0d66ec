import type { EpochMs } from '../../domain/time.js';
import type { EndpointState } from '../endpoints/identity.js';
import type { Queryable } from '../pool.js';
import { type Page, pageOf } from './cursor.js';

export interface EndpointSummary {
  readonly id: string;
  readonly name: string;
  readonly state: string;
  readonly stateReason: string | null;
  readonly scanOnly: boolean;
  readonly simulated: boolean;
  readonly zone: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly lastSeen: Date | null;
  readonly lastScan: Date | null;
  readonly clockSkewMs: number;
  readonly holdUntil: Date | null;
  readonly holdReason: string | null;
  readonly wantsScan: boolean;
  readonly availableUpdates: number;
}

const COLUMNS = `e.id, e.name, e.state, e.state_reason AS "stateReason", e.scan_only AS "scanOnly", e.simulated, e.zone, e.labels,
  e.last_seen AS "lastSeen", e.clock_skew_ms AS "clockSkewMs", e.hold_until AS "holdUntil", e.hold_reason AS "holdReason",
  e.wants_scan AS "wantsScan",
  (SELECT max(received_at) FROM scan s WHERE s.endpoint_id = e.id AND s.complete) AS "lastScan",
  (SELECT count(*) FROM available_update u WHERE u.endpoint_id = e.id) AS "availableUpdates"`;

/** What is not given is not asked for. */
export interface EndpointFilter {
  /** Anywhere in the name. */
  readonly name?: string | undefined;
  readonly state?: string | undefined;
  readonly label?: Readonly<Record<string, string>> | undefined;
  /** Not heard of since then, or never. */
  readonly offlineSince?: EpochMs | undefined;
  readonly hasUpdates?: boolean | undefined;
  /** Anywhere in name, labels or operating system; upper and lower case are the same. */
  readonly q?: string | undefined;
}

/** The filter as SQL over `endpoint e`, and its parameters from `$1`. */
export function endpointConditions(filter: EndpointFilter): { readonly sql: string; readonly values: unknown[] } {
  const sql = `($1::text IS NULL OR position(lower($1) IN lower(e.name)) > 0)
    AND ($2::text IS NULL OR e.state = $2)
    AND ($3::jsonb IS NULL OR e.labels @> $3)
    AND ($4::float8 IS NULL OR e.last_seen IS NULL OR e.last_seen < to_timestamp($4 / 1000.0))
    AND ($5::boolean IS NULL OR EXISTS (SELECT FROM available_update u WHERE u.endpoint_id = e.id) = $5)
    AND ($6::text IS NULL OR position(lower($6) IN lower(e.name)) > 0
         OR position(lower($6) IN lower(coalesce(e.facts ->> 'os', ''))) > 0
         OR EXISTS (SELECT FROM jsonb_each_text(e.labels) l WHERE position(lower($6) IN lower(l.key || '=' || l.value)) > 0))`;
  return {
    sql,
    values: [
      filter.name ?? null,
      filter.state ?? null,
      filter.label === undefined ? null : JSON.stringify(filter.label),
      filter.offlineSince ?? null,
      filter.hasUpdates ?? null,
      filter.q ?? null,
    ],
  };
}

/** Endpoints by name, then id. */
export async function listEndpoints(
  db: Queryable,
  args: { filter: EndpointFilter; after: readonly [string, string] | null; limit: number },
): Promise<Page<EndpointSummary>> {
  const { after, limit } = args;
  const { sql, values } = endpointConditions(args.filter);
  // The page is cut first; what is counted per endpoint is counted for the page only.
  const { rows } = await db.query<EndpointSummary>(
    `SELECT ${COLUMNS} FROM (
       SELECT * FROM endpoint e
        WHERE ${sql} AND ($7::text IS NULL OR (e.name, e.id) > ($7, $8::uuid))
        ORDER BY e.name, e.id LIMIT $9) e
      ORDER BY e.name, e.id`,
    [...values, after?.[0] ?? null, after?.[1] ?? null, limit + 1],
  );
  return pageOf(rows, limit, (row) => [row.name, row.id]);
}

/** These endpoints, by name, then id. */
export async function readSummaries(db: Queryable, ids: readonly string[]): Promise<EndpointSummary[]> {
  if (ids.length === 0) return [];
  const { rows } = await db.query<EndpointSummary>(
    `SELECT ${COLUMNS} FROM endpoint e WHERE e.id = ANY ($1) ORDER BY e.name, e.id`,
    [ids],
  );
  return rows;
}

export async function endpointExists(db: Queryable, id: string): Promise<boolean> {
  return (await db.query('SELECT FROM endpoint WHERE id = $1', [id])).rowCount === 1;
}

/** One endpoint with all it has installed and all it would upgrade; null when there is none. */
export async function readEndpoint(
  db: Queryable,
  id: string,
): Promise<({ readonly id: string; readonly state: EndpointState } & Readonly<Record<string, unknown>>) | null> {
  const [endpoint, packages, updates, services, stakeholders] = await Promise.all([
    db.query(
      `SELECT ${COLUMNS}, e.machine_id AS "machineId", e.facts, e.local_limits AS "localLimits", e.observations,
              e.boot_id AS "bootId", e.enrolled_at AS "enrolledAt", e.next_poll_at AS "nextPollAt", e.function, e.sensitivity,
              e.attack_likelihood AS "attackLikelihood"
         FROM endpoint e WHERE e.id = $1`,
      [id],
    ),
    db.query(
      `SELECT name, arch, version, source, source_version AS "sourceVersion" FROM installed_package
        WHERE endpoint_id = $1 ORDER BY name, arch`,
      [id],
    ),
    db.query(
      'SELECT name, arch, installed, candidate FROM available_update WHERE endpoint_id = $1 ORDER BY name, arch',
      [id],
    ),
    db.query('SELECT kind, name, detail FROM endpoint_service WHERE endpoint_id = $1 ORDER BY kind, name', [id]),
    db.query(
      'SELECT kind, account_id AS "accountId" FROM stakeholder WHERE endpoint_id = $1 ORDER BY kind, account_id',
      [id],
    ),
  ]);
  const row = endpoint.rows[0] as { id: string; state: EndpointState } | undefined;
  if (row === undefined) return null;
  return {
    ...row,
    packages: packages.rows,
    updates: updates.rows,
    services: services.rows,
    stakeholders: stakeholders.rows,
  };
}
