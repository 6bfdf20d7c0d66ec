import type { RingActivities } from './contract.js';
import { temporalPace } from './pace.js';
import { pump } from './pump.js';
import { resolveWindows } from './resolve-windows.js';
import { hopelessAside, type RingDeps } from './ring-deps.js';
import { settleRing } from './settle.js';

/** A ring's orders as activities: thin, because every decision is a transaction in db/orders or a pure function. */
export function createRingActivities(given: Omit<RingDeps, 'pace'> & Partial<Pick<RingDeps, 'pace'>>): RingActivities {
  const deps: RingDeps = { pace: temporalPace, ...given };
  const { pool, orders } = deps;
  const timed = <A extends object>(args: A) => ({ ...args, now: deps.clock() });
  return {
    openRing: (args) => hopelessAside(() => orders.openRing(pool, timed(args))),
    resolveWindows: (args) => resolveWindows(deps, args),
    pump: (args) => pump(deps, args),
    settleRing: (args) => hopelessAside(() => settleRing(deps, args)),
    evaluateRing: (args) => hopelessAside(() => orders.evaluateRing(pool, timed(args))),
    moveStragglers: (args) => hopelessAside(() => orders.moveStragglers(pool, timed(args))),
    haltRing: (args) => hopelessAside(() => orders.haltRing(pool, timed(args))),
    clearHalt: (args) => orders.clearHalt(pool, args),
    withdrawOpen: (args) => orders.withdrawOpen(pool, timed(args)),
    startRollback: (args) => hopelessAside(() => orders.startRollback(pool, timed(args))),
    retryFailed: (args) => hopelessAside(() => orders.retryFailed(pool, timed(args))),
    skipEndpoint: (args) => orders.skipEndpoint(pool, timed(args)),
    finishRing: (args) => orders.finishRing(pool, timed(args)),
  };
}
