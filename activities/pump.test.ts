/** How long a pump stays with a lane, by scripted ticks and a clock of our own; with rows: test/orders/pump.test.ts. */
import { describe, expect, it } from '@jest/globals';
import type { TickResult } from '../db/orders/index.js';
import type { OrderState } from '../domain/order/index.js';
import { DAY, type EpochMs, HOUR, MINUTE } from '../domain/time.js';
import type { PumpResult } from './contract.js';
import { pump } from './pump.js';
import type { RingDeps } from './ring-deps.js';

const T0 = Date.UTC(2026, 0, 10, 22);
const STEP = 5 * MINUTE;

type States = Partial<Record<OrderState, number>>;

const tickOf = (byState: States, drained: boolean): TickResult => ({
  released: 0,
  counts: {
    planned: 2,
    pending: 0,
    inFlight: 0,
    succeeded: 0,
    failed: 0,
    none: 0,
    byState,
    offline: 0,
    windowless: 0,
    stragglers: 0,
    mayStillStartUntil: null,
  },
  halted: false,
  haltReason: null,
  haltedBy: null,
  drained,
  // The window is open, and somebody is at it: nothing but time can end this.
  active: true,
  more: false,
  nextOpen: null,
  staleWindows: 0,
  deadlineMissed: false,
});

/** Pumps a lane whose orders stand as `at` says, a step of time per tick. Whatever is not over by itself is drained after a week. */
async function pumped(args: {
  readonly target: 'stage' | 'change' | 'revert';
  readonly until?: EpochMs;
  readonly at: (minutes: number) => States;
}): Promise<{ readonly result: PumpResult; readonly hours: number }> {
  let now = T0;
  const orders = {
    beginPump: async () => ({ epoch: 1 }),
    releaseTick: async () => tickOf(args.at((now - T0) / MINUTE), now >= T0 + 7 * DAY),
  };
  const deps = {
    orders,
    clock: () => now,
    listener: { on: () => () => {} },
    pace: () => ({
      heartbeat: () => {},
      sleep: async (ms: number) => {
        // The pump breathes after each tick and, between bursts, polls slowly: time goes by once per tick.
        if (ms < 1_000) now += STEP;
      },
      left: undefined,
      key: null,
    }),
  } as unknown as RingDeps;
  const { at: _, ...rest } = args;
  const result = await pump(deps, { changeId: 'c', ring: 1, ...rest });
  return { result, hours: (now - T0) / HOUR };
}

describe('a stage lane', () => {
  it('is left when an endpoint that can be reached has not come on for half an hour', async () => {
    const { result, hours } = await pumped({ target: 'stage', at: () => ({ accepted: 1, succeeded: 1 }) });
    expect(result.kind).toBe('deadline');
    expect(hours).toBe(0.5);
  });

  it('is waited for as long as something in it moves', async () => {
    // One order more every 20 minutes, for four hours.
    const at = (minutes: number) => ({ accepted: 1, succeeded: Math.min(12, Math.floor(minutes / 20)) });
    const { result, hours } = await pumped({ target: 'stage', at });
    expect(result.kind).toBe('deadline');
    expect(hours).toBe(4.5);
  });

  it('counts no order twice that is only named in another sequence', async () => {
    const at = (minutes: number): States =>
      minutes % 10 === 0 ? { accepted: 1, succeeded: 1 } : { succeeded: 1, accepted: 1 };
    expect((await pumped({ target: 'stage', at })).hours).toBe(0.5);
  });

  it('is left when its time is over, whatever moves', async () => {
    const at = (minutes: number) => ({ accepted: 1, succeeded: minutes });
    const { result, hours } = await pumped({ target: 'stage', until: T0 + 3 * HOUR, at });
    expect(result.kind).toBe('deadline');
    expect(hours).toBe(3);
  });
});

it.each(['change', 'revert'] as const)('a %s lane is never given up: its ring depends on it', async (target) => {
  const { result, hours } = await pumped({ target, at: () => ({ applying: 1 }) });
  expect(result.kind).toBe('drained');
  expect(hours).toBe(7 * 24);
});
