import type { RingSpec } from '../../domain/change/spec.js';
import type { EpochMs } from '../../domain/time.js';
import { stopHandingOut } from '../orders/hand-out-lock.js';
import type { Queryable } from '../pool.js';

export interface RingRow {
  readonly ordinal: number;
  readonly state: string;
  readonly approvedDigest: string | null;
}

/**
 * The rings of a change that are rows already, in order.
 * @param args.lock take their locks, in the order every writer takes, and shut out whoever hands out orders of the change.
 */
export async function loadRings(
  db: Queryable,
  args: { readonly changeId: string; readonly lock?: boolean },
): Promise<RingRow[]> {
  const { rows } = await db.query(
    `SELECT ordinal, state, approved_digest FROM ring WHERE change_id = $1 ORDER BY ordinal
       ${args.lock === true ? 'FOR UPDATE' : ''}`,
    [args.changeId],
  );
  if (args.lock === true) await stopHandingOut(db, [args.changeId]);
  return rows.map((row) => ({ ordinal: row.ordinal, state: row.state, approvedDigest: row.approved_digest }));
}

/**
 * Makes sure each ring is a row, so that a stop finds it. Rings of a change that is halted start halted. A ring that has
 * yet to open takes the spec given; an open one keeps the terms it was opened under.
 */
export async function upsertRings(
  db: Queryable,
  args: {
    readonly changeId: string;
    readonly rings: readonly { readonly ordinal: number; readonly spec: RingSpec; readonly deadline: EpochMs | null }[];
    readonly now: EpochMs;
  },
): Promise<void> {
  await db.query(
    `INSERT INTO ring (change_id, ordinal, name, spec, deadline, halted, halt_reason, halted_by, halted_at)
     SELECT c.id, r.ordinal, r.name, r.spec, to_timestamp(r.deadline / 1000.0),
            c.halted, CASE WHEN c.halted THEN c.halt_verb END, CASE WHEN c.halted THEN c.halted_by END,
            CASE WHEN c.halted THEN to_timestamp($6 / 1000.0) END
       FROM change c, unnest($2::smallint[], $3::text[], $4::jsonb[], $5::float8[]) AS r (ordinal, name, spec, deadline)
      WHERE c.id = $1
      ORDER BY r.ordinal
     ON CONFLICT (change_id, ordinal) DO UPDATE
        SET name = excluded.name, spec = excluded.spec, deadline = coalesce(ring.deadline, excluded.deadline)
      WHERE ring.state = 'waiting'`,
    [
      args.changeId,
      args.rings.map((ring) => ring.ordinal),
      args.rings.map((ring) => ring.spec.name),
      args.rings.map((ring) => JSON.stringify(ring.spec)),
      args.rings.map((ring) => ring.deadline),
      args.now,
    ],
  );
}
