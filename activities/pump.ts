/**
 * The pump: lets a lane's orders out, tick by tick, for as long as something can move. It keeps nothing that rows don't
 * hold; killed at any point, its next attempt goes on, and the attempt's epoch fences off one that still lives.
 */
import { ApplicationFailure } from '@temporalio/common';
import type { Pool } from 'pg';
import type * as OrdersDb from '../db/orders/index.js';
import type { DocumentsFor, OrderSigner, TickResult, Wakeups } from '../db/orders/index.js';
import { type EpochMs, SECOND } from '../domain/time.js';
import type { OrderTarget, PumpResult } from './contract.js';
import type { Pace } from './pace.js';
import { resolveWindows } from './windows.js';

export interface PumpDeps {
  readonly pool: Pool;
  readonly db: typeof OrdersDb;
  readonly clock: () => EpochMs;
  readonly signer: OrderSigner;
  readonly documentsFor: DocumentsFor;
  readonly wakeups: Pick<Wakeups, 'waiter'>;
  readonly pace: () => Pace;
  /** Aborts when the activity is cancelled or its worker shuts down. */
  readonly cancelled: () => AbortSignal;
}

/** A wake-up that is lost costs this much time, nothing else. */
const SLOW_POLL_MS = SECOND;
/** Looking for endpoints that went away or came back is a pass over the lane: not at every tick. */
const TIDY_EVERY_MS = 5 * SECOND;
/** Reports come in bursts; looking once per burst is enough. */
const BREATH_MS = 20;
const CHANNEL = 'rm_orders';

type Lane = { readonly changeId: string; readonly ring: number; readonly target: OrderTarget };

/** @throws PumpFenced as a failure that is not retried: a newer attempt is at work. */
export async function pump(deps: PumpDeps, lane: Lane): Promise<PumpResult> {
  const pace = deps.pace();
  const cancelled = deps.cancelled();
  const { epoch } = await deps.db.beginPump(deps.pool, lane);
  const waiter = deps.wakeups.waiter(CHANNEL, lane.changeId);
  let tidied = 0;
  try {
    for (;;) {
      const now = deps.clock();
      const tidy = now - tidied >= TIDY_EVERY_MS;
      if (tidy) tidied = now;
      const tick = await fenced(() => deps.db.releaseTick(deps, { ...lane, epoch, now, tidy }));
      pace.heartbeat({ epoch, counts: tick.counts });
      if (tick.staleWindows > 0) {
        await resolveWindows(deps, { ...lane, ignoreWindows: false });
        continue;
      }
      const end = endOf(tick);
      if (end !== null) return resultOf(end, tick);
      await waiter.wait({ timeoutMs: tick.more ? 0 : SLOW_POLL_MS, signal: cancelled });
      if (cancelled.aborted) await pace.sleep(0);
      else await pace.sleep(BREATH_MS);
    }
  } finally {
    waiter.close();
  }
}

function endOf(tick: TickResult): PumpResult['kind'] | null {
  if (tick.halted) return 'halted';
  if (tick.drained) return tick.deadlineMissed ? 'deadline' : 'drained';
  return tick.active ? null : 'windowsClosed';
}

function resultOf(kind: PumpResult['kind'], tick: TickResult): PumpResult {
  return { kind, counts: tick.counts, nextOpen: tick.nextOpen, haltReason: tick.haltReason, haltedBy: tick.haltedBy };
}

async function fenced<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    // The attempt that fenced us off reports for the activity; our failing must not start a third one.
    if (error instanceof Error && error.name === 'PumpFenced') throw ApplicationFailure.nonRetryable(error.message, 'PumpFenced');
    throw error;
  }
}
