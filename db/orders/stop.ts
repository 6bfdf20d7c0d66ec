/**
 * Stop is a row, go is a workflow (design §3). A stop commits under the rings' locks before anybody replies, so no release
 * and no permit commits after it; only the workflow's `clearHalt` lets a ring go on.
 */
import type { Pool, PoolClient } from 'pg';
import { judgeBudget } from '../../domain/change/budget.js';
import { BEFORE_APPLY } from '../../domain/order/index.js';
import type { EpochMs } from '../../domain/time.js';
import { appendAudit } from '../audit/append.js';
import { inTransaction, type Queryable } from '../pool.js';
import { FAILED_STATES, lockRings, notifyOrders, setHalted } from './budget-halt.js';
import { stopHandingOut } from './hand-out-lock.js';
import { quoted } from './move-set.js';
import { at, toEpoch } from './rows.js';
import { NoSuchRow } from './types.js';

export type HaltVerb = 'pause' | 'abort' | 'stopAll';

export interface Halted {
  /** Orders holding a permit: they may still start until `mayStillStartUntil`. */
  readonly outstanding: number;
  readonly mayStillStartUntil: EpochMs | null;
}

/**
 * Halts a change and every ring of it. When it returns and the caller commits, nothing more is let out or permitted.
 * A stronger verb replaces a weaker one; a halt a ring already has keeps its reason.
 *
 * @throws NoSuchRow when there is no such change.
 */
export async function haltChange(
  client: PoolClient,
  args: {
    readonly changeId: string;
    readonly verb: HaltVerb;
    readonly by: string;
    readonly reason: string;
    readonly now?: EpochMs;
  },
): Promise<Halted> {
  const now = args.now ?? Date.now();
  const { rowCount } = await client.query(
    `UPDATE change SET halted = true,
            halted_by = CASE WHEN halted AND halt_verb <> 'pause' THEN halted_by ELSE $3 END,
            halt_verb = CASE WHEN halted AND halt_verb <> 'pause' AND $2 = 'pause' THEN halt_verb ELSE $2 END
      WHERE id = $1`,
    [args.changeId, args.verb, args.by],
  );
  if (rowCount === 0) throw new NoSuchRow(`there is no change ${args.changeId}`);
  await lockRings(client, [args.changeId]);
  await client.query(
    `UPDATE ring SET halted = true, halt_reason = $2, halted_by = $3, halted_at = ${at('$4')}
      WHERE change_id = $1 AND NOT halted`,
    [args.changeId, args.reason, args.by, now],
  );
  await appendAudit(client, [
    {
      actor: args.by,
      action: `change.${args.verb}`,
      subject: `change/${args.changeId}`,
      detail: { reason: args.reason },
    },
  ]);
  await notifyOrders(client, [args.changeId]);
  return outstandingPermits(client, { changeId: args.changeId, ring: null });
}

/** Halts every change that is not closed, in the caller's transaction. @returns the changes halted. */
export async function haltAll(
  client: PoolClient,
  args: { readonly by: string; readonly reason: string; readonly now?: EpochMs },
): Promise<{ readonly changeIds: readonly string[] } & Halted> {
  const { rows } = await client.query('SELECT id FROM change WHERE closed_at IS NULL ORDER BY id FOR UPDATE');
  let outstanding = 0;
  let until: EpochMs | null = null;
  for (const { id } of rows) {
    const halted = await haltChange(client, { ...args, changeId: id, verb: 'stopAll' });
    outstanding += halted.outstanding;
    if (halted.mayStillStartUntil !== null) until = Math.max(until ?? 0, halted.mayStillStartUntil);
  }
  return { changeIds: rows.map((row) => row.id), outstanding, mayStillStartUntil: until };
}

/** Halts one ring, and leaves the rest of its change going. */
export async function haltRing(
  pool: Pool,
  args: {
    readonly changeId: string;
    readonly ring: number;
    readonly by: string;
    readonly reason: string;
    readonly now: EpochMs;
  },
): Promise<void> {
  await inTransaction(pool, async (client) => {
    const { rows } = await client.query('SELECT halted FROM ring WHERE change_id = $1 AND ordinal = $2 FOR UPDATE', [
      args.changeId,
      args.ring,
    ]);
    if (rows[0] === undefined) throw new NoSuchRow(`there is no ring ${args.ring} of change ${args.changeId}`);
    if (rows[0].halted) return;
    await stopHandingOut(client, [args.changeId]);
    await setHalted(client, { halts: [args], by: args.by, now: args.now });
  });
}

/**
 * Lets a halted change (`ring: null`) or one of its rings go on. Only the workflow calls it, on a person's word. Failures that
 * had spent a ring's budget are accepted with it; further ones count anew.
 */
export async function clearHalt(
  pool: Pool,
  args: { readonly changeId: string; readonly ring: number | null; readonly by: string },
): Promise<void> {
  await inTransaction(pool, async (client) => {
    if (args.ring === null) {
      await client.query('UPDATE change SET halted = false, halt_verb = NULL, halted_by = NULL WHERE id = $1', [
        args.changeId,
      ]);
    }
    await lockRings(client, [args.changeId]);
    const { rows } = await client.query(
      `SELECT r.ordinal, r.spec, r.planned, r.forgiven_failures AS forgiven,
              (SELECT count(*)::int FROM order_state o WHERE o.change_id = r.change_id AND o.ring = r.ordinal AND o.kind = 'change'
                  AND NOT o.retried AND o.state IN (${quoted(FAILED_STATES)})) AS failed
         FROM ring r WHERE r.change_id = $1 AND r.halted AND ($2::smallint IS NULL OR r.ordinal = $2) ORDER BY r.ordinal`,
      [args.changeId, args.ring],
    );
    if (rows.length === 0) return;
    const forgiven = rows.map((row) => (judgeBudget(row).kind === 'spent' ? row.failed : row.forgiven));
    await client.query(
      `UPDATE ring r SET halted = false, halt_reason = NULL, halted_by = NULL, halted_at = NULL, forgiven_failures = c.forgiven
         FROM unnest($2::smallint[], $3::int[]) AS c (ordinal, forgiven) WHERE r.change_id = $1 AND r.ordinal = c.ordinal`,
      [args.changeId, rows.map((row) => row.ordinal), forgiven],
    );
    await appendAudit(client, [
      {
        actor: args.by,
        action: 'change.resumed',
        subject: `change/${args.changeId}`,
        detail: { rings: rows.map((row, i) => ({ ring: row.ordinal, acceptedFailures: forgiven[i] })) },
      },
    ]);
  });
}

/** Orders that have not begun but hold a permit, in a change or one ring of it (wherever they are pumped now). */
export async function outstandingPermits(
  client: Queryable,
  args: { readonly changeId: string; readonly ring: number | null },
): Promise<Halted> {
  const { rows } = await client.query(
    `SELECT count(*)::int AS n, max(o.permit_until) AS until FROM order_state o
      WHERE o.change_id = $1 AND o.phase = 'holding' AND o.permit_until IS NOT NULL
        AND ($2::smallint IS NULL OR o.ring = $2 OR o.home_ring = $2) AND o.state IN (${quoted(BEFORE_APPLY)})`,
    [args.changeId, args.ring],
  );
  return { outstanding: rows[0].n, mayStillStartUntil: toEpoch(rows[0].until) };
}
