import type { RingCounts } from '../../domain/change/counts.js';
import { STRAGGLERS } from '../../domain/change/spec.js';
import { BEFORE_APPLY, budgetClass, ORDER_STATES, type OrderState, STATE_TRAITS } from '../../domain/order/index.js';
import type { EpochMs } from '../../domain/time.js';
import type { Queryable } from '../pool.js';
import { quoted } from './move-set.js';
import { at, toEpoch } from './rows.js';
import type { OrderTarget } from './types.js';

/** What a pump must know of its lane, counted from the rows. */
export interface LaneCounts {
  readonly counts: RingCounts;
  /** Orders the ring waits for: pending or working, stragglers aside. */
  readonly waitedFor: number;
  /** Of those, what may move before another window opens: let out now, or under way. */
  readonly active: number;
  readonly nextOpen: EpochMs | null;
  /** Windows that are over, or were never written: somebody was at the order when they were (db/orders/windows.ts). */
  readonly staleWindows: number;
  /** Some pending order is of a later wave of the host order. */
  readonly hasWaves: boolean;
  /** Left undone by the ring's deadline. */
  readonly missed: number;
}

const handedOut = BEFORE_APPLY.filter((state) => state !== 'pending' && state !== 'released');
const working = ORDER_STATES.filter((state) => STATE_TRAITS[state].working);
/** Handed out, with no permit and its window over: it waits at the endpoint for its next window. */
const PARKED = `(o.state IN (${quoted(handedOut)}) AND o.permit_until IS NULL AND NOT open.now
  OR o.state = 'awaitingReboot' AND NOT open.reboot)`;

const COUNT = `
  SELECT o.state, count(*)::int AS n,
         count(*) FILTER (WHERE o.straggler_reason LIKE 'offline%' AND o.phase <> 'done')::int AS offline,
         count(*) FILTER (WHERE o.straggler_reason LIKE 'windowless%' AND o.phase <> 'done')::int AS windowless,
         count(*) FILTER (WHERE o.straggler_reason IS NOT NULL AND o.phase <> 'done')::int AS straggling,
         count(*) FILTER (WHERE o.straggler_reason LIKE 'deadline%' AND o.phase <> 'done' OR o.state = 'expired')::int AS missed,
         count(*) FILTER (WHERE o.state IN ('pending', ${quoted(working)})
                            AND ($4 OR o.straggler_reason IS NULL))::int AS waited_for,
         count(*) FILTER (WHERE ($4 OR o.straggler_reason IS NULL)
                            AND (o.state = 'pending' AND open.now
                              OR o.state IN (${quoted(working)}) AND NOT ${PARKED}))::int AS active,
         count(*) FILTER (WHERE o.state IN (${quoted([...BEFORE_APPLY, 'awaitingReboot'])})
                            AND (o.next_close <= ${at('$5')} OR o.next_close IS NULL AND o.window_reason IS NULL))::int AS stale,
         coalesce(bool_or(o.wave > 0) FILTER (WHERE o.state = 'pending'), false) AS has_waves,
         min(o.next_open) FILTER (WHERE o.next_open > ${at('$5')}
                            AND ($4 OR o.straggler_reason IS NULL) AND (o.state = 'pending' OR ${PARKED})) AS next_open,
         max(o.permit_until) FILTER (WHERE o.state IN (${quoted(BEFORE_APPLY)})) AS may_start_until
    FROM order_state o
   CROSS JOIN LATERAL (SELECT coalesce(o.next_open <= ${at('$5')} AND o.next_close > ${at('$5')}, false) AS now,
                              coalesce(o.next_open <= ${at('$5')} AND o.window_closes > ${at('$5')}, false) AS reboot) open
   WHERE o.change_id = $1 AND o.ring = $2 AND o.kind = $3 AND NOT o.retried
   GROUP BY o.state`;

const MOVED_ON = `
  SELECT count(*)::int AS stragglers,
         count(*) FILTER (WHERE o.straggler_reason LIKE 'offline%')::int AS offline,
         count(*) FILTER (WHERE o.straggler_reason LIKE 'windowless%')::int AS windowless
    FROM order_state o
   WHERE o.change_id = $1 AND o.ring = ${STRAGGLERS} AND o.home_ring = $2 AND o.kind = $3 AND o.phase <> 'done'`;

/**
 * Counts one lane: a ring's (or the stragglers') orders of one kind, the latest attempt of each.
 * In the stragglers' lane nobody is left behind any more, so what a ring would pass over is waited for.
 */
export async function countLane(
  client: Queryable,
  args: {
    readonly changeId: string;
    readonly ring: number;
    readonly target: OrderTarget;
    /** Endpoints the ring opened with; null: as many as have orders. */
    readonly planned: number | null;
    readonly now: EpochMs;
  },
): Promise<LaneCounts> {
  const { changeId, ring, target } = args;
  const inLane = ring === STRAGGLERS;
  const { rows } = await client.query(COUNT, [changeId, ring, target, inLane, args.now]);
  const sum = (column: string): number => rows.reduce((total, row) => total + row[column], 0);
  const latest = (column: string, pick: (...times: number[]) => number): EpochMs | null => {
    const times = rows.map((row) => toEpoch(row[column])).filter((time) => time !== null);
    return times.length === 0 ? null : pick(...times);
  };
  const byState: Partial<Record<OrderState, number>> = {};
  const classes = { none: 0, inFlight: 0, succeeded: 0, failed: 0 };
  for (const { state, n } of rows as { state: OrderState; n: number }[]) {
    byState[state] = n;
    if (state !== 'pending') classes[budgetClass(target, state)] += n;
  }
  const away = inLane || target !== 'change' ? null : await movedOn(client, args);
  return {
    counts: {
      planned: args.planned ?? sum('n'),
      pending: byState.pending ?? 0,
      ...classes,
      byState,
      offline: sum('offline') + (away?.offline ?? 0),
      windowless: sum('windowless') + (away?.windowless ?? 0),
      stragglers: (inLane ? 0 : sum('straggling')) + (away?.stragglers ?? 0),
      mayStillStartUntil: latest('may_start_until', Math.max),
    },
    waitedFor: sum('waited_for'),
    active: sum('active'),
    nextOpen: latest('next_open', Math.min),
    staleWindows: sum('stale'),
    hasWaves: rows.some((row) => row.has_waves),
    missed: sum('missed'),
  };
}

async function movedOn(
  client: Queryable,
  args: { readonly changeId: string; readonly ring: number; readonly target: OrderTarget },
): Promise<{ stragglers: number; offline: number; windowless: number }> {
  const { rows } = await client.query(MOVED_ON, [args.changeId, args.ring, args.target]);
  return rows[0];
}
