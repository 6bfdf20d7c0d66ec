import type { OrderKind, OrderState, ServerEvent } from '../../domain/order/index.js';
import { findTransition, isSettled, ORDER_KINDS, STATE_TRAITS, statesAllowing } from '../../domain/order/index.js';
import type { EpochMs } from '../../domain/time.js';
import type { Queryable } from '../pool.js';
import { at } from './rows.js';

/** Server events that move whole sets of orders; `offer`, `permit` and `permitLapsed` are judged order by order. */
export type SetEvent = Exclude<ServerEvent['type'], 'offer' | 'permit' | 'permitLapsed'>;

export interface Moved {
  readonly id: string;
  readonly endpointId: string;
  readonly changeId: string | null;
  readonly ring: number;
  readonly kind: OrderKind;
  readonly from: OrderState;
}

/** How an order that ends by this event is listed; the event's own word where the state says less. */
const OUTCOMES: Readonly<Partial<Record<SetEvent, string>>> = {
  withdraw: 'withdrawn',
  supersede: 'superseded',
  skip: 'skipped',
  expire: 'expired',
  abandon: 'abandoned',
};

/**
 * Applies one server event to every order that `where` picks and the protocol's table allows it for, in one statement:
 * state, phase, permit and the event row together. Orders are locked in id order; what the table refuses, or what an
 * outstanding permit protects, is left as it is.
 *
 * @param args.where SQL over `order_state o`, written in this folder (never from input); its parameters from `$1`.
 * @param args.lock `skip` leaves out orders somebody else is at, instead of waiting for them.
 */
export async function moveOrders(
  client: Queryable,
  args: {
    readonly event: SetEvent;
    readonly where: string;
    readonly values: readonly unknown[];
    readonly now: EpochMs;
    readonly reason?: string | null;
    readonly by?: string | null;
    readonly lock?: 'wait' | 'skip';
  },
): Promise<readonly Moved[]> {
  const { event } = args;
  const n = args.values.length;
  const to = targetOf(event);
  const { rows } = await client.query(
    `WITH picked AS MATERIALIZED (
       SELECT o.id, o.state FROM order_state o
        WHERE ${allowed(event)} AND (${args.where})
        ORDER BY o.id FOR NO KEY UPDATE OF o ${args.lock === 'skip' ? 'SKIP LOCKED' : ''}),
     moved AS (
       UPDATE order_state o
          SET state = '${to}', phase = '${STATE_TRAITS[to].phase}', updated_at = ${at(`$${n + 1}`)},
              resume_from = ${event === 'silence' || event === 'expire' ? 'p.state' : 'NULL'},
              permit_until = ${event === 'expire' || event === 'silence' ? 'o.permit_until' : 'NULL'},
              released_at = ${event === 'release' ? at(`$${n + 1}`) : 'o.released_at'},
              settled_at = ${isSettled(to) ? at(`$${n + 1}`) : 'NULL'},
              outcome = ${OUTCOMES[event] === undefined ? 'NULL' : `'${OUTCOMES[event]}'`},
              reason = $${n + 2}
         FROM picked p WHERE o.id = p.id
       RETURNING o.id, o.endpoint_id, o.change_id, o.ring, o.kind, p.state AS from_state),
     noted AS (
       INSERT INTO order_event (order_id, at, actor, event, from_state, to_state, detail)
       SELECT id, ${at(`$${n + 1}`)}, CASE WHEN $${n + 3}::text IS NULL THEN 'server' ELSE 'person' END, '${event}',
              from_state, '${to}', jsonb_strip_nulls(jsonb_build_object('reason', $${n + 2}::text, 'by', $${n + 3}::text))
         FROM moved)
     SELECT * FROM moved ORDER BY id`,
    [...args.values, args.now, args.reason ?? null, args.by ?? null],
  );
  return rows.map((row) => ({
    id: row.id,
    endpointId: row.endpoint_id,
    changeId: row.change_id,
    ring: row.ring,
    kind: row.kind,
    from: row.from_state,
  }));
}

function targetOf(event: SetEvent): OrderState {
  const kind = ORDER_KINDS.find((k) => statesAllowing(event, k).length > 0) as OrderKind;
  const state = statesAllowing(event, kind)[0] as OrderState;
  return findTransition({ event, kind, state })?.to as OrderState;
}

/** The table's own condition for an event, as SQL; names the phases too, so that partial indexes can be used. */
function allowed(event: SetEvent): string {
  const states = new Map(ORDER_KINDS.map((kind) => [kind, statesAllowing(event, kind)] as const));
  const kinds = [...states].map(([kind, from]) => `o.kind = '${kind}' AND o.state IN (${quoted(from)})`);
  const phases = new Set([...states.values()].flat().map((state) => STATE_TRAITS[state].phase));
  const needsNoPermit = ORDER_KINDS.some((kind) =>
    (states.get(kind) ?? []).some((state) => findTransition({ event, kind, state })?.needsNoPermit === true),
  );
  return [
    `o.phase IN (${quoted([...phases])})`,
    `(${kinds.filter((sql) => !sql.endsWith('()')).join(' OR ')})`,
    ...(needsNoPermit ? ['o.permit_until IS NULL'] : []),
  ].join(' AND ');
}

/** Our own constants as SQL literals; never input. */
export function quoted(words: readonly string[]): string {
  return words.map((word) => `'${word}'`).join(', ');
}

/**
 * Locks the open orders that `where` picks, in id order, before several movements of them: who takes row locks twice in one
 * transaction would otherwise deadlock with whoever takes them once.
 */
export async function lockOrders(
  client: Queryable,
  args: { readonly where: string; readonly values: readonly unknown[] },
): Promise<void> {
  await client.query(
    `SELECT 1 FROM order_state o WHERE o.phase IN ('waiting', 'holding') AND (${args.where}) ORDER BY o.id FOR NO KEY UPDATE OF o`,
    [...args.values],
  );
}
