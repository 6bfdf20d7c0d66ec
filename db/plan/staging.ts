import { STRAGGLERS } from '../../domain/change/spec.js';
import type { EpochMs } from '../../domain/time.js';
import type { Queryable } from '../pool.js';

/**
 * Inserts a stage order for every endpoint planned in a ring after the test ring that has yet to open. Once per endpoint,
 * however often it is called.
 * @returns how many are new.
 */
export async function insertStageOrders(
  db: Queryable,
  args: { readonly changeId: string; readonly now: EpochMs },
): Promise<number> {
  const { rowCount } = await db.query(
    `INSERT INTO order_state (id, change_id, ring, home_ring, endpoint_id, kind, priority, wave, content_digest, updated_at)
     SELECT gen_random_uuid(), c.id, pe.ring, pe.ring, pe.endpoint_id, 'stage', c.priority, 0, pe.update_set_digest,
            to_timestamp($2 / 1000.0)
       FROM change c JOIN plan_endpoint pe ON pe.change_id = c.id
       JOIN ring r ON r.change_id = c.id AND r.ordinal = pe.ring
      WHERE c.id = $1 AND pe.ring > 0 AND pe.ring < ${STRAGGLERS} AND r.state = 'waiting' AND pe.skipped_by IS NULL
     ON CONFLICT (change_id, endpoint_id, kind, attempt) DO NOTHING`,
    [args.changeId, args.now],
  );
  return rowCount ?? 0;
}
