/** Folding one order's reports through the protocol's reducer: pure, so that a retried transaction folds them again. */
import type { OrderCore, OrderState } from '../../domain/order/index.js';
import { budgetClass, reduceOrder, STATE_TRAITS } from '../../domain/order/index.js';
import type { AgentReport } from '../../protocol/messages.js';

export type ViolationKind =
  /** Started without a permit, or after it had ended. */
  | 'startedOutsidePermit'
  /** A report the protocol does not know in the order's state: acknowledged, kept as evidence, and moving nothing. */
  | 'impossibleReport'
  /** Reports for an order of another endpoint, or of none. */
  | 'foreignOrder';

export interface FoldStep {
  readonly event: AgentReport;
  readonly from: OrderState;
  readonly to: OrderState;
  /** Why the report moved nothing; null when it was taken in. */
  readonly refused: string | null;
}

export interface Folded {
  readonly order: OrderCore;
  readonly steps: readonly FoldStep[];
  readonly violations: readonly { readonly kind: ViolationKind; readonly detail: string }[];
}

/** What an agent may still say of an order that was taken back before it heard of that: no fault of its own. */
const BEFORE_START: ReadonlySet<AgentReport['type']> = new Set([
  'accept',
  'refuse',
  'decline',
  'satisfied',
  'moot',
  'staged',
  'scanned',
  'failed',
  'note',
]);

/** Takes in reports in their order, up to the first gap. Whatever is acknowledged is in `steps`, or was there before. */
export function foldReports(order: OrderCore, reports: readonly AgentReport[]): Folded {
  let now = order;
  const steps: FoldStep[] = [];
  const violations: Folded['violations'][number][] = [];
  for (const event of [...reports].sort((a, b) => a.seq - b.seq)) {
    const result = reduceOrder(now, event);
    if (result.kind === 'duplicate') continue;
    if (result.kind === 'gap') break;
    if (result.kind !== 'moved') {
      const reason = result.kind === 'refused' ? result.reason : 'a permit is out';
      const late = STATE_TRAITS[now.state].final && BEFORE_START.has(event.type);
      if (!late) violations.push({ kind: 'impossibleReport', detail: reason });
      steps.push({ event, from: now.state, to: now.state, refused: reason });
      // Acknowledged, or the agent would send it for ever and nothing after it would get through.
      now = { ...now, seq: event.seq };
      continue;
    }
    if (result.violation !== null) {
      violations.push({ kind: result.violation, detail: `${event.type} at ${new Date(event.at).toISOString()}` });
    }
    steps.push({ event, from: now.state, to: result.order.state, refused: null });
    now = result.order;
  }
  return { order: now, steps, violations };
}

/**
 * Whether taking this in makes `failed + in flight` of its ring larger, or a failure of something in flight: then the ring's
 * lock must be held, for a release may be counting.
 */
export function needsRing(before: OrderCore, after: OrderCore): boolean {
  const [was, is] = [budgetClass(before.kind, before.state), budgetClass(after.kind, after.state)];
  return (is === 'failed' && was !== 'failed') || (is === 'inFlight' && was === 'none');
}

export function makesFailure(before: OrderCore, after: OrderCore): boolean {
  return budgetClass(after.kind, after.state) === 'failed' && budgetClass(before.kind, before.state) !== 'failed';
}
