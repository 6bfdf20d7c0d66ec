import type { ChangeOutcome } from '../../domain/change/stage.js';
import type { EpochMs } from '../../domain/time.js';
import type { Queryable } from '../pool.js';

/** Closes a change for good, with its outcome and summary. A change that is closed stays as it was closed. */
export async function closeChangeRow(
  db: Queryable,
  args: {
    readonly changeId: string;
    readonly outcome: ChangeOutcome;
    readonly summary: Readonly<Record<string, unknown>>;
    readonly now: EpochMs;
  },
): Promise<void> {
  await db.query(
    `UPDATE change SET stage = 'closed', outcome = $2, summary = $3, waiting_for = NULL, closed_at = to_timestamp($4 / 1000.0)
      WHERE id = $1 AND closed_at IS NULL`,
    [args.changeId, args.outcome, JSON.stringify(args.summary), args.now],
  );
  await db.query(
    `UPDATE approval_request SET state = 'voided', closed_at = to_timestamp($2 / 1000.0) WHERE change_id = $1 AND state = 'open'`,
    [args.changeId, args.now],
  );
}
