import type { EpochMs } from '../domain/time.js';

/**
 * The workflow's own time: inside the sandbox `Date.now()` is the time of the current workflow task, the same at every
 * replay. The only clock in workflow code (`scripts/check-determinism.mjs` refuses any other).
 */
export function workflowNow(): EpochMs {
  return Date.now();
}

/** Milliseconds from now until `at`, never negative. */
export function until(at: EpochMs): number {
  return Math.max(0, at - workflowNow());
}
