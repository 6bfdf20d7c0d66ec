/** How many orders a ring may have under way now, remembered in the ring's row. */
export interface Pace {
  readonly concurrency: number;
  /** Outcomes this pace has already taken into account. */
  readonly pacedSuccesses: number;
  readonly pacedFailures: number;
}

/** Where every ring starts, and starts again after a retry or for a rollback. */
export const SLOW_START: Pace = { concurrency: 1, pacedSuccesses: 0, pacedFailures: 0 };

/**
 * Slow start (design §3): 1, 2, 4 … up to `maxInFlight`. It doubles once as many orders succeeded as could be under way,
 * and halves for each failure; successes that came together with a failure count for nothing.
 *
 * @param outcomes so far in the ring; fewer than before (a retry takes failures out of the count) only resets the memory.
 */
export function nextPace(args: {
  readonly pace: Pace;
  readonly outcomes: { readonly succeeded: number; readonly failed: number };
  readonly maxInFlight: number;
}): Pace {
  const { succeeded, failed } = args.outcomes;
  const ceiling = Math.max(1, args.maxInFlight);
  const failures = failed - Math.min(args.pace.pacedFailures, failed);
  let concurrency = Math.min(Math.max(1, args.pace.concurrency), ceiling);
  if (failures > 0) {
    concurrency = Math.max(1, Math.floor(concurrency / 2 ** Math.min(failures, 30)));
    return { concurrency, pacedSuccesses: succeeded, pacedFailures: failed };
  }
  let pacedSuccesses = Math.min(args.pace.pacedSuccesses, succeeded);
  while (concurrency < ceiling && succeeded - pacedSuccesses >= concurrency) {
    pacedSuccesses += concurrency;
    concurrency = Math.min(ceiling, concurrency * 2);
  }
  return { concurrency, pacedSuccesses, pacedFailures: failed };
}

export function samePace(a: Pace, b: Pace): boolean {
  return (
    a.concurrency === b.concurrency && a.pacedSuccesses === b.pacedSuccesses && a.pacedFailures === b.pacedFailures
  );
}
