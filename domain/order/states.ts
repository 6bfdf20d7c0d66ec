/** What an order asks of one endpoint. `change` and `revert` mutate the host; `scan` and `stage` do not. */
export type OrderKind = 'scan' | 'stage' | 'change' | 'revert';

/** Where an order is. `docs/order-protocol.md` says what each one means to a person. */
export type OrderState =
  | 'pending'
  | 'released'
  | 'offered'
  | 'accepted'
  | 'staged'
  | 'applying'
  | 'awaitingReboot'
  | 'rebooting'
  | 'verifying'
  | 'succeeded'
  | 'failed'
  | 'reverting'
  | 'reverted'
  | 'revertFailed'
  | 'stalled'
  | 'expired'
  | 'skipped'
  | 'withdrawn'
  | 'superseded';

/** How a budget counts an order; each order counts exactly once. */
export type BudgetClass = 'none' | 'inFlight' | 'succeeded' | 'failed';

/**
 * What the order does to its row: `waiting` orders can be released, a `holding` order keeps every other mutating order
 * away from its endpoint (partial unique index), a `done` order does neither.
 */
export type OrderPhase = 'waiting' | 'holding' | 'done';

export interface StateTraits {
  readonly phase: OrderPhase;
  /** The ring waits for it: it is on its way to an outcome. */
  readonly working: boolean;
  /** Its endpoint may be down or not yet proven up, so a quorum group counts it as unavailable. */
  readonly holdsQuorum: boolean;
  /** Nothing, not even a late report, moves it again. */
  readonly final: boolean;
}

const waiting: StateTraits = { phase: 'waiting', working: false, holdsQuorum: false, final: false };
const working: StateTraits = { phase: 'holding', working: true, holdsQuorum: true, final: false };
const done: StateTraits = { phase: 'done', working: false, holdsQuorum: false, final: true };

/** One row per state; the only place that says what a state counts as (with {@link budgetClass}). */
export const STATE_TRAITS: Readonly<Record<OrderState, StateTraits>> = {
  pending: waiting,
  released: working,
  offered: working,
  accepted: working,
  staged: working,
  applying: working,
  awaitingReboot: working,
  rebooting: working,
  verifying: working,
  reverting: working,
  // Nobody knows how the host is: the ring goes on without it, its cluster and its endpoint stay guarded.
  stalled: { phase: 'holding', working: false, holdsQuorum: true, final: false },
  expired: { ...done, final: false },
  succeeded: done,
  failed: done,
  reverted: done,
  revertFailed: done,
  skipped: done,
  withdrawn: done,
  superseded: done,
};

export const ORDER_STATES = Object.keys(STATE_TRAITS) as readonly OrderState[];
export const ORDER_KINDS: readonly OrderKind[] = ['scan', 'stage', 'change', 'revert'];

/** Whether the order changes the host: at most one such order per endpoint holds it. */
export function isMutating(kind: OrderKind): boolean {
  return kind === 'change' || kind === 'revert';
}

/** How budgets count an order. A `revert` order that ends `reverted` did what it was asked to. */
export function budgetClass(kind: OrderKind, state: OrderState): BudgetClass {
  switch (state) {
    case 'succeeded':
      return 'succeeded';
    case 'reverted':
      return kind === 'revert' ? 'succeeded' : 'failed';
    case 'reverting':
      return kind === 'revert' ? 'inFlight' : 'failed';
    case 'failed':
    case 'revertFailed':
    case 'stalled':
      return 'failed';
    default:
      return STATE_TRAITS[state].working ? 'inFlight' : 'none';
  }
}

/** States a ring need not wait for: everything but `pending` and the working ones. */
export function isSettled(state: OrderState): boolean {
  return state !== 'pending' && !STATE_TRAITS[state].working;
}

/** States before the package manager may have been touched: a stop can still take the order back. */
export const BEFORE_APPLY: readonly OrderState[] = ['pending', 'released', 'offered', 'accepted', 'staged'];
