import { Context } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import { SECOND } from '../domain/time.js';
import type { RingActivities } from './contract.js';
import { temporalPace } from './pace.js';
import { type PumpDeps, pump } from './pump.js';
import { resolveWindows } from './windows.js';

export type RingDeps = Omit<PumpDeps, 'pace' | 'cancelled'> & Partial<Pick<PumpDeps, 'pace' | 'cancelled'>>;

const SETTLE_POLL_MS = SECOND;

/** A ring's orders as activities: thin, because every decision is a transaction in db/orders or a pure function. */
export function createRingActivities(given: RingDeps): RingActivities {
  const deps: PumpDeps = { pace: temporalPace, cancelled: () => Context.current().cancellationSignal, ...given };
  const { pool, db, clock } = deps;
  const now = () => clock();
  return {
    openRing: (args) => certain(() => db.openRing(pool, { ...args, now: now() })),
    resolveWindows: (args) => resolveWindows(deps, args),
    pump: (args) => certain(() => pump(deps, args)),
    evaluateRing: (args) => certain(() => db.evaluateRing(pool, { ...args, now: now() })),
    moveStragglers: (args) => db.moveStragglers(pool, { ...args, now: now() }),
    haltRing: (args) => db.haltRing(pool, { ...args, now: now() }),
    clearHalt: (args) => db.clearHalt(pool, args),
    withdrawOpen: (args) => db.withdrawOpen(pool, { ...args, now: now() }),
    startRollback: (args) => db.startRollback(pool, { ...args, now: now() }),
    retryFailed: (args) => db.retryFailed(pool, { ...args, now: now() }),
    skipEndpoint: (args) => db.skipEndpoint(pool, { ...args, now: now() }),
    finishRing: (args) => db.finishRing(pool, { ...args, now: now() }),

    async settleRing(args) {
      const pace = deps.pace();
      const waiter = deps.wakeups.waiter('rm_orders', args.changeId);
      let withdrawn = 0;
      try {
        for (;;) {
          const step = await certain(() => db.settleStep(pool, { ...args, now: now() }));
          withdrawn += step.withdrawn;
          pace.heartbeat({ withdrawn, outstanding: step.outstanding, underWay: step.underWay });
          if (step.outstanding === 0 && step.underWay === 0) return { withdrawn };
          await waiter.wait({ timeoutMs: SETTLE_POLL_MS, signal: deps.cancelled() });
          await pace.sleep(0);
        }
      } finally {
        waiter.close();
      }
    },
  };
}

/** What another attempt can't mend must not be tried for ever: a ring that is not there, a plan that was not approved. */
async function certain<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof Error && ['NoSuchRow', 'PlanNotApproved'].includes(error.name)) {
      throw ApplicationFailure.nonRetryable(error.message, error.name);
    }
    throw error;
  }
}
