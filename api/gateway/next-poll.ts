/** When an agent should ask again: often while something is going on, rarely when a wake-up would reach it anyway. */
import type { OrderPhase, OrderState } from '../../domain/order/index.js';
import { type EpochMs, MINUTE, SECOND } from '../../domain/time.js';

export interface OrdersPace {
  /** Orders with the endpoint, and how many of those only wait for a permit or a reboot window. */
  readonly holding: number;
  readonly idle: number;
  /** Milliseconds until the next window of an order that waits; null when none does. */
  readonly untilWindow: number | null;
}

export interface PollPace extends OrdersPace {
  readonly wantsScan: boolean;
  readonly wakeable: boolean;
  /** Seconds without a wake-up channel. */
  readonly idleSeconds: number;
  /** 0 ≤ x < 1. */
  readonly random: number;
}

export const IDLE_PACE: OrdersPace = { holding: 0, idle: 0, untilWindow: null };

const WAITING: readonly OrderState[] = ['staged', 'awaitingReboot', 'stalled'];

/** What an endpoint's orders ask of its polls. */
export function paceOf(
  orders: readonly { readonly state: OrderState; readonly phase: OrderPhase; readonly nextOpen: EpochMs | null }[],
  now: EpochMs,
): OrdersPace {
  const opens = orders.flatMap(({ phase, nextOpen }) => (phase === 'waiting' && nextOpen !== null ? [nextOpen] : []));
  return {
    holding: orders.filter(({ phase }) => phase === 'holding').length,
    idle: orders.filter(({ state }) => WAITING.includes(state)).length,
    untilWindow: opens.length === 0 ? null : Math.min(...opens) - now,
  };
}

const BEGUN: readonly OrderState[] = ['applying', 'awaitingReboot', 'rebooting', 'verifying', 'reverting'];

/** Whether hours of communication don't matter to its polls: it has begun something, or has an order whose own window is open. */
export function isAtWork(
  orders: readonly {
    readonly state: OrderState;
    readonly phase: OrderPhase;
    readonly nextOpen: EpochMs | null;
    readonly nextClose: EpochMs | null;
  }[],
  now: EpochMs,
): boolean {
  return orders.some(
    ({ state, phase, nextOpen, nextClose }) =>
      BEGUN.includes(state) ||
      (phase === 'holding' && nextOpen !== null && nextOpen <= now && nextClose !== null && now < nextClose),
  );
}

const QUIET_SECONDS = 15 * 60;
const NEAR_SECONDS = 5 * 60;

/** Seconds, spread by ±20 % so that a fleet that started together does not ask together. */
export function nextPollSeconds(pace: PollPace): number {
  const spread = (seconds: number): number => Math.round(seconds * (0.8 + 0.4 * pace.random) * 10) / 10;
  if (pace.holding > pace.idle || pace.wantsScan) return spread(Math.min(3, pace.idleSeconds));
  if (pace.holding > 0) return spread(Math.min(5, pace.idleSeconds));
  if (!pace.wakeable) return spread(pace.idleSeconds);
  // A whole fleet may wait in an open window for its rings: it is woken, ring by ring, and only looks in case a hint is lost.
  const near = pace.untilWindow !== null && pace.untilWindow < QUIET_SECONDS * SECOND + MINUTE;
  if (near) return spread(Math.max(NEAR_SECONDS, pace.idleSeconds));
  return spread(Math.max(QUIET_SECONDS, pace.idleSeconds));
}
