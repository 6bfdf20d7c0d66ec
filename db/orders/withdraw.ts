/** Taking orders back: all that have not begun, one endpoint's, or, at the very end, everything that is still open. */
import type { Pool, PoolClient } from 'pg';
import { BEFORE_APPLY, ORDER_STATES, STATE_TRAITS } from '../../domain/order/index.js';
import type { EpochMs } from '../../domain/time.js';
import { appendAudit } from '../audit/append.js';
import { inTransaction } from '../pool.js';
import { haltSpentRings, lockRings, notifyOrders, setHalted } from './budget-halt.js';
import { lockOrders, moveOrders, quoted } from './move-set.js';
import { at, toEpoch } from './rows.js';
import { type Halted, outstandingPermits } from './stop.js';
import { applyTimeouts, expireUnheard } from './timeouts.js';
import { NoSuchRow } from './types.js';

const OF_RING = 'o.change_id = $1 AND ($2::smallint IS NULL OR o.ring = $2 OR o.home_ring = $2)';
const WORKING = quoted(ORDER_STATES.filter((state) => STATE_TRAITS[state].working));

export interface Withdrawn extends Halted {
  readonly withdrawn: number;
}

/**
 * Takes back every order that has not begun and holds no permit, of a change or of one ring of it (its stragglers included).
 * The rings' locks are held, so no permit is handed out meanwhile.
 */
export async function withdrawOpen(
  pool: Pool,
  args: { readonly changeId: string; readonly ring: number | null; readonly reason: string; readonly now: EpochMs },
): Promise<Withdrawn> {
  return inTransaction(pool, async (client) => {
    await lockRings(client, [args.changeId]);
    return withdrawLocked(client, args);
  });
}

/** {@link withdrawOpen} for a caller that holds the rings' locks. */
export async function withdrawLocked(
  client: PoolClient,
  args: { readonly changeId: string; readonly ring: number | null; readonly reason: string; readonly now: EpochMs },
): Promise<Withdrawn> {
  const moved = await moveOrders(client, {
    event: 'withdraw',
    where: OF_RING,
    values: [args.changeId, args.ring],
    now: args.now,
    reason: args.reason,
  });
  if (moved.length > 0) {
    await appendAudit(client, [
      {
        actor: 'worker',
        action: 'orders.withdrawn',
        subject: `change/${args.changeId}`,
        detail: { ring: args.ring, reason: args.reason, orders: moved.map((m) => m.id) },
      },
    ]);
  }
  return { withdrawn: moved.length, ...(await outstandingPermits(client, args)) };
}

export interface Settling extends Withdrawn {
  /** Orders of the ring that are on their way to an outcome. */
  readonly underWay: number;
}

/**
 * One step of winding a ring up: halts it, takes back what has not begun, and lets time end what is never heard of again.
 *
 * @throws NoSuchRow when there is no such ring.
 */
export async function settleStep(
  pool: Pool,
  args: { readonly changeId: string; readonly ring: number; readonly reason: string; readonly now: EpochMs },
): Promise<Settling> {
  return inTransaction(pool, async (client) => {
    const { changeId, ring, now, reason } = args;
    await lockRings(client, [changeId]);
    const { rows } = await client.query(
      `SELECT r.halted, c.deadline, (c.spec ->> 'offlineAfterMinutes')::float8 AS silent_minutes
         FROM ring r JOIN change c ON c.id = r.change_id WHERE r.change_id = $1 AND r.ordinal = $2`,
      [changeId, ring],
    );
    const row = rows[0];
    if (row === undefined) throw new NoSuchRow(`there is no ring ${ring} of change ${changeId}`);
    if (!row.halted) await setHalted(client, { halts: [{ changeId, ring, reason }], by: 'settling', now });
    const deadline = toEpoch(row.deadline) ?? now;
    await lockOrders(client, { where: OF_RING, values: [changeId, ring] });
    for (const target of ['stage', 'change', 'revert'] as const)
      await applyTimeouts(client, { changeId, ring, target }, { now, deadline });
    const withdrawn = await withdrawLocked(client, args);
    await expireUnheard(client, { changeId, ring, now, silentMinutes: row.silent_minutes ?? 0 });
    const { rows: left } = await client.query(
      `SELECT count(*)::int AS n FROM order_state o WHERE ${OF_RING} AND o.phase = 'holding'
          AND o.state IN (${WORKING})`,
      [changeId, ring],
    );
    return { ...withdrawn, ...(await outstandingPermits(client, args)), underWay: left[0].n };
  });
}

export interface Skipped {
  readonly skipped: boolean;
  /** Why not, or what is still to come. */
  readonly reason: string | null;
}

/**
 * Takes one endpoint out of a change: its open orders, and its place in rings that have yet to open. Refused for an order
 * that has begun or may begin on a permit.
 */
export async function skipEndpoint(
  pool: Pool,
  args: {
    readonly changeId: string;
    readonly endpointId: string;
    readonly by: string;
    readonly reason: string;
    readonly now: EpochMs;
  },
): Promise<Skipped> {
  return inTransaction(pool, async (client) => {
    const { changeId, endpointId, by, reason, now } = args;
    // A re-plan writes the same plan rows under the change's lock.
    await client.query('SELECT 1 FROM change WHERE id = $1 FOR SHARE', [changeId]);
    await lockRings(client, [changeId]);
    const moved = await moveOrders(client, {
      event: 'skip',
      where: 'o.change_id = $1 AND o.endpoint_id = $2',
      values: [changeId, endpointId],
      now,
      reason,
      by,
    });
    const { rows } = await client.query(
      `SELECT o.state, o.permit_until FROM order_state o
        WHERE o.change_id = $1 AND o.endpoint_id = $2 AND o.kind = 'change' AND NOT o.retried AND o.state <> 'skipped'`,
      [changeId, endpointId],
    );
    const stays = rows[0];
    if (stays !== undefined) {
      const until = toEpoch(stays.permit_until);
      const mayStart = BEFORE_APPLY.includes(stays.state) && until !== null;
      return {
        skipped: false,
        reason: mayStart ? `its order may start until ${new Date(until).toISOString()}` : `its order is ${stays.state}`,
      };
    }
    const { rowCount: planned } = await client.query(
      'UPDATE plan_endpoint SET skipped_by = $3, reason = $4 WHERE change_id = $1 AND endpoint_id = $2',
      [changeId, endpointId, by, reason],
    );
    if (planned === 0) return { skipped: false, reason: 'the endpoint is not part of this change' };
    await appendAudit(client, [
      {
        actor: by,
        action: 'endpoint.skipped',
        subject: `change/${changeId}`,
        detail: { endpointId, reason, orders: moved.map((m) => m.id) },
      },
    ]);
    await notifyOrders(client, [changeId]);
    return { skipped: true, reason: null };
  });
}

/**
 * Ends everything an endpoint still has open, in every change: what began is abandoned (failed), the rest skipped, or expired
 * where a permit is out. Failures are judged, and rings halted, in the same transaction.
 * @param args.beforeOrders what else is to happen once the rings are locked and before any order is
 */
export async function endOpenOrders<T>(
  client: PoolClient,
  args: {
    readonly endpointId: string;
    readonly by: string;
    readonly reason: string;
    readonly now: EpochMs;
    readonly beforeOrders: () => Promise<T>;
  },
): Promise<T> {
  const { endpointId, by, reason, now } = args;
  const { rows } = await client.query(
    `SELECT DISTINCT change_id FROM order_state WHERE endpoint_id = $1 AND phase <> 'done' AND change_id IS NOT NULL`,
    [endpointId],
  );
  const changeIds = rows.map((row) => row.change_id);
  await lockRings(client, changeIds);
  const result = await args.beforeOrders();
  const ending = { where: 'o.endpoint_id = $1', values: [endpointId], now, reason, by };
  await lockOrders(client, ending);
  await moveOrders(client, { ...ending, event: 'skip' });
  await moveOrders(client, { ...ending, event: 'expire' });
  const failed = await moveOrders(client, { ...ending, event: 'abandon' });
  if (failed.length > 0) await haltSpentRings(client, { changeIds, now });
  await notifyOrders(client, changeIds);
  return result;
}

/** Takes an endpoint out for good, and ends everything it still has open ({@link endOpenOrders}). */
export async function retireEndpoint(
  client: PoolClient,
  args: { readonly endpointId: string; readonly by: string; readonly reason: string; readonly now: EpochMs },
): Promise<void> {
  const { endpointId, by, reason } = args;
  await endOpenOrders(client, {
    ...args,
    beforeOrders: async () => {
      await client.query(`UPDATE endpoint SET state = 'retired', state_reason = $2 WHERE id = $1`, [
        endpointId,
        reason,
      ]);
      await appendAudit(client, [
        { actor: by, action: 'endpoint.retired', subject: `endpoint/${endpointId}`, detail: { reason } },
      ]);
    },
  });
}

/** Ends everything a change still has open, when it closes: nobody waits for a report any more. */
export async function closeOrders(
  client: PoolClient,
  args: { readonly changeId: string; readonly now: EpochMs },
): Promise<{ readonly abandoned: number; readonly expired: number }> {
  const { changeId, now } = args;
  await lockRings(client, [changeId]);
  const ending = { where: 'o.change_id = $1', values: [changeId], now };
  await lockOrders(client, ending);
  const expired = await moveOrders(client, { ...ending, event: 'expire', reason: 'not begun when the change closed' });
  const abandoned = await moveOrders(client, { ...ending, event: 'abandon', reason: 'never reported' });
  await client.query(
    `UPDATE ring SET drained_at = coalesce(drained_at, ${at('$2')}) WHERE change_id = $1 AND opened_at IS NOT NULL`,
    [changeId, now],
  );
  return { abandoned: abandoned.length, expired: expired.length };
}
