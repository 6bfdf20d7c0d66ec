import { BEFORE_APPLY, SILENCE_MINUTES } from '../../domain/order/index.js';
import { type EpochMs, MINUTE } from '../../domain/time.js';
import type { Queryable } from '../pool.js';
import { moveOrders, quoted } from './move-set.js';
import { at } from './rows.js';
import type { OrderTarget } from './types.js';

export interface LaneRef {
  readonly changeId: string;
  readonly ring: number;
  readonly target: OrderTarget;
}

const SILENT = Object.entries(SILENCE_MINUTES)
  .map(([state, minutes]) => `o.state = '${state}' AND o.updated_at < ${at('$4')} - interval '${minutes} minutes'`)
  .join(' OR ');

/**
 * What time does to a lane's orders (docs/order-protocol.md, "Time-outs"): began and silent for too long → stalled; not begun
 * by the change's deadline → expired; still waiting for a reboot window then → abandoned. The caller holds the ring's lock
 * and judges the budget afterwards. Undoing (`revert`) has no deadline.
 *
 * @returns how many orders stalled or were abandoned: outcomes a budget must see.
 */
export async function applyTimeouts(
  client: Queryable,
  lane: LaneRef,
  args: { readonly now: EpochMs; readonly deadline: EpochMs },
): Promise<number> {
  const inLane = { values: [lane.changeId, lane.ring, lane.target], now: args.now, lock: 'skip' as const };
  const where = 'o.change_id = $1 AND o.ring = $2 AND o.kind = $3';
  const stalled = await moveOrders(client, {
    event: 'silence',
    where: `${where} AND o.phase = 'holding' AND (${SILENT})`,
    values: [...inLane.values, args.now],
    now: args.now,
    lock: 'skip',
    reason: 'silent for longer than its state allows',
  });
  if (lane.target === 'revert' || args.now < args.deadline) return stalled.length;
  await moveOrders(client, { ...inLane, event: 'expire', where, reason: "not begun by the change's deadline" });
  const abandoned = await moveOrders(client, {
    ...inLane,
    event: 'abandon',
    where: `${where} AND o.state = 'awaitingReboot'`,
    reason: 'no reboot window',
  });
  return stalled.length + abandoned.length;
}

/**
 * Takes back for good what an endpoint that has gone silent may or may not have begun: its permit ended longer ago than the
 * endpoint may be silent. Should it have begun, its late report wins.
 */
export async function expireUnheard(
  client: Queryable,
  args: {
    readonly changeId: string;
    readonly ring: number | null;
    readonly now: EpochMs;
    readonly silentMinutes: number;
  },
): Promise<number> {
  const expired = await moveOrders(client, {
    event: 'expire',
    where: `o.change_id = $1 AND ($2::smallint IS NULL OR o.ring = $2 OR o.home_ring = $2)
            AND o.state IN (${quoted(BEFORE_APPLY)}) AND o.permit_until < ${at('$3')}`,
    values: [args.changeId, args.ring, args.now - args.silentMinutes * MINUTE],
    now: args.now,
    lock: 'skip',
    reason: 'its permit ended and it was not heard since',
  });
  return expired.length;
}
