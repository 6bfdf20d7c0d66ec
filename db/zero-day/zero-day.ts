/** Zero-days as rows. */
import { randomUUID } from 'node:crypto';
import type { PoolClient } from 'pg';
import type { Override } from '../../domain/change/override.js';
import type { Selector } from '../../domain/fleet/selector.js';
import type { EpochMs } from '../../domain/time.js';
import type { Target } from '../../domain/zero-day/target.js';
import type { AskedPackage } from '../../domain/zero-day/targets.js';
import type { Queryable } from '../pool.js';
import { type Page, pageOf } from '../read/cursor.js';

/** What was asked for, as it was asked for. */
export interface ZeroDayRequest {
  readonly cves: readonly string[];
  readonly packages: readonly AskedPackage[];
  readonly override: Override;
}

export interface ZeroDayRow {
  readonly id: string;
  readonly name: string;
  readonly reason: string;
  readonly request: ZeroDayRequest;
  readonly targets: readonly Target[];
  readonly scope: Selector | null;
  readonly requestedBy: string;
  readonly requestedAt: Date;
  readonly dueAt: Date;
  readonly lookedAt: Date;
  readonly exposed: number;
  readonly endedAt: Date | null;
}

const COLUMNS = `z.id, z.name, z.reason, z.request, z.targets, z.scope, z.requested_by AS "requestedBy", z.requested_at AS "requestedAt",
  z.due_at AS "dueAt", z.looked_at AS "lookedAt", z.exposed, z.ended_at AS "endedAt"`;

export async function insertZeroDay(
  client: PoolClient,
  args: {
    readonly name: string;
    readonly reason: string;
    readonly request: ZeroDayRequest;
    readonly targets: readonly Target[];
    readonly scope: Selector | null;
    readonly requestedBy: string;
    readonly dueAt: EpochMs;
    readonly exposed: number;
    readonly now: EpochMs;
  },
): Promise<string> {
  const id = randomUUID();
  await client.query(
    `INSERT INTO zero_day (id, name, reason, request, targets, scope, requested_by, requested_at, due_at, looked_at, exposed, ended_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, to_timestamp($8 / 1000.0), to_timestamp($9 / 1000.0), to_timestamp($8 / 1000.0), $10,
             CASE WHEN $10 = 0 THEN to_timestamp($8 / 1000.0) END)`,
    [
      id,
      args.name,
      args.reason,
      JSON.stringify(args.request),
      JSON.stringify(args.targets),
      args.scope === null ? null : JSON.stringify(args.scope),
      args.requestedBy,
      args.now,
      args.dueAt,
      args.exposed,
    ],
  );
  return id;
}

export async function readZeroDay(db: Queryable, id: string): Promise<ZeroDayRow | null> {
  const { rows } = await db.query<ZeroDayRow>(`SELECT ${COLUMNS} FROM zero_day z WHERE z.id = $1`, [id]);
  return rows[0] ?? null;
}

/** How far it has come, by rows alone: endpoints that were taken out of service don't count. */
export interface ZeroDayCounts {
  /** Not proven fixed. */
  readonly exposed: number;
  readonly fixed: number;
  /** From exposed to proven fixed; null: nobody is yet. */
  readonly meanSecondsToPatch: number | null;
}

/** Newest first. */
export async function listZeroDays(
  db: Queryable,
  args: { readonly open: boolean | null; readonly after: readonly [number, string] | null; readonly limit: number },
): Promise<Page<ZeroDayRow & { readonly counts: ZeroDayCounts }>> {
  const { rows } = await db.query<ZeroDayRow & { micros: number }>(
    `SELECT ${COLUMNS}, (extract(epoch FROM z.requested_at) * 1000000)::bigint AS micros FROM zero_day z
      WHERE ($1::boolean IS NULL OR (z.ended_at IS NULL) = $1)
        AND ($2::bigint IS NULL OR (z.requested_at, z.id) < (to_timestamp(0) + $2::bigint * interval '1 microsecond', $3::uuid))
      ORDER BY z.requested_at DESC, z.id DESC LIMIT $4`,
    [args.open, args.after?.[0] ?? null, args.after?.[1] ?? null, args.limit + 1],
  );
  const page = pageOf(rows, args.limit, (row) => [row.micros, row.id]);
  const counts = await countZeroDays(
    db,
    page.items.map(({ id }) => id),
  );
  return {
    next: page.next,
    items: page.items.map(({ micros: _, ...row }) => ({ ...row, counts: countsOf(counts, row.id) })),
  };
}

export async function readZeroDayCounts(db: Queryable, id: string): Promise<ZeroDayCounts> {
  return countsOf(await countZeroDays(db, [id]), id);
}

const countsOf = (counts: ReadonlyMap<string, ZeroDayCounts>, id: string): ZeroDayCounts =>
  counts.get(id) ?? { exposed: 0, fixed: 0, meanSecondsToPatch: null };

async function countZeroDays(db: Queryable, ids: readonly string[]): Promise<Map<string, ZeroDayCounts>> {
  const { rows } = await db.query<ZeroDayCounts & { id: string }>(
    `SELECT z.zero_day_id AS id, count(*) FILTER (WHERE z.fixed_at IS NULL AND e.state <> 'retired')::int AS exposed,
            count(z.fixed_at)::int AS fixed,
            round(avg(extract(epoch FROM z.fixed_at - z.exposed_since)))::int AS "meanSecondsToPatch"
       FROM zero_day_endpoint z JOIN endpoint e ON e.id = z.endpoint_id WHERE z.zero_day_id = ANY ($1) GROUP BY 1`,
    [ids],
  );
  return new Map(rows.map(({ id, ...counts }) => [id, counts]));
}

/** A change that serves a zero-day. */
export interface ZeroDayChange {
  readonly id: string;
  readonly stage: string;
  readonly outcome: string | null;
  readonly waitingFor: string | null;
  readonly halted: boolean;
  /** Null: it is still being prepared. */
  readonly planDigest: string | null;
  readonly requestedAt: Date;
  readonly closedAt: Date | null;
}

/** The changes of a zero-day, the newest first. */
export async function listZeroDayChanges(db: Queryable, zeroDayId: string): Promise<ZeroDayChange[]> {
  const { rows } = await db.query<ZeroDayChange>(
    `SELECT id, stage, outcome, waiting_for AS "waitingFor", halted, plan_digest AS "planDigest", requested_at AS "requestedAt",
            closed_at AS "closedAt"
       FROM change WHERE zero_day_id = $1 ORDER BY requested_at DESC, id DESC LIMIT 100`,
    [zeroDayId],
  );
  return rows;
}

/** One start at a time; held until the transaction ends. */
export async function lockZeroDay(client: PoolClient, id: string): Promise<void> {
  await client.query(`SELECT pg_advisory_xact_lock(hashtextextended('zero_day ' || $1, 0))`, [id]);
}
