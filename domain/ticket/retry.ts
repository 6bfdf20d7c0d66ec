/** When what a tracker did not take is tried again. */
import { type EpochMs, HOUR, MINUTE, SECOND } from '../time.js';

/** `away`: nobody knows whether it was done; `refused`: the tracker said no, and only a person can mend that. */
export type DeliveryFailure = 'away' | 'refused';

/** The pause of a whole system that is away: 2 s, doubled up to a minute, so that an hour's outage ends for all within one. */
export function pauseOfSystem(failures: number): EpochMs {
  return Math.min(MINUTE, SECOND * 2 ** Math.min(Math.max(failures, 1), 10));
}

/** The pause of one action. What is refused waits longer each time, up to an hour: somebody may have mended it. */
export function pauseOfAction(args: { readonly failure: DeliveryFailure; readonly attempts: number }): EpochMs {
  if (args.failure === 'away') return pauseOfSystem(args.attempts);
  return Math.min(HOUR, MINUTE * 2 ** Math.min(args.attempts - 1, 10));
}
