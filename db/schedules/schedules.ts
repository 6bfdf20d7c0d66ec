import { randomUUID } from 'node:crypto';
import type { PoolClient } from 'pg';
import type { ChangeSpec } from '../../domain/change/spec.js';
import type { Cadence } from '../../domain/schedule/index.js';
import type { EpochMs } from '../../domain/time.js';
import type { Queryable } from '../pool.js';

export type Overlap = 'skip' | 'bufferOne' | 'allowAll';

export async function createSchedule(
  client: PoolClient,
  args: { name: string; spec: ChangeSpec; calendar: Cadence; overlap: Overlap; createdBy: string },
): Promise<string> {
  const id = randomUUID();
  await client.query(
    'INSERT INTO schedule (id, name, spec, calendar, overlap, created_by) VALUES ($1, $2, $3, $4, $5, $6)',
    [id, args.name, JSON.stringify(args.spec), JSON.stringify(args.calendar), args.overlap, args.createdBy],
  );
  return id;
}

/** @returns false when there is no such schedule, or it is retired already */
export async function retireSchedule(client: PoolClient, id: string, now: EpochMs): Promise<boolean> {
  const { rowCount } = await client.query(
    `UPDATE schedule SET retired_at = to_timestamp($2 / 1000.0), version = version + 1 WHERE id = $1 AND retired_at IS NULL`,
    [id, now],
  );
  return rowCount === 1;
}

export interface ScheduleRow {
  readonly id: string;
  readonly name: string;
  readonly spec: ChangeSpec;
  readonly calendar: Cadence;
  readonly overlap: Overlap;
  readonly createdBy: string;
  readonly createdAt: Date;
  /** Whether the worker has told Temporal of it as it is. */
  readonly applied: boolean;
}

/** Schedules in force, by name; or the one with this id. */
export async function listSchedules(db: Queryable, id: string | null = null): Promise<ScheduleRow[]> {
  const { rows } = await db.query<ScheduleRow>(
    `SELECT id, name, spec, calendar, overlap, created_by AS "createdBy", created_at AS "createdAt",
            applied_version = version AS applied
       FROM schedule WHERE retired_at IS NULL AND ($1::uuid IS NULL OR id = $1) ORDER BY name`,
    [id],
  );
  return rows;
}

/** Gives a schedule another content; its next starts follow it. @returns its name, null when there is none in force */
export async function changeSchedule(
  client: PoolClient,
  args: { id: string; spec: ChangeSpec; calendar: Cadence; overlap: Overlap },
): Promise<string | null> {
  const { rows } = await client.query<{ name: string }>(
    `UPDATE schedule SET spec = $2, calendar = $3, overlap = $4, version = version + 1
      WHERE id = $1 AND retired_at IS NULL RETURNING name`,
    [args.id, JSON.stringify(args.spec), JSON.stringify(args.calendar), args.overlap],
  );
  return rows[0]?.name ?? null;
}
