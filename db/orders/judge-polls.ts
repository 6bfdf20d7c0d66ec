/** What polls do to orders: pure, so that it can be judged again after more locks were taken. */
import type { OrderKind, OrderState } from '../../domain/order/index.js';
import { type OrderCore, reduceOrder, STATE_TRAITS } from '../../domain/order/index.js';
import { PERMIT_VALID_MS } from '../../domain/order/permit.js';
import { type EpochMs, MINUTE } from '../../domain/time.js';
import type { AgentReport, PollRequest } from '../../protocol/messages.js';
import { type Folded, foldReports, makesFailure, needsRing, type ViolationKind } from './fold-reports.js';
import type { OpenOrder } from './open-orders.js';
import type { OrderChange } from './write-reports.js';

/** What one poll says of its endpoint's orders. */
export interface PollReports {
  readonly endpointId: string;
  readonly reports: PollRequest['reports'];
  readonly open: PollRequest['open'];
  /**
   * The earliest server time at which the endpoint can have written this. Default: now less {@link UNSTAMPED_POLL_AGE_MS}.
   * It decides whether a permit can still be used: a poll that was long under way proves nothing about later.
   */
  readonly heardAt?: EpochMs;
}

export interface Violation {
  readonly endpointId: string;
  readonly orderId: string;
  readonly kind: ViolationKind;
  readonly detail: string;
}

export interface PollTaken {
  readonly endpointId: string;
  /** The last report held of each order reported or open: the agent sends on from the next one. */
  readonly acks: readonly { readonly orderId: string; readonly seq: number }[];
  readonly violations: readonly Violation[];
  /** Where its orders are now that were somewhere else before. */
  readonly moved: readonly { readonly orderId: string; readonly kind: OrderKind; readonly state: OrderState }[];
}

/**
 * A signed request may be 2 minutes old by the endpoint's clock, and that clock 2 minutes ahead: nothing in a poll without a
 * better stamp is older than this.
 */
export const UNSTAMPED_POLL_AGE_MS = 4 * MINUTE;
/** An order that an endpoint lists as under way is not silent; its row says so this often. */
const TOUCH_EVERY_MS = 5 * MINUTE;
/** An order in an agent's journal that has not begun. */
const NOT_BEGUN: readonly string[] = ['offered', 'accepted', 'staged'];

/** What is known of an order that a poll may be about. */
export type Row = Omit<OpenOrder, 'nextOpen' | 'nextClose'>;

export interface Judged {
  readonly taken: readonly PollTaken[];
  readonly changes: readonly OrderChange[];
  /** Changes whose rings must be locked for this. */
  readonly ringsOf: readonly string[];
  /** Changes in which an order failed. */
  readonly failed: readonly string[];
}

/** What the polls do to the orders read. Pure, so that it can be done again after more locks were taken. */
export function judgePolls(rows: ReadonlyMap<string, Row>, polls: readonly PollReports[], now: EpochMs): Judged {
  const changes = new Map<string, OrderChange>();
  const ringsOf = new Set<string>();
  const failed = new Set<string>();
  const ofEndpoint = new Map<string, Row[]>();
  for (const row of rows.values()) ofEndpoint.set(row.endpointId, [...(ofEndpoint.get(row.endpointId) ?? []), row]);
  const taken = polls.map((poll): PollTaken => {
    const acks = new Map<string, number>();
    const violations: Violation[] = [];
    const violate = (orderId: string, kind: ViolationKind, detail: string) =>
      violations.push({ endpointId: poll.endpointId, orderId, kind, detail });

    for (const { orderId, events } of poll.reports) {
      const row = rows.get(orderId);
      if (row === undefined || row.endpointId !== poll.endpointId) {
        violate(orderId, 'foreignOrder', 'not an order of this endpoint');
        // Nothing is kept of it, but an agent that is never answered would send it for ever.
        acks.set(orderId, Math.max(0, ...events.map((event) => event.seq)));
        continue;
      }
      // The same order may be reported twice in one batch, by a poll and its retry.
      const before = changes.get(orderId);
      const folded: Folded | null = foldKnowing(row.restoredAt, before?.order ?? row, events);
      if (folded === null) {
        acks.set(orderId, row.seq);
        continue;
      }
      for (const { kind, detail } of folded.violations) violate(orderId, kind, detail);
      acks.set(orderId, folded.order.seq);
      if (folded.steps.length === 0) continue;
      changes.set(orderId, { id: orderId, order: folded.order, steps: [...(before?.steps ?? []), ...folded.steps] });
      if (row.changeId !== null && needsRing(row, folded.order)) ringsOf.add(row.changeId);
      if (row.changeId !== null && row.kind === 'change' && makesFailure(row, folded.order)) failed.add(row.changeId);
    }
    for (const { orderId, seq } of poll.open) {
      if (acks.has(orderId)) continue;
      const row = rows.get(orderId);
      acks.set(orderId, row !== undefined && row.endpointId === poll.endpointId ? row.seq : seq);
    }
    for (const row of ofEndpoint.get(poll.endpointId) ?? []) {
      // The endpoint's journal is asked for: told what we hold of an order it has finished, it says the rest again.
      if (row.restoredAt !== null && !acks.has(row.id) && row.phase !== 'done') acks.set(row.id, row.seq);
      const change = heard({ row, poll, now, change: changes.get(row.id) });
      if (change !== null) changes.set(row.id, change);
    }
    const mine = [...(ofEndpoint.get(poll.endpointId) ?? [])].flatMap(({ id, kind, state }) => {
      const now = changes.get(id)?.order.state ?? state;
      return now === state ? [] : [{ orderId: id, kind, state: now }];
    });
    const { endpointId } = poll;
    return { endpointId, acks: [...acks].map(([orderId, seq]) => ({ orderId, seq })), violations, moved: mine };
  });
  return { taken, changes: [...changes.values()], ringsOf: [...ringsOf], failed: [...failed] };
}

/**
 * Folds reports, knowing that the row may be of before a restore: a permit may have been handed out that we know nothing of, and
 * an order we hold as pending may have been let out. If that one is done, it is done here, too; if it is still under way it waits
 * here to be let out again, which hands it what it needs from us, and its reports are left for then (null).
 */
function foldKnowing(restoredAt: EpochMs | null, order: OrderCore, events: readonly AgentReport[]): Folded | null {
  if (restoredAt === null) return foldReports(order, events);
  const permitUntil = Math.max(order.permitUntil ?? 0, restoredAt + PERMIT_VALID_MS);
  if (order.state !== 'pending') {
    const folded = foldReports({ ...order, permitUntil }, events);
    return folded.order.permitUntil === permitUntil
      ? { ...folded, order: { ...folded.order, permitUntil: order.permitUntil } }
      : folded;
  }
  const letOut = foldReports({ ...order, state: 'offered', seq: 0, permitUntil }, events);
  return STATE_TRAITS[letOut.order.state].phase === 'done' ? letOut : null;
}

/**
 * What merely hearing of an order does: one that is under way is not silent, and a permit that has ended without the endpoint
 * having begun can't be used any more. The latter only when the poll leaves no doubt: it was written after the permit ended, and
 * either lists the order where our row has it, or the endpoint never got it.
 */
function heard(args: {
  readonly row: Row;
  readonly poll: PollReports;
  readonly now: EpochMs;
  readonly change: OrderChange | undefined;
}): OrderChange | null {
  const { row, poll, now, change } = args;
  const order = change?.order ?? row;
  const listed = poll.open.find((entry) => entry.orderId === row.id);
  if (listed !== undefined && change === undefined && isUnderWay(order.state) && row.updatedAt < now - TOUCH_EVERY_MS) {
    return { id: row.id, order, steps: [] };
  }
  if (order.permitUntil === null) return null;
  const neverGotIt = listed === undefined && order.seq === 0 && order.state === 'offered';
  const notBegun = listed !== undefined && listed.seq === order.seq && NOT_BEGUN.includes(listed.state);
  if (!neverGotIt && !notBegun) return null;
  const heardAt = Math.min(poll.heardAt ?? now - UNSTAMPED_POLL_AGE_MS, now);
  const lapsed = reduceOrder(order, { type: 'permitLapsed', heardAt });
  if (lapsed.kind !== 'moved') return null;
  return {
    id: row.id,
    order: lapsed.order,
    steps: change?.steps ?? [],
    serverEvents: [{ event: 'permitLapsed', detail: { heardAt, permitUntil: order.permitUntil } }],
  };
}

function isUnderWay(state: OrderState): boolean {
  return ['applying', 'awaitingReboot', 'rebooting', 'verifying', 'reverting'].includes(state);
}
