/** What the pages of endpoints show. Packages are counted, not listed: there may be thousands. */
import type { EpochMs } from '../../domain/time.js';
import type { Queryable } from '../pool.js';
import { type Page, pageOf } from './cursor.js';

export interface EndpointLine {
  readonly id: string;
  readonly name: string;
  readonly state: string;
  readonly simulated: boolean;
  readonly labels: Readonly<Record<string, string>>;
  readonly lastSeen: Date | null;
  readonly holdUntil: Date | null;
  readonly updates: number;
}

export interface EndpointSearch {
  /** Anywhere in the name; or `key=value` of a label. */
  readonly text: string | null;
  readonly state: 'active' | 'quarantined' | 'retired' | null;
  /** Only those last heard of before this. */
  readonly silentSince: EpochMs | null;
  readonly withUpdates: boolean;
  readonly sort: 'name' | 'silent';
}

/** One page of the fleet, by name, or the longest silent first. */
export async function searchEndpoints(
  db: Queryable,
  args: { search: EndpointSearch; after: readonly [string | number, string] | null; limit: number },
): Promise<Page<EndpointLine>> {
  const { search, after, limit } = args;
  const label = /^([^=]{1,64})=(.{0,256})$/s.exec(search.text ?? '');
  const key = search.sort === 'name' ? 'name' : 'coalesce((extract(epoch FROM last_seen) * 1000000)::bigint, 0)';
  const { rows } = await db.query<EndpointLine & { key: string | number }>(
    `SELECT e.key, e.id, e.name, e.state, e.simulated, e.labels, e.last_seen AS "lastSeen",
            CASE WHEN e.hold_until > now() THEN e.hold_until END AS "holdUntil",
            (SELECT count(*)::int FROM available_update u WHERE u.endpoint_id = e.id) AS updates
       FROM (SELECT *, ${key} AS key FROM endpoint
              WHERE ($1::text IS NULL OR position(lower($1) IN lower(name)) > 0)
                AND ($2::jsonb IS NULL OR labels @> $2)
                AND ($3::text IS NULL AND state <> 'retired' OR state = $3)
                AND ($4::float8 IS NULL OR coalesce(last_seen, enrolled_at) < to_timestamp($4 / 1000.0))
                AND (NOT $5 OR EXISTS (SELECT FROM available_update u WHERE u.endpoint_id = endpoint.id))
                AND ($6::${search.sort === 'name' ? 'text' : 'bigint'} IS NULL OR (${key}, id) > ($6, $7::uuid))
              ORDER BY ${key}, id LIMIT $8) e
      ORDER BY e.key, e.id`,
    [
      label === null ? search.text : null,
      label === null ? null : JSON.stringify({ [label[1] as string]: label[2] }),
      search.state,
      search.silentSince,
      search.withUpdates,
      after?.[0] ?? null,
      after?.[1] ?? null,
      limit + 1,
    ],
  );
  return pageOf(rows, limit, (row) => [row.key, row.id]);
}

export interface EndpointAbout extends Omit<EndpointLine, 'updates'> {
  readonly stateReason: string | null;
  readonly scanOnly: boolean;
  readonly zone: string;
  readonly function: string | null;
  readonly sensitivity: string | null;
  readonly attackLikelihood: string | null;
  readonly facts: Readonly<Record<string, unknown>>;
  readonly observations: Readonly<Record<string, unknown>>;
  readonly localLimits: Readonly<Record<string, unknown>>;
  readonly holdReason: string | null;
  readonly wantsScan: boolean;
  readonly clockSkewMs: number;
  readonly enrolledAt: Date;
  readonly packages: number;
  readonly updateCount: number;
  readonly updates: readonly {
    readonly name: string;
    readonly arch: string;
    readonly installed: string | null;
    readonly candidate: string;
  }[];
  readonly scans: readonly {
    readonly at: Date;
    readonly complete: boolean;
    readonly reason: string | null;
    readonly rebootRequired: boolean;
  }[];
  readonly stakeholders: readonly { readonly kind: string; readonly name: string }[];
}

export interface EndpointOrder {
  readonly id: string;
  readonly kind: string;
  readonly state: string;
  readonly reason: string | null;
  readonly windowReason: string | null;
  readonly changeId: string | null;
  readonly change: string | null;
  readonly updatedAt: Date;
  readonly steps: readonly { readonly at: Date; readonly event: string; readonly actor: string; readonly to: string }[];
}

const MAX_UPDATES = 100;

/** One endpoint; null when there is none. */
export async function readEndpointAbout(db: Queryable, id: string): Promise<EndpointAbout | null> {
  const { rows } = await db.query<Omit<EndpointAbout, 'updates' | 'scans' | 'stakeholders'>>(
    `SELECT e.id, e.name, e.state, e.state_reason AS "stateReason", e.scan_only AS "scanOnly", e.simulated, e.zone, e.labels,
            e.function, e.sensitivity, e.attack_likelihood AS "attackLikelihood", e.facts, e.observations,
            e.local_limits AS "localLimits", CASE WHEN e.hold_until > now() THEN e.hold_until END AS "holdUntil",
            e.hold_reason AS "holdReason", e.wants_scan AS "wantsScan", e.clock_skew_ms AS "clockSkewMs",
            e.enrolled_at AS "enrolledAt", e.last_seen AS "lastSeen",
            (SELECT count(*)::int FROM installed_package p WHERE p.endpoint_id = e.id) AS packages,
            (SELECT count(*)::int FROM available_update u WHERE u.endpoint_id = e.id) AS "updateCount"
       FROM endpoint e WHERE e.id = $1`,
    [id],
  );
  const row = rows[0];
  if (row === undefined) return null;
  const updates = await db.query(
    `SELECT name, arch, installed, candidate FROM available_update WHERE endpoint_id = $1 ORDER BY name, arch LIMIT $2`,
    [id, MAX_UPDATES],
  );
  const scans = await db.query(
    `SELECT received_at AS at, complete, incomplete_reason AS reason, reboot_required AS "rebootRequired" FROM scan
      WHERE endpoint_id = $1 ORDER BY received_at DESC LIMIT 10`,
    [id],
  );
  const stakeholders = await db.query(
    `SELECT s.kind, a.name FROM stakeholder s JOIN account a ON a.id = s.account_id WHERE s.endpoint_id = $1 ORDER BY s.kind, a.name`,
    [id],
  );
  return { ...row, updates: updates.rows, scans: scans.rows, stakeholders: stakeholders.rows };
}

/** The endpoint's last orders, newest first, each with its last steps in order. */
export async function listEndpointOrders(
  db: Queryable,
  args: { endpointId: string; limit: number; steps: number },
): Promise<readonly EndpointOrder[]> {
  const { rows } = await db.query<EndpointOrder>(
    `SELECT o.id, o.kind, o.state, o.reason, o.window_reason AS "windowReason", o.change_id AS "changeId", c.name AS change,
            o.updated_at AS "updatedAt", coalesce(s.steps, '[]') AS steps
       FROM (SELECT * FROM order_state WHERE endpoint_id = $1 ORDER BY updated_at DESC, id LIMIT $2) o
       LEFT JOIN change c ON c.id = o.change_id
       LEFT JOIN LATERAL (
         SELECT jsonb_agg(jsonb_build_object('at', v.at, 'event', v.event, 'actor', v.actor, 'to', v.to_state) ORDER BY v.id) AS steps
           FROM (SELECT * FROM order_event WHERE order_id = o.id ORDER BY id DESC LIMIT $3) v) s ON true
      ORDER BY o.updated_at DESC, o.id`,
    [args.endpointId, args.limit, args.steps],
  );
  // Inside JSON an instant is text.
  return rows.map((row) => ({ ...row, steps: row.steps.map((step) => ({ ...step, at: new Date(step.at) })) }));
}

export interface PackageLine {
  readonly name: string;
  readonly arch: string;
  readonly version: string;
}

/** What is installed, by name. */
export async function searchPackages(
  db: Queryable,
  args: { endpointId: string; text: string | null; after: readonly [string, string] | null; limit: number },
): Promise<Page<PackageLine>> {
  const { rows } = await db.query<PackageLine>(
    `SELECT name, arch, version FROM installed_package
      WHERE endpoint_id = $1 AND ($2::text IS NULL OR position(lower($2) IN lower(name)) > 0)
        AND ($3::text IS NULL OR (name, arch) > ($3, $4::text))
      ORDER BY name, arch LIMIT $5`,
    [args.endpointId, args.text, args.after?.[0] ?? null, args.after?.[1] ?? null, args.limit + 1],
  );
  return pageOf(rows, args.limit, (row) => [row.name, row.arch]);
}
