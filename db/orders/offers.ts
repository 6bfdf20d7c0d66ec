import type { Pool, PoolClient } from 'pg';
import {
  BEFORE_APPLY,
  isMutating,
  type OrderCore,
  type OrderEvent,
  reduceOrder,
  STATE_TRAITS,
} from '../../domain/order/index.js';
import type { EpochMs } from '../../domain/time.js';
import type { Envelope } from '../../protocol/envelope.js';
import type { PollRequest } from '../../protocol/messages.js';
import { inTransaction } from '../pool.js';
import { shareHandingOut } from './hand-out-lock.js';
import { quoted } from './move-set.js';
import { at, ORDER_COLUMNS, type OrderRow, toEpoch, toOrderRow } from './rows.js';

export interface PollOpen {
  readonly endpointId: string;
  /** What the endpoint's journal holds, from the same poll whose reports have just been taken in. */
  readonly open: PollRequest['open'];
  /** It may not be talked with now: it gets only what its window is open for all the same. Default: false. */
  readonly silent?: boolean;
}

export interface Offer {
  readonly order: Envelope;
  readonly permit: Envelope | null;
}

const GIVEABLE: readonly string[] = [...BEFORE_APPLY.filter((state) => state !== 'pending'), 'awaitingReboot'];

const OPEN = `SELECT ${ORDER_COLUMNS} FROM order_state o WHERE o.endpoint_id = $1 AND o.phase <> 'done'`;

const LOCK_ORDERS = `
  SELECT ${ORDER_COLUMNS}, coalesce(o.next_open <= ${at('$2')} AND o.next_close > ${at('$2')}, o.change_id IS NULL) AS window_open,
         o.next_close, o.window_closes, v.envelope, p.envelope AS permit, p.start_by,
         e.state = 'active' AND NOT e.scan_only AND (e.hold_until IS NULL OR e.hold_until <= ${at('$2')}) AS may_change,
         r.halted AS ring_halted, r.target_kind AS ring_target, c.halted AS change_halted, c.closed_at IS NOT NULL AS change_closed,
         h.approved_digest IS NOT DISTINCT FROM c.plan_digest AS approved
    FROM order_state o
    JOIN endpoint e ON e.id = o.endpoint_id
    JOIN order_envelope v ON v.order_id = o.id
    LEFT JOIN order_permit p ON p.order_id = o.id
    LEFT JOIN change c ON c.id = o.change_id
    LEFT JOIN ring r ON r.change_id = o.change_id AND r.ordinal = o.ring
    LEFT JOIN ring h ON h.change_id = o.change_id AND h.ordinal = o.home_ring
   WHERE o.id = ANY ($1::uuid[]) AND o.state IN (${quoted(GIVEABLE)})
   ORDER BY o.id FOR NO KEY UPDATE OF o`;

const WRITE = `
  WITH moved AS (
    UPDATE order_state o SET state = i.state, phase = i.phase, permit_until = ${at('i.permit_until')}, updated_at = ${at('$2')}
      FROM jsonb_to_recordset($1::jsonb) AS i (id uuid, state text, phase text, permit_until bigint) WHERE o.id = i.id)
  INSERT INTO order_event (order_id, at, actor, event, from_state, to_state, detail)
  SELECT e.order_id, ${at('$2')}, 'server', e.event, e.from_state, e.to_state, e.detail
    FROM jsonb_to_recordset($3::jsonb) AS e (order_id uuid, event text, from_state text, to_state text, detail jsonb)`;

/** {@link takeOfferBatch} for one endpoint. */
export async function takeOffers(pool: Pool, args: PollOpen & { readonly now: EpochMs }): Promise<readonly Offer[]> {
  const { rows } = await pool.query(OPEN, [args.endpointId]);
  const offers = await takeOfferBatch(pool, { polls: [args], open: rows.map(toOrderRow), now: args.now });
  return offers.get(args.endpointId) ?? [];
}

/**
 * What to hand out in reply to polls whose reports have just been taken in: orders that were let out, orders the endpoint
 * never got (a reply was lost), and permits. A permit is recorded as out in the transaction that hands it out, under a lock
 * that stops take alone, so none is handed out after a stop has committed. Nothing mutating goes to an endpoint that has begun another.
 *
 * @returns offers by endpoint; endpoints without any are left out.
 */
export async function takeOfferBatch(
  pool: Pool,
  args: {
    readonly polls: readonly PollOpen[];
    readonly now: EpochMs;
    /** Their endpoints' open orders, just read: where there is nothing to give, nothing more is asked. */
    readonly open: readonly Giveable[];
  },
): Promise<ReadonlyMap<string, readonly Offer[]>> {
  const polls = new Map(args.polls.map((poll) => [poll.endpointId, poll]));
  // An order in the endpoint's journal needs nothing more from us unless it waits for a permit.
  const wanted = args.open.filter((row) => {
    const poll = polls.get(row.endpointId);
    const listed = poll?.open.find((entry) => entry.orderId === row.id);
    const needs = listed === undefined || WAITS_FOR_PERMIT.includes(listed.state);
    return poll !== undefined && needs && GIVEABLE.includes(row.state);
  });
  if (wanted.length === 0) return new Map();
  return inTransaction(pool, (client) => handOut(client, { polls, wanted, now: args.now }));
}

type Giveable = Pick<OrderRow, 'id' | 'changeId' | 'ring' | 'endpointId' | 'state'>;

const WAITS_FOR_PERMIT: readonly string[] = ['offered', 'accepted', 'staged', 'awaitingReboot'];
const UNDER_WAY: readonly string[] = ['applying', 'awaitingReboot', 'rebooting', 'verifying', 'reverting'];

interface Locked extends OrderRow {
  readonly windowOpen: boolean;
  readonly nextClose: EpochMs | null;
  readonly windowCloses: EpochMs | null;
  readonly envelope: Envelope;
  readonly permit: Envelope | null;
  readonly startBy: EpochMs | null;
  /** Its endpoint may be changed: active, not held, not for scanning only. */
  readonly mayChange: boolean;
  /** No stop, no missing approval stands in the way of something new. */
  readonly free: boolean;
}

async function handOut(
  client: PoolClient,
  args: {
    readonly polls: ReadonlyMap<string, PollOpen>;
    readonly wanted: readonly Giveable[];
    readonly now: EpochMs;
  },
): Promise<ReadonlyMap<string, readonly Offer[]>> {
  const { polls, wanted, now } = args;
  await shareHandingOut(client, [...new Set(wanted.flatMap((row) => row.changeId ?? []))]);
  // A later statement than that lock: it sees every stop that committed before it was granted.
  const { rows } = await client.query(LOCK_ORDERS, [wanted.map((row) => row.id), now]);

  const offers = new Map<string, Offer[]>();
  const moves: {
    before: OrderRow;
    after: OrderCore;
    events: readonly (OrderEvent & { type: 'offer' | 'permit' })[];
  }[] = [];
  for (const row of rows) {
    const order = toLocked(row);
    const poll = polls.get(order.endpointId);
    if (poll === undefined) continue;
    const given = give(order, poll, now);
    if (given === null) continue;
    offers.set(order.endpointId, [
      ...(offers.get(order.endpointId) ?? []),
      { order: order.envelope, permit: given.permit },
    ]);
    if (given.events.length > 0) moves.push({ before: order, after: given.after, events: given.events });
  }
  if (moves.length > 0) {
    await client.query(WRITE, [
      JSON.stringify(
        moves.map(({ before, after }) => ({
          id: before.id,
          state: after.state,
          phase: STATE_TRAITS[after.state].phase,
          permit_until: after.permitUntil,
        })),
      ),
      now,
      JSON.stringify(
        moves.flatMap(({ before, after, events }) =>
          events.map((event) => ({
            order_id: before.id,
            event: event.type,
            from_state: event.type === 'offer' ? before.state : after.state,
            to_state: after.state,
            detail: event.type === 'permit' ? { until: event.until } : {},
          })),
        ),
      ),
    ]);
  }
  return offers;
}

/** What this poll gets of this order; null for nothing. */
function give(
  order: Locked,
  poll: PollOpen,
  now: EpochMs,
): {
  readonly after: OrderCore;
  readonly permit: Envelope | null;
  readonly events: readonly (OrderEvent & { type: 'offer' | 'permit' })[];
} | null {
  const listed = poll.open.find((entry) => entry.orderId === order.id);
  if (order.state === 'awaitingReboot') {
    // It has begun; a stop does not keep it from its end, but nothing needs repeating to an endpoint that lost its journal.
    const usable =
      order.permit !== null && order.startBy !== null && order.startBy > now && (order.windowCloses ?? 0) > now;
    return listed !== undefined && usable ? { after: order, permit: order.permit, events: [] } : null;
  }
  if (poll.silent === true && (order.changeId === null || !order.windowOpen)) return null;
  const mutating = isMutating(order.kind);
  if (!order.mayChange && order.kind !== 'scan') return null;
  if (mutating && poll.open.some((entry) => entry.orderId !== order.id && UNDER_WAY.includes(entry.state))) return null;
  // What is on its way already may be repeated to an endpoint that lost the reply, also under a stop: without a permit it starts nothing.
  if (!order.free && order.state === 'released') return null;

  const events: (OrderEvent & { type: 'offer' | 'permit' })[] = [];
  let after: OrderCore = order;
  const apply = (event: OrderEvent & { type: 'offer' | 'permit' }): boolean => {
    const result = reduceOrder(after, event);
    if (result.kind !== 'moved') return false;
    after = result.order;
    return true;
  };
  if (order.state === 'released') {
    if (!order.windowOpen || !apply({ type: 'offer' })) return null;
    events.push({ type: 'offer' });
  }
  let permit: Envelope | null = null;
  const until = order.startBy;
  const inForce = order.free && order.windowOpen && until !== null && until > now && until <= (order.nextClose ?? 0);
  if (mutating && inForce && (listed === undefined || listed.state === 'staged' || until > (order.permitUntil ?? 0))) {
    const known = order.permitUntil !== null && order.permitUntil >= until;
    const event = { type: 'permit', until } as const;
    if (known || apply(event)) {
      permit = order.permit;
      if (!known) events.push(event);
    }
  }
  return listed !== undefined && permit === null ? null : { after, permit, events };
}

function toLocked(row: Record<string, unknown>): Locked {
  const order = toOrderRow(row);
  const undoing = order.kind === 'revert';
  const stopped =
    // Null: there is no such ring.
    row.ring_halted !== false || row.change_closed === true || (row.change_halted === true && !undoing);
  // A ring that is being rolled back permits no change any more, and the other way round.
  const turned = isMutating(order.kind) && row.ring_target !== order.kind;
  const unapproved = order.kind === 'change' && row.approved !== true;
  return {
    ...order,
    windowOpen: row.window_open === true,
    nextClose: toEpoch(row.next_close),
    windowCloses: toEpoch(row.window_closes),
    envelope: row.envelope as Envelope,
    permit: row.permit as Envelope | null,
    startBy: toEpoch(row.start_by),
    mayChange: row.may_change === true,
    free: order.changeId === null || !(stopped || turned || unapproved),
  };
}
