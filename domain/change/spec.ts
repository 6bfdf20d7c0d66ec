/** What a person or a schedule asks for. Validated by `spec-schema.ts`; plain types, so that workflows may use them. */
import type { ApprovalRule } from '../approval/rule.js';
import type { Selector } from '../fleet/selector.js';
import type { Override } from './override.js';

export type HaltAction = 'pause' | 'rollback' | 'ask';

/** A count of endpoints or a share of a stated denominator; never a bare number whose meaning must be guessed. */
export type Limit = { readonly count: number } | { readonly percent: number };

export interface RingSpec {
  readonly name: string;
  /** A selector, or a share of what earlier rings left over (the last ring usually takes 100 percent). */
  readonly select: Selector | { readonly sharePercent: number };
  readonly maxInFlight: number;
  /** More failures than this halt the ring. Percent is of the ring's planned endpoints, rounded down. */
  readonly errorBudget: Limit;
  /** Promotion needs succeeded / (succeeded + failed) of at least this, in percent. */
  readonly successThresholdPercent: number;
  /** Promotion needs at least this many outcomes (or every endpoint of a smaller ring). */
  readonly minSample: number;
  readonly soakMinutes: number;
  /** Asked before the ring opens; empty: the policy asks for none, and the record says so. */
  readonly approvals: readonly ApprovalRule[];
  /** From opening; what has not begun by then moves to the stragglers. */
  readonly deadlineMinutes: number;
  readonly haltAction: HaltAction;
  /** failed + in flight (rebooting included) never exceed this, exactly. */
  readonly disruptionBudget?: number | undefined;
  /** Host order: endpoints matching the first selector settle before the second begins, and so on; others go last. */
  readonly hostOrder?: readonly Selector[] | undefined;
}

export interface ChangeSpec {
  readonly kind: string;
  readonly name: string;
  readonly reason: string;
  readonly scope: Selector;
  /** Ring 0 is the test group. */
  readonly rings: readonly RingSpec[];
  /** 0 routine; higher goes first in every queue and supersedes routine orders that have not begun. */
  readonly priority: number;
  /** From the request; after it nothing new begins. */
  readonly deadlineMinutes: number;
  /** Minutes an endpoint may be silent before it counts as offline and becomes a straggler. */
  readonly offlineAfterMinutes: number;
  /** For the change kind alone: which updates, which rules. Parsed by the kind. */
  readonly parameters: Readonly<Record<string, unknown>>;
  /** Hours or freezes this change may set aside once exactly that is approved. Never read from a request: the expedite policy allows it. */
  readonly override?: Override | undefined;
}

/** A change of at least this priority has queues, worker slots and database connections of its own. */
export const EXPEDITED_PRIORITY = 100;

export const isExpedited = (priority: number): boolean => priority >= EXPEDITED_PRIORITY;

/** The lane in which endpoints that missed their ring are caught up. */
export const STRAGGLERS = 1000;
