/** Which change explains that a rule's result changed on an endpoint (docs/closed-loop.md, "What no change explains"). */
import type { RuleResult } from './results.js';

/** An order of a change that was at work on the endpoint between the two assessments. */
export interface OrderAtWork {
  readonly changeId: string;
  /** What it did was undone, or should have been: a way back, or an order that failed. */
  readonly back: boolean;
  /** Names of the rules it was to put right; none: it was about something else. */
  readonly rules: readonly string[];
  /** The endpoint said that packages came or went along. */
  readonly movedPackages: boolean;
}

export interface RuleMove {
  readonly name: string;
  readonly was: RuleResult | null;
  readonly is: RuleResult | null;
  /** The change that explains the rule's move before this one; null: none does, or it never moved. */
  readonly movedBy: string | null;
}

/**
 * A change explains what its order was to do, and what follows from that: a fix may put more right than it names, and what is undone goes back.
 * It never explains that a rule got worse which it neither names nor had moved. Orders about packages name no rules, and explain none.
 * @param orders the latest first
 * @returns the change; null: somebody else did it
 */
export function explainingChange(orders: readonly OrderAtWork[], move: RuleMove): string | null {
  return orders.find((order) => order.rules.length > 0 && explains(order, move))?.changeId ?? null;
}

function explains(order: OrderAtWork, { name, was, is, movedBy }: RuleMove): boolean {
  if (is === 'pass' || is === 'fixed' || is === 'notapplicable') return true;
  if (order.back) return order.rules.includes(name) || movedBy === order.changeId;
  // A package that came makes rules apply that did not.
  return was === 'notapplicable' && order.movedPackages;
}
