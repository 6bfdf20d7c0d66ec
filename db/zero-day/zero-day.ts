/** Zero-days as rows. */
import { randomUUID } from 'node:crypto';
import type { PoolClient } from 'pg';
import type { Override } from '../../domain/change/override.js';
import type { Selector } from '../../domain/fleet/selector.js';
import type { EpochMs } from '../../domain/time.js';
import type { Target } from '../../domain/zero-day/target.js';
import type { AskedPackage } from '../../domain/zero-day/targets.js';
import type { Queryable } from '../pool.js';

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
