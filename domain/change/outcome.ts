import type { ChangeOutcome } from './stage.js';

/** What a change's orders came to, each planned endpoint counted by its last change order. */
export interface OutcomeCounts {
  /** Endpoints the plan put in a ring. */
  readonly planned: number;
  /** Failed, reverted by themselves, revert failed, stalled. */
  readonly failed: number;
  /** Never began before a deadline. */
  readonly expired: number;
  /** In a ring, but no order ever came to an end. */
  readonly unsettled: number;
  /** Reported success, and a later scan shows something else. */
  readonly missing: number;
  /** Reported success, and no scan since could prove it. */
  readonly unconfirmed: number;
  /** Left something of their order out because they can't do it, or could not undo it. */
  readonly declinedOn: number;
}

/**
 * The outcome people see. The runbook says how it ended; only the rows can say whether a completed one is complete.
 * Endpoints a person skipped, or that gave way to a change of higher priority, are itemised but no failure.
 */
export function decideOutcome(ended: ChangeOutcome, counts: OutcomeCounts): ChangeOutcome {
  if (ended !== 'completed' && ended !== 'completedWithFailures') return ended;
  if (counts.planned === 0) return 'nothingToDo';
  const short =
    counts.failed + counts.expired + counts.unsettled + counts.missing + counts.unconfirmed + counts.declinedOn;
  return short === 0 ? ended : 'completedWithFailures';
}
