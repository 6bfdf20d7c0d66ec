/**
 * The limits a ring works under, read anew from its stored terms each time they are needed. What is missing or malformed
 * never counts as "no limit": it halts (fail closed).
 */

export interface RingTerms {
  readonly maxInFlight: number;
  /** Failures the ring may have; one more halts it. */
  readonly failuresAllowed: number;
  /** `failed + in flight` never exceed it; null when the ring has none. */
  readonly disruptionBudget: number | null;
}

export type TermsResult =
  | { readonly ok: true; readonly terms: RingTerms }
  | { readonly ok: false; readonly reason: string };

/** Reads the limits of a ring's stored spec. Percentages are of `planned` endpoints, rounded down. Names the field it refuses. */
export function readTerms(spec: unknown, planned: number): TermsResult {
  if (typeof spec !== 'object' || spec === null) return refused('the ring has no terms');
  const { maxInFlight, errorBudget, disruptionBudget } = spec as Readonly<Record<string, unknown>>;
  if (!isCount(maxInFlight) || maxInFlight < 1) {
    return refused(`maxInFlight must be a whole number from 1, not ${shown(maxInFlight)}`);
  }
  const allowed = readLimit(errorBudget, planned);
  if (allowed === null) {
    return refused(`errorBudget must be {"count": n} or {"percent": 0..100}, not ${shown(errorBudget)}`);
  }
  if (disruptionBudget !== undefined && (!isCount(disruptionBudget) || disruptionBudget < 1)) {
    return refused(`disruptionBudget must be a whole number from 1, not ${shown(disruptionBudget)}`);
  }
  return { ok: true, terms: { maxInFlight, failuresAllowed: allowed, disruptionBudget: disruptionBudget ?? null } };
}

export type BudgetVerdict =
  /** `left` more failures are within the budget. */
  | { readonly kind: 'within'; readonly left: number }
  | { readonly kind: 'spent'; readonly reason: string }
  | { readonly kind: 'malformed'; readonly reason: string };

/**
 * Whether a ring may go on.
 *
 * @param forgiven failures a person accepted by resuming after they had spent the budget; they are not held against it again.
 */
export function judgeBudget(args: {
  readonly spec: unknown;
  readonly planned: number;
  readonly failed: number;
  readonly forgiven?: number;
}): BudgetVerdict {
  const read = readTerms(args.spec, args.planned);
  if (!read.ok) return { kind: 'malformed', reason: `nothing goes on under terms that can't be read: ${read.reason}` };
  const { failuresAllowed } = read.terms;
  const forgiven = Math.min(args.forgiven ?? 0, args.failed);
  const counted = args.failed - forgiven;
  if (counted <= failuresAllowed) return { kind: 'within', left: failuresAllowed - counted };
  const before = forgiven > 0 ? ` since ${forgiven} were accepted` : '';
  return {
    kind: 'spent',
    reason: `error budget spent: ${counted} failed${before}, ${failuresAllowed} allowed of ${args.planned} planned`,
  };
}

/** How many more orders may be let out now: the pace, the ceiling and the disruption budget each hold. Never negative. */
export function roomFor(args: {
  readonly terms: RingTerms;
  readonly concurrency: number;
  readonly failed: number;
  readonly inFlight: number;
}): number {
  const { terms, failed, inFlight } = args;
  const byPace = Math.min(args.concurrency, terms.maxInFlight) - inFlight;
  const byDisruption = terms.disruptionBudget === null ? byPace : terms.disruptionBudget - failed - inFlight;
  return Math.max(0, Math.min(byPace, byDisruption));
}

/** A limit as a count of endpoints, or null when it is not a limit: exactly one of `count` and `percent`, in range. */
function readLimit(limit: unknown, of: number): number | null {
  if (typeof limit !== 'object' || limit === null || Object.keys(limit).length !== 1) return null;
  const { count, percent } = limit as Readonly<Record<string, unknown>>;
  if (isCount(count)) return count;
  if (typeof percent !== 'number' || !(percent >= 0 && percent <= 100)) return null;
  return Math.floor((of * percent) / 100);
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function refused(reason: string): TermsResult {
  return { ok: false, reason };
}

function shown(value: unknown): string {
  return value === undefined ? 'missing' : (JSON.stringify(value) ?? typeof value);
}
