/** When an agent should ask again: often while something is going on, rarely when a wake-up would reach it anyway. */
import { MINUTE, SECOND } from '../../domain/time.js';

export interface PollPace {
  /** Orders with the endpoint, and how many of those only wait for a permit or a reboot window. */
  readonly holding: number;
  readonly idle: number;
  readonly wantsScan: boolean;
  readonly wakeable: boolean;
  /** Milliseconds until the next window of an order that waits; null when none does. */
  readonly untilWindow: number | null;
  /** Seconds without a wake-up channel. */
  readonly idleSeconds: number;
  /** 0 ≤ x < 1. */
  readonly random: number;
}

const QUIET_SECONDS = 15 * 60;

/** Seconds, spread by ±20 % so that a fleet that started together does not ask together. */
export function nextPollSeconds(pace: PollPace): number {
  const spread = (seconds: number): number => Math.round(seconds * (0.8 + 0.4 * pace.random) * 10) / 10;
  if (pace.holding > pace.idle || pace.wantsScan) return spread(Math.min(3, pace.idleSeconds));
  if (pace.holding > 0) return spread(Math.min(5, pace.idleSeconds));
  const near = pace.untilWindow !== null && pace.untilWindow < QUIET_SECONDS * SECOND + MINUTE;
  if (!pace.wakeable || near) return spread(pace.idleSeconds);
  return spread(Math.max(QUIET_SECONDS, pace.idleSeconds));
}
