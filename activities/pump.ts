/**
 * The pump: lets a lane's orders out, tick by tick, for as long as something can move. It keeps nothing that rows don't
 * hold; killed at any point, its next attempt goes on, and the attempt's epoch fences off one that still lives.
 */
import { ApplicationFailure } from '@temporalio/common';
import type { TickResult } from '../db/orders/index.js';
import { type EpochMs, MINUTE, SECOND } from '../domain/time.js';
import type { PumpResult, RingActivities } from './contract.js';
import { resolveWindows } from './resolve-windows.js';
import { hopelessAside, type RingDeps, wakeFor } from './ring-deps.js';

const BEAT_MS = 5 * SECOND;
/** A wake-up that is lost costs this much time, nothing else. */
const SLOW_POLL_MS = SECOND;
/** Looking for endpoints that went away or came back is a pass over the lane: not at every tick. */
const TIDY_EVERY_MS = 5 * SECOND;
/** Reports come in bursts; looking once per burst is enough. */
const BREATH_MS = 20;
const LONGEST_BREATH_MS = 5 * SECOND;
const MANY_IN_FLIGHT = 200;
/** A stage lane in which no order has moved for this long is left: what it sends ahead saves time, and is not worth rings that wait. */
const STAGE_REST_MS = 30 * MINUTE;

type PumpedLane = Parameters<RingActivities['pump']>[0];

/**
 * Ends when the lane is drained or halted, or when nothing moves until a window opens. A stage lane also ends, with
 * `deadline`, at `until` or when none of its orders has moved for {@link STAGE_REST_MS}: endpoints go on with what they have.
 * @throws a failure to be retried when another attempt has fenced this one off.
 */
export async function pump(deps: RingDeps, lane: PumpedLane): Promise<PumpResult> {
  const pace = deps.pace();
  const { epoch } = await hopelessAside(() => deps.orders.beginPump(deps.pool, lane));
  const wake = wakeFor(deps, lane.changeId);
  let said: unknown = { epoch };
  const beat = setInterval(() => pace.heartbeat(said), BEAT_MS);
  let tidied: EpochMs | null = null;
  const waitedEnough = patienceFor(lane);
  try {
    for (;;) {
      const now = deps.clock();
      const began = performance.now();
      const tidy = tidied === null || now - tidied >= TIDY_EVERY_MS;
      if (tidy) tidied = now;
      const tick = await unlessFenced(() => deps.orders.releaseTick(deps, { ...lane, epoch, now, tidy }));
      said = { epoch, counts: tick.counts };
      pace.heartbeat(said);
      const end = endOf(tick) ?? (waitedEnough(tick, now) ? 'deadline' : null);
      if (end !== null) return resultOf(end, tick);
      if (tick.staleWindows > 0) await resolveWindows(deps, { ...lane, ignoreWindows: false });
      const took = (performance.now() - began) * restAfter(tick);
      if (!tick.more) await wake.wait(pace, SLOW_POLL_MS);
      await pace.sleep(Math.min(Math.max(BREATH_MS, took), LONGEST_BREATH_MS));
    }
  } finally {
    clearInterval(beat);
    wake.close();
  }
}

/**
 * How long to leave the lane alone, in times a tick took: agents that report and fetch wait for its lock meanwhile. With
 * hundreds under way nobody misses the few places that come free in between; with a few, each is a step of the slow start.
 */
function restAfter(tick: TickResult): number {
  if (tick.more) return 0.5;
  return tick.counts.inFlight >= MANY_IN_FLIGHT ? 6 : 2;
}

function endOf(tick: TickResult): PumpResult['kind'] | null {
  if (tick.halted) return 'halted';
  if (tick.drained) return tick.deadlineMissed ? 'deadline' : 'drained';
  return tick.active || tick.staleWindows > 0 ? null : 'windowsClosed';
}

/** Whether a lane has been waited for long enough, asked at every tick. Only staging is ever given up: nothing depends on it. */
function patienceFor(lane: PumpedLane): (tick: TickResult, now: EpochMs) => boolean {
  const { target, until = Number.POSITIVE_INFINITY } = lane;
  if (target !== 'stage') return () => false;
  let seen = '';
  let since = 0;
  return (tick, now) => {
    const states = JSON.stringify(Object.entries(tick.counts.byState).sort());
    if (states !== seen) [seen, since] = [states, now];
    return now >= until || now - since >= STAGE_REST_MS;
  };
}

function resultOf(kind: PumpResult['kind'], tick: TickResult): PumpResult {
  return { kind, counts: tick.counts, nextOpen: tick.nextOpen, haltReason: tick.haltReason, haltedBy: tick.haltedBy };
}

/**
 * Fenced off, an attempt ends with an error that is tried again. Mostly nobody hears it: a newer attempt answers for the
 * activity. But a stopped worker may take up an attempt long given up, and fence off the one that counts: then that one must
 * begin anew.
 */
async function unlessFenced<T>(step: () => Promise<T>): Promise<T> {
  try {
    return await hopelessAside(step);
  } catch (error) {
    if (error instanceof Error && error.name === 'PumpFenced') {
      throw ApplicationFailure.retryable(error.message, error.name);
    }
    throw error;
  }
}
