import type { ChangeSpec } from '../../domain/change/spec.js';
import type { Queryable } from '../pool.js';

export interface ScheduleRow {
  readonly id: string;
  readonly name: string;
  readonly spec: ChangeSpec;
  readonly overlap: 'skip' | 'bufferOne' | 'allowAll';
  readonly retired: boolean;
}

/** One schedule, locked so that two occurrences decide one after the other; null when there is none. */
export async function lockSchedule(db: Queryable, scheduleId: string): Promise<ScheduleRow | null> {
  const { rows } = await db.query('SELECT id, name, spec, overlap, retired_at FROM schedule WHERE id = $1 FOR UPDATE', [
    scheduleId,
  ]);
  const row = rows[0];
  if (row === undefined) return null;
  return { id: row.id, name: row.name, spec: row.spec, overlap: row.overlap, retired: row.retired_at !== null };
}

/** The newest change of this requester that has not closed, or null. */
export async function findOpenChangeOf(db: Queryable, requestedBy: string): Promise<string | null> {
  const { rows } = await db.query<{ id: string }>(
    'SELECT id FROM change WHERE requested_by = $1 AND closed_at IS NULL ORDER BY requested_at DESC LIMIT 1',
    [requestedBy],
  );
  return rows[0]?.id ?? null;
}
