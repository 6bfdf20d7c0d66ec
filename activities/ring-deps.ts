import { ApplicationFailure } from '@temporalio/common';
import type { Pool } from 'pg';
import type { Listener } from '../db/listen.js';
import type * as Orders from '../db/orders/index.js';
import type { EpochMs } from '../domain/time.js';
import type { Pace } from './pace.js';

export interface RingDeps {
  readonly pool: Pool;
  readonly orders: typeof Orders;
  readonly signer: Orders.OrderSigner;
  readonly documentsFor: Orders.DocumentsFor;
  readonly listener: Pick<Listener, 'on'>;
  readonly clock: () => EpochMs;
  readonly pace: () => Pace;
}

/** Errors of the order rows that another attempt can't mend. */
const HOPELESS = ['NoSuchRow', 'PlanNotApproved'];

/** Runs a step; what can never succeed ends the activity instead of being tried again. */
export async function hopelessAside<T>(step: () => Promise<T>): Promise<T> {
  try {
    return await step();
  } catch (error) {
    if (error instanceof Error && HOPELESS.includes(error.name)) {
      throw ApplicationFailure.nonRetryable(error.message, error.name);
    }
    throw error;
  }
}

/** Wakes one waiting activity when something happened to the orders of its change; a lost wake-up costs only time. */
export function wakeFor(
  deps: RingDeps,
  changeId: string,
): { wait(pace: Pace, ms: number): Promise<void>; close(): void } {
  let woken = false;
  let wake = () => {};
  const off = deps.listener.on('rm_orders', (payload) => {
    // An empty payload follows a reconnect: anything may have been missed.
    if (payload !== changeId && payload !== '') return;
    woken = true;
    wake();
  });
  return {
    async wait(pace, ms) {
      if (!woken) await Promise.race([pace.sleep(ms), new Promise<void>((resolve) => (wake = resolve))]);
      woken = false;
    },
    close: off,
  };
}
