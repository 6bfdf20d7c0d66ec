import type { EpochMs } from '../time.js';
import type { AgentEvent, OrderEvent } from './events.js';
import { isAgentEvent } from './events.js';
import type { OrderKind, OrderPhase, OrderState } from './states.js';
import { STATE_TRAITS } from './states.js';
import { findTransition } from './transitions.js';

/** What the protocol must remember of an order; a row of `order_state`, or the agent's journal folded up. */
export interface OrderCore {
  readonly kind: OrderKind;
  readonly state: OrderState;
  /** The last report taken in; 0 before the first. */
  readonly seq: number;
  /** Server time up to which a handed-out permit lets the agent start; null when none is out. */
  readonly permitUntil: EpochMs | null;
  /** Where a late report picks up: the state before `stalled` or `expired`. */
  readonly resumeFrom: OrderState | null;
}

export type Violation =
  /** The agent says it started without a permit, or after it ended. */
  'startedOutsidePermit';

export type ReduceResult =
  | { readonly kind: 'moved'; readonly order: OrderCore; readonly violation: Violation | null }
  /** A report already taken in: acknowledge it again, change nothing. */
  | { readonly kind: 'duplicate' }
  /** Reports are missing before this one: ask for them again from `expected`. */
  | { readonly kind: 'gap'; readonly expected: number }
  /** A stop must wait: the endpoint may start, or have started, on a permit it holds until `until`. */
  | { readonly kind: 'permitOutstanding'; readonly until: EpochMs }
  | { readonly kind: 'refused'; readonly reason: string };

/** A new order, before the pump has seen it. */
export function newOrder(kind: OrderKind): OrderCore {
  return { kind, state: 'pending', seq: 0, permitUntil: null, resumeFrom: null };
}

/** The same order as the agent first sees it. */
export function offeredOrder(kind: OrderKind): OrderCore {
  return { ...newOrder(kind), state: 'offered' };
}

export function phaseOf(order: Pick<OrderCore, 'state'>): OrderPhase {
  return STATE_TRAITS[order.state].phase;
}

/**
 * The order protocol as one pure step, used by server, agent and tests alike.
 *
 * Late reports win over `stalled` and `expired`: they are read as if the order were still where the agent left it.
 * The truth of an agent that started outside its permit is recorded, with a violation for the caller to raise.
 */
export function reduceOrder(order: OrderCore, event: OrderEvent): ReduceResult {
  if (isAgentEvent(event)) {
    if (event.seq <= order.seq) return { kind: 'duplicate' };
    if (event.seq > order.seq + 1) return { kind: 'gap', expected: order.seq + 1 };
  }
  const from = isAgentEvent(event) && order.resumeFrom !== null ? order.resumeFrom : order.state;
  const row = findTransition({ event: event.type, kind: order.kind, state: from });
  if (row === undefined) {
    return { kind: 'refused', reason: `${event.type} is not possible for a ${order.kind} order in ${order.state}` };
  }
  if (row.needsNoPermit === true && order.permitUntil !== null) {
    return { kind: 'permitOutstanding', until: order.permitUntil };
  }
  if (event.type === 'permitLapsed') return lapse(order, event.heardAt);

  const to = nextState({ event, order, from, row: row.to });
  const next: OrderCore = {
    kind: order.kind,
    state: to,
    seq: isAgentEvent(event) ? event.seq : order.seq,
    permitUntil: nextPermit(order, event),
    resumeFrom: event.type === 'silence' || event.type === 'expire' ? order.state : null,
  };
  return { kind: 'moved', order: next, violation: isAgentEvent(event) ? violationOf(order, event) : null };
}

function nextState(args: {
  readonly event: OrderEvent;
  readonly order: OrderCore;
  readonly from: OrderState;
  readonly row: OrderState | 'same';
}): OrderState {
  if (args.event.type === 'applied' && args.event.rebootRequired) return 'awaitingReboot';
  return args.row === 'same' ? args.from : args.row;
}

function nextPermit(order: OrderCore, event: OrderEvent): EpochMs | null {
  if (event.type === 'permit') return Math.max(event.until, order.permitUntil ?? event.until);
  return leavesPermit(order, event) ? order.permitUntil : null;
}

function leavesPermit(order: OrderCore, event: OrderEvent): boolean {
  // An ordered revert may be taken back as long as it has not begun, and begin after all: its permit is out until it ends.
  if (event.type === 'revertBegun') return order.kind === 'revert';
  // `expire` and `silence` leave it on record, so that a late start can still be judged by it.
  return ['offer', 'expire', 'silence', 'accept', 'staged', 'notBegun', 'note'].includes(event.type);
}

function lapse(order: OrderCore, heardAt: EpochMs): ReduceResult {
  if (order.permitUntil === null) return { kind: 'refused', reason: 'no permit is out' };
  if (heardAt <= order.permitUntil) return { kind: 'permitOutstanding', until: order.permitUntil };
  return { kind: 'moved', order: { ...order, permitUntil: null }, violation: null };
}

function violationOf(order: OrderCore, event: AgentEvent): Violation | null {
  const starts = event.type === 'apply' || (event.type === 'revertBegun' && order.kind === 'revert');
  if (!starts) return null;
  return order.permitUntil !== null && event.at <= order.permitUntil ? null : 'startedOutsidePermit';
}
