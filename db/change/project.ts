import type { ChangeStage } from '../../domain/change/stage.js';
import type { Queryable } from '../pool.js';

/**
 * Writes where the workflow is, unless something newer is there: attempts may arrive late and out of order.
 * @returns whether the row was changed.
 */
export async function projectChange(
  db: Queryable,
  args: {
    readonly changeId: string;
    readonly version: number;
    readonly stage: ChangeStage;
    readonly waitingFor: string | null;
  },
): Promise<boolean> {
  const { rowCount } = await db.query(
    `UPDATE change SET version = $2, stage = $3, waiting_for = $4 WHERE id = $1 AND version < $2`,
    [args.changeId, args.version, args.stage, args.waitingFor],
  );
  return rowCount === 1;
}
