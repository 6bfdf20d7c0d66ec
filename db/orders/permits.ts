import type { Pool, PoolClient } from 'pg';
import { BEFORE_APPLY } from '../../domain/order/index.js';
import { PERMIT_VALID_MS } from '../../domain/order/permit.js';
import type { EpochMs } from '../../domain/time.js';
import type { PermitDocument } from '../../protocol/messages.js';
import { GATE_OPEN } from './gates.js';
import { type Lane, withLane } from './lane.js';
import { quoted } from './move-set.js';
import { at, toEpoch, wakeEndpoints } from './rows.js';
import type { OrderSigner } from './types.js';

/** A permit with less left than this is made anew. */
const REFRESH_BELOW_MS = PERMIT_VALID_MS / 2;
const BATCH = 200;

interface PermitFor {
  readonly orderId: string;
  readonly endpointId: string;
  /** Last start in its window. */
  readonly lastStart: EpochMs;
  readonly windowCloses: EpochMs;
}

/** The latest start a permit signed now may name. */
export function startBy(lane: Lane, order: { readonly lastStart: EpochMs }, now: EpochMs): EpochMs {
  const until = Math.min(now + PERMIT_VALID_MS, order.lastStart);
  // Past the change's deadline nothing begins; undoing has no deadline.
  return lane.target === 'revert' ? until : Math.min(until, lane.changeDeadline);
}

/** The latest reboot a permit may name: past its window, or the change's deadline (when what still waits is given up), none is made. */
export function rebootBy(lane: Lane, order: { readonly windowCloses: EpochMs }): EpochMs {
  return lane.target === 'revert' ? order.windowCloses : Math.min(order.windowCloses, lane.changeDeadline);
}

/** Signs permits and keeps them; they count as out only once they are handed out (`takeOffers`). */
export async function writePermits(
  client: PoolClient,
  lane: Lane,
  args: { readonly signer: OrderSigner; readonly now: EpochMs; readonly orders: readonly PermitFor[] },
): Promise<void> {
  const { now, orders, signer } = args;
  await insertPermits(
    client,
    orders.map((order) => {
      const until = startBy(lane, order, now);
      return { orderId: order.orderId, until, document: permit(lane, order, { now, startBy: until }) };
    }),
    { signer, now },
  );
}

const STALE = `
  SELECT o.id, o.endpoint_id, o.next_close, o.window_closes, p.start_by IS NULL AS awaited
    FROM order_state o LEFT JOIN order_permit p ON p.order_id = o.id
   WHERE o.change_id = $1 AND o.ring = $2 AND o.kind = $3 AND o.phase = 'holding'
     AND o.state IN (${quoted(BEFORE_APPLY)}) AND o.next_open <= ${at('$4')} AND o.next_close > ${at('$4')}
     AND ${GATE_OPEN}
     AND (p.start_by IS NULL OR p.start_by < least(${at('$5')}, o.next_close, ${at('$6')}) OR p.start_by > o.next_close)
   ORDER BY p.start_by NULLS FIRST LIMIT ${BATCH}`;

/**
 * Makes new permits for orders that are out, have not begun, are in their window and hold one that is about to end. The
 * caller holds the lock of a ring that is not halted.
 */
export async function refreshPermits(
  client: PoolClient,
  lane: Lane,
  args: { readonly signer: OrderSigner; readonly now: EpochMs },
): Promise<void> {
  if (lane.target === 'stage') return;
  const end = lane.target === 'revert' ? Number.MAX_SAFE_INTEGER / 1_000 : lane.changeDeadline;
  const { rows } = await client.query(STALE, [
    lane.changeId,
    lane.ring,
    lane.target,
    args.now,
    args.now + REFRESH_BELOW_MS,
    Math.trunc(end),
  ]);
  if (rows.length === 0) return;
  await writePermits(client, lane, { ...args, orders: rows.map(toPermitFor) });
  // An order that had none may have been waiting at its endpoint for a gate to open.
  await wakeEndpoints(
    client,
    rows.filter((row) => row.awaited).map((row) => row.endpoint_id),
  );
}

const WAITING_FOR_REBOOT = `
  SELECT o.id, o.endpoint_id, o.next_close, o.window_closes
    FROM order_state o LEFT JOIN order_permit p ON p.order_id = o.id
   WHERE o.change_id = $1 AND o.ring = $2 AND o.kind = $3 AND o.phase = 'holding' AND o.state = 'awaitingReboot'
     AND o.next_open <= ${at('$4')} AND o.window_closes > ${at('$4')}
     AND (p.start_by IS NULL OR p.start_by < least(o.window_closes, ${at('$5')}))
   ORDER BY o.id LIMIT ${BATCH}`;

/**
 * Permits the reboot of orders that had to wait for another window. They have begun, so a stop does not hold them: only the
 * reboot ends them. Such a permit starts nothing else.
 */
export async function permitReboots(
  client: PoolClient,
  lane: Lane,
  args: { readonly signer: OrderSigner; readonly now: EpochMs },
): Promise<void> {
  if (lane.target !== 'change' || args.now >= lane.changeDeadline) return;
  const { changeId, ring, target, changeDeadline } = lane;
  const { rows } = await client.query(WAITING_FOR_REBOOT, [changeId, ring, target, args.now, changeDeadline]);
  const permits = rows.map(toPermitFor).map((order) => ({
    orderId: order.orderId,
    until: rebootBy(lane, order),
    document: permit(lane, order, { now: args.now, startBy: args.now }),
  }));
  await insertPermits(client, permits, args);
}

/** {@link permitReboots} outside any pump: for a ring that is being wound up. */
export async function permitRebootsOf(
  pool: Pool,
  args: {
    readonly changeId: string;
    readonly ring: number;
    readonly signer: OrderSigner;
    readonly now: EpochMs;
  },
): Promise<void> {
  await withLane(pool, { ...args, target: 'change' }, (client, lane) => permitReboots(client, lane, args));
}

function permit(
  lane: Lane,
  order: PermitFor,
  times: { readonly now: EpochMs; readonly startBy: EpochMs },
): PermitDocument {
  return {
    v: 1,
    orderId: order.orderId,
    endpointId: order.endpointId,
    planDigest: lane.planDigest,
    issuedAt: times.now,
    startBy: times.startBy,
    rebootBy: rebootBy(lane, order),
  };
}

async function insertPermits(
  client: PoolClient,
  permits: readonly { readonly orderId: string; readonly until: EpochMs; readonly document: PermitDocument }[],
  args: { readonly signer: OrderSigner; readonly now: EpochMs },
): Promise<void> {
  if (permits.length === 0) return;
  await client.query(
    `INSERT INTO order_permit (order_id, envelope, start_by, signed_at)
     SELECT p.id, p.envelope, ${at('p.start_by')}, ${at('$4')}
       FROM unnest($1::uuid[], $2::jsonb[], $3::bigint[]) AS p (id, envelope, start_by)
     ON CONFLICT (order_id) DO UPDATE
        SET envelope = excluded.envelope, start_by = excluded.start_by, signed_at = excluded.signed_at`,
    [
      permits.map((p) => p.orderId),
      permits.map((p) => JSON.stringify(args.signer.signPermit(p.document))),
      permits.map((p) => p.until),
      args.now,
    ],
  );
}

function toPermitFor(row: Record<string, unknown>): PermitFor {
  const lastStart = toEpoch(row.next_close) ?? 0;
  return {
    orderId: row.id as string,
    endpointId: row.endpoint_id as string,
    lastStart,
    windowCloses: toEpoch(row.window_closes) ?? lastStart,
  };
}
