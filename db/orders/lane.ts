import type { Pool, PoolClient } from 'pg';
import type { Pace } from '../../domain/change/pace.js';
import { SLOW_START } from '../../domain/change/pace.js';
import { STRAGGLERS } from '../../domain/change/spec.js';
import type { EpochMs } from '../../domain/time.js';
import { inTransaction } from '../pool.js';
import { stopHandingOut } from './hand-out-lock.js';
import { toEpoch } from './rows.js';
import { NoSuchRow, type OrderTarget, PumpFenced } from './types.js';

/** A ring, or the stragglers' lane, as a pump sees it while it holds the row's lock. */
export interface Lane {
  readonly changeId: string;
  readonly ring: number;
  readonly target: OrderTarget;
  readonly isStragglers: boolean;
  readonly spec: unknown;
  readonly planned: number;
  readonly forgivenFailures: number;
  readonly halted: boolean;
  readonly haltReason: string | null;
  readonly haltedBy: string | null;
  readonly pace: Pace;
  /** Of the ring; null before it opens. */
  readonly deadline: EpochMs | null;
  readonly changeDeadline: EpochMs;
  readonly offlineAfterMinutes: number;
  readonly planDigest: string | null;
  readonly approvedDigest: string | null;
}

/**
 * Starts an attempt of the pump: its epoch fences every earlier attempt off. A ring turned to another kind of order starts
 * slowly again.
 *
 * @throws NoSuchRow when there is no such ring.
 */
export async function beginPump(
  pool: Pool,
  args: { readonly changeId: string; readonly ring: number; readonly target?: OrderTarget },
): Promise<{ readonly epoch: number }> {
  const { rows } = await pool.query(
    `UPDATE ring SET epoch = epoch + 1, target_kind = coalesce($3, target_kind),
            concurrency = CASE WHEN same THEN concurrency ELSE ${SLOW_START.concurrency} END,
            paced_successes = CASE WHEN same THEN paced_successes ELSE 0 END,
            paced_failures = CASE WHEN same THEN paced_failures ELSE 0 END
       FROM (SELECT target_kind = coalesce($3, target_kind) AS same FROM ring WHERE change_id = $1 AND ordinal = $2) was
      WHERE change_id = $1 AND ordinal = $2
      RETURNING epoch::int`,
    [args.changeId, args.ring, args.target ?? null],
  );
  if (rows[0] === undefined) throw new NoSuchRow(`there is no ring ${args.ring} of change ${args.changeId}`);
  return { epoch: rows[0].epoch };
}

/**
 * What is locked of a ring: letting out takes the row, and gets on beside those who hand out what is out (`takeOfferBatch`), for
 * both lock the orders they are at; `exclusive` shuts out these, too.
 */
export type RingLock = 'letOut' | 'exclusive';

/**
 * Takes the locks of a release, the change's before the ring's (as a stop does), and reads the ring under them.
 *
 * @param args.epoch null: no pump, so nothing to fence.
 * @param args.lock default `exclusive`.
 * @throws PumpFenced when a newer attempt of the pump has begun; NoSuchRow.
 */
export async function lockLane(
  client: PoolClient,
  args: {
    readonly changeId: string;
    readonly ring: number;
    readonly target: OrderTarget;
    readonly epoch: number | null;
    readonly lock?: RingLock;
  },
): Promise<Lane> {
  const { changeId, ring, target } = args;
  const { rows: changes } = await client.query(
    `SELECT halted, halt_verb, halted_by, plan_digest, deadline, (spec ->> 'offlineAfterMinutes')::float8 AS offline_after
       FROM change WHERE id = $1 FOR SHARE`,
    [changeId],
  );
  const { rows: rings } = await client.query(
    `SELECT spec, epoch::int, planned, forgiven_failures, halted, halt_reason, halted_by, concurrency, paced_successes,
            paced_failures, deadline, approved_digest
       FROM ring WHERE change_id = $1 AND ordinal = $2 FOR NO KEY UPDATE`,
    [changeId, ring],
  );
  const [change, row] = [changes[0], rings[0]];
  if (change === undefined || row === undefined) throw new NoSuchRow(`there is no ring ${ring} of change ${changeId}`);
  if (args.lock !== 'letOut') await stopHandingOut(client, [changeId]);
  if (args.epoch !== null && row.epoch !== args.epoch) throw new PumpFenced(args.epoch, row.epoch);
  // A stop halts every ring that is a row, so an undoing ring goes by its own flag: it was let go after the stop.
  const byChange = change.halted && target !== 'revert';
  return {
    changeId,
    ring,
    target,
    isStragglers: ring === STRAGGLERS,
    spec: row.spec,
    planned: row.planned,
    forgivenFailures: row.forgiven_failures,
    halted: row.halted || byChange,
    haltReason: row.halt_reason ?? (byChange ? `${change.halt_verb} by ${change.halted_by}` : null),
    haltedBy: row.halted_by ?? (byChange ? change.halted_by : null),
    pace: { concurrency: row.concurrency, pacedSuccesses: row.paced_successes, pacedFailures: row.paced_failures },
    deadline: toEpoch(row.deadline),
    changeDeadline: toEpoch(change.deadline) ?? 0,
    offlineAfterMinutes: change.offline_after ?? 0,
    planDigest: change.plan_digest,
    approvedDigest: row.approved_digest,
  };
}

/** Takes a ring's lock outside any pump. @see lockLane */
export async function withLane<T>(
  pool: Pool,
  args: { readonly changeId: string; readonly ring: number; readonly target: OrderTarget },
  work: (client: PoolClient, lane: Lane) => Promise<T>,
): Promise<T> {
  return inTransaction(pool, async (client) => work(client, await lockLane(client, { ...args, epoch: null })));
}
