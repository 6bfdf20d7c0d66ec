/** Runs the server's hooks: takes what is due, a bounded number at a time, and never waits for one while others are due. */
import { setInterval } from 'node:timers';
import type { Pool } from 'pg';
import { runHookProgram } from '../adapters/hooks/program.js';
import {
  anyGate,
  claimGates,
  endMoment,
  type GateWork,
  recordHookRun,
  renewLeases,
  stoppedByHook,
  turnBack,
} from '../db/orders/index.js';
import { type EpochMs, SECOND } from '../domain/time.js';
import { lookedFor } from './look.js';
import type { Duty } from './loops.js';

const AT_ONCE = 16;
/** What a worker that dies costs. */
const LEASE = 15 * SECOND;

export interface Hooks {
  readonly duty: Duty;
  /** Ends what runs; another worker takes it up again. */
  stop(): Promise<void>;
}

export function createHooks(deps: {
  readonly pool: Pool;
  /** Where hooks are installed. */
  readonly dir: string;
  readonly clock: () => EpochMs;
  readonly log: { warn(fields: object, message: string): void };
}): Hooks {
  const { pool, clock, log } = deps;
  const running = new Map<string, Promise<void>>();
  const stopping = new AbortController();
  const renewal = setInterval(() => {
    if (running.size === 0) return;
    renewLeases(pool, [...running.keys()], clock() + LEASE).catch((err) =>
      log.warn({ err }, 'leases of hooks not renewed'),
    );
  }, LEASE / 3);
  renewal.unref();

  const carryOut = async (work: GateWork): Promise<void> => {
    // What ended before whoever ran it died counts, and what it must succeed at is not tried again.
    let stopped = await stoppedByHook(pool, work);
    for (const { hook, position } of stopped === null ? work.hooks : []) {
      const problem = await runHookProgram({
        dir: deps.dir,
        hook,
        signal: stopping.signal,
        facts: { v: 1, orderId: work.orderId, round: work.round, when: work.moment, hook: hook.name, ...work.facts },
        env: {
          RINGMASTER_ORDER: work.orderId,
          RINGMASTER_WHEN: work.moment,
          RINGMASTER_OUTCOME: work.facts.outcome,
          RINGMASTER_ENDPOINT: work.facts.endpointId,
        },
      });
      // Stopped with us: whether it succeeded nobody knows, so it is run again.
      if (stopping.signal.aborted) return;
      await recordHookRun(pool, { work, position, hook, problem, now: clock() });
      if (problem !== null)
        log.warn({ orderId: work.orderId, hook: hook.name, problem }, 'a hook on the server failed');
      stopped = await stoppedByHook(pool, work);
      if (stopped !== null) break;
    }
    await endMoment(pool, { work, stopped, now: clock() });
  };

  return {
    duty: {
      ...lookedFor('hooks'),
      run: async () => {
        if (!(await anyGate(pool))) return false;
        await turnBack(pool, clock());
        const limit = AT_ONCE - running.size;
        if (limit <= 0) return false;
        const claimed = await claimGates(pool, { now: clock(), leaseUntil: clock() + LEASE, limit });
        // A lease of ours that could not be renewed in time is ours all the same as long as its hooks run here.
        for (const work of claimed.filter(({ orderId }) => !running.has(orderId))) {
          const run = carryOut(work)
            // Its lease ends by itself, and then it is taken up again.
            .catch((err) =>
              log.warn({ err, orderId: work.orderId }, 'hooks of an order not carried out; will try again'),
            )
            .finally(() => running.delete(work.orderId));
          running.set(work.orderId, run);
        }
        return claimed.length === limit;
      },
    },
    async stop() {
      stopping.abort();
      clearInterval(renewal);
      await Promise.all(running.values());
    },
  };
}
