import type { EpochMs } from '../time.js';
import type { FreezeSet, Hours, NextWindow } from './model.js';
import { nextWindow } from './next-window.js';

/** Expected time of each kind of work, in milliseconds. */
export type HoursNeed = { readonly [kind in keyof Hours]: number };

/**
 * The next window of each of the three hours. The answer depends on the arguments alone, and for a fleet on few distinct ones:
 * ask once per policy, zone and expected time (a millisecond or less), not once per endpoint.
 */
export function resolveHours(query: {
  readonly hours: Hours;
  readonly freezes: FreezeSet;
  readonly zone: string;
  readonly now: EpochMs;
  readonly needMs: HoursNeed;
}): { readonly [kind in keyof Hours]: NextWindow } {
  const { hours, freezes, zone, now, needMs } = query;
  const next = (kind: keyof Hours) => nextWindow({ spec: hours[kind], freezes, zone, now, needMs: needMs[kind] });
  return { communicate: next('communicate'), stage: next('stage'), apply: next('apply') };
}
