import type { OrderEventType } from './events.js';
import type { OrderKind, OrderState } from './states.js';
import { BEFORE_APPLY } from './states.js';

/** One line of the protocol's table: in any state of `from`, for these kinds, `event` leads to `to`. */
export interface Transition {
  readonly event: OrderEventType;
  readonly actor: 'server' | 'agent';
  readonly from: readonly OrderState[];
  /** `same` keeps the state: the event is recorded and its other effects hold. */
  readonly to: OrderState | 'same';
  readonly kinds: readonly OrderKind[];
  /** Refused while a permit may still be used. */
  readonly needsNoPermit?: boolean;
}

const all: readonly OrderKind[] = ['scan', 'stage', 'change', 'revert'];
const change: readonly OrderKind[] = ['change'];
const revert: readonly OrderKind[] = ['revert'];
const mutating: readonly OrderKind[] = ['change', 'revert'];
const handedOut: readonly OrderState[] = ['offered', 'accepted', 'staged'];
const begun: readonly OrderState[] = ['applying', 'awaitingReboot', 'rebooting', 'verifying', 'reverting'];
const began: readonly OrderState[] = ['applying', 'awaitingReboot', 'rebooting', 'verifying'];

/** The protocol, as `docs/order-protocol.md` prints it. What no row names is refused. */
export const TRANSITIONS: readonly Transition[] = [
  { actor: 'server', event: 'release', from: ['pending'], to: 'released', kinds: all },
  { actor: 'server', event: 'recall', from: ['released'], to: 'pending', kinds: all, needsNoPermit: true },
  { actor: 'server', event: 'offer', from: ['released', 'offered'], to: 'offered', kinds: all },
  { actor: 'server', event: 'permit', from: handedOut, to: 'same', kinds: mutating },
  { actor: 'server', event: 'permitLapsed', from: handedOut, to: 'same', kinds: mutating },
  { actor: 'server', event: 'withdraw', from: BEFORE_APPLY, to: 'withdrawn', kinds: all, needsNoPermit: true },
  { actor: 'server', event: 'supersede', from: BEFORE_APPLY, to: 'superseded', kinds: all, needsNoPermit: true },
  { actor: 'server', event: 'skip', from: BEFORE_APPLY, to: 'skipped', kinds: all, needsNoPermit: true },
  { actor: 'server', event: 'gateFailed', from: handedOut, to: 'failed', kinds: mutating, needsNoPermit: true },
  { actor: 'server', event: 'expire', from: BEFORE_APPLY, to: 'expired', kinds: all },
  { actor: 'server', event: 'silence', from: begun, to: 'stalled', kinds: mutating },
  { actor: 'server', event: 'abandon', from: [...begun, 'stalled'], to: 'failed', kinds: mutating },

  { actor: 'agent', event: 'accept', from: ['offered'], to: 'accepted', kinds: all },
  { actor: 'agent', event: 'refuse', from: handedOut, to: 'failed', kinds: all },
  { actor: 'agent', event: 'decline', from: handedOut, to: 'skipped', kinds: all },
  { actor: 'agent', event: 'satisfied', from: ['accepted', 'staged'], to: 'succeeded', kinds: ['stage', 'change'] },
  { actor: 'agent', event: 'moot', from: ['accepted', 'staged'], to: 'skipped', kinds: revert },
  { actor: 'agent', event: 'staged', from: ['accepted'], to: 'succeeded', kinds: ['stage'] },
  { actor: 'agent', event: 'staged', from: ['accepted'], to: 'staged', kinds: mutating },
  { actor: 'agent', event: 'scanned', from: ['accepted'], to: 'succeeded', kinds: ['scan'] },
  { actor: 'agent', event: 'failed', from: ['accepted', 'staged'], to: 'failed', kinds: all },
  { actor: 'agent', event: 'apply', from: ['staged'], to: 'applying', kinds: change },
  { actor: 'agent', event: 'applied', from: ['applying'], to: 'verifying', kinds: change },
  { actor: 'agent', event: 'reboot', from: ['awaitingReboot'], to: 'rebooting', kinds: change },
  { actor: 'agent', event: 'notRebooted', from: ['rebooting'], to: 'awaitingReboot', kinds: change },
  { actor: 'agent', event: 'booted', from: ['rebooting'], to: 'verifying', kinds: change },
  { actor: 'agent', event: 'healthy', from: ['verifying'], to: 'succeeded', kinds: change },
  { actor: 'agent', event: 'revertBegun', from: began, to: 'reverting', kinds: change },
  { actor: 'agent', event: 'revertBegun', from: ['staged'], to: 'reverting', kinds: revert },
  { actor: 'agent', event: 'notBegun', from: ['reverting'], to: 'staged', kinds: revert },
  { actor: 'agent', event: 'failed', from: began, to: 'failed', kinds: change },
  { actor: 'agent', event: 'reverted', from: ['reverting'], to: 'reverted', kinds: mutating },
  { actor: 'agent', event: 'revertFailed', from: ['reverting'], to: 'revertFailed', kinds: mutating },
  { actor: 'agent', event: 'note', from: ['accepted', 'staged', ...begun], to: 'same', kinds: all },
];

/** How long, in minutes, an endpoint may be silent in a state before the server says `silence`. */
export const SILENCE_MINUTES: Readonly<Partial<Record<OrderState, number>>> = {
  applying: 60,
  rebooting: 15,
  verifying: 30,
  reverting: 60,
};

/** The row for an event in a state, if the protocol has one. */
export function findTransition(args: {
  readonly event: OrderEventType;
  readonly kind: OrderKind;
  readonly state: OrderState;
}): Transition | undefined {
  return TRANSITIONS.find((t) => t.event === args.event && t.kinds.includes(args.kind) && t.from.includes(args.state));
}

/** States in which set-based SQL may apply a server event to orders of this kind; keeps SQL and table one. */
export function statesAllowing(event: OrderEventType, kind: OrderKind): readonly OrderState[] {
  return TRANSITIONS.filter((t) => t.event === event && t.kinds.includes(kind)).flatMap((t) => t.from);
}
