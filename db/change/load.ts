import type { ChangeSpec } from '../../domain/change/spec.js';
import type { ChangeOutcome, ChangeStage } from '../../domain/change/stage.js';
import type { EpochMs } from '../../domain/time.js';
import type { Queryable } from '../pool.js';

export interface ChangeRow {
  readonly id: string;
  readonly kind: string;
  readonly name: string;
  readonly spec: ChangeSpec;
  readonly priority: number;
  readonly requestedBy: string;
  readonly requestedAt: EpochMs;
  readonly deadline: EpochMs;
  readonly stage: ChangeStage;
  readonly outcome: ChangeOutcome | null;
  readonly halted: boolean;
  readonly haltVerb: 'pause' | 'abort' | 'stopAll' | null;
  readonly haltedBy: string | null;
  readonly planDigest: string | null;
  readonly planRevision: number;
  readonly closedAt: EpochMs | null;
  /** The zero-day it serves: it plans for that one's endpoints alone. */
  readonly zeroDayId: string | null;
}

/**
 * One change, or null when there is none with this id.
 * @param args.lock take the row's lock until the transaction ends: a stop then happens before or after, never in between.
 */
export async function loadChange(
  db: Queryable,
  args: { readonly changeId: string; readonly lock?: boolean },
): Promise<ChangeRow | null> {
  const { rows } = await db.query(
    `SELECT id, kind, name, spec, priority, requested_by, requested_at, deadline, stage, outcome, halted, halt_verb,
            halted_by, plan_digest, plan_revision, closed_at, zero_day_id
       FROM change WHERE id = $1 ${args.lock === true ? 'FOR UPDATE' : ''}`,
    [args.changeId],
  );
  const row = rows[0];
  if (row === undefined) return null;
  return {
    id: row.id,
    kind: row.kind,
    name: row.name,
    spec: row.spec,
    priority: row.priority,
    requestedBy: row.requested_by,
    requestedAt: row.requested_at.getTime(),
    deadline: row.deadline.getTime(),
    stage: row.stage,
    outcome: row.outcome,
    halted: row.halted,
    haltVerb: row.halt_verb,
    haltedBy: row.halted_by,
    planDigest: row.plan_digest,
    planRevision: row.plan_revision,
    closedAt: row.closed_at === null ? null : row.closed_at.getTime(),
    zeroDayId: row.zero_day_id,
  };
}
