import { DAY, type EpochMs } from '../time.js';
import { dayOf } from './clock.js';
import { compileCadence } from './compile.js';
import type { Cadence, NeverCode } from './model.js';
import { LOOK_AHEAD_DAYS } from './next-window.js';
import { occurrenceDays } from './rule.js';

export type NextStart = { readonly at: EpochMs } | { readonly never: string; readonly code: NeverCode };

/**
 * The first start of a scheduled cycle strictly after `after`, within 400 days. Wall times resolve as "compatible", so a start
 * inside a gap moves past it, and happens once where the clock repeats an hour.
 */
export function nextScheduledStart({ cadence, after }: { cadence: Cadence; after: EpochMs }): NextStart {
  const compiled = compileCadence(cadence);
  if (!compiled.ok) {
    return { never: compiled.problems.map((p) => `${p.path}: ${p.reason}`).join('; '), code: 'badSpec' };
  }
  if (!(Math.abs(after) < 4e15))
    return { never: `the time to start from (${after}) is not a usable number`, code: 'badNeed' };
  const { rule, start, plusDays, at, clock } = compiled.value;
  const today = dayOf(clock.toWall(after)) - plusDays;
  for (const ahead of [40, LOOK_AHEAD_DAYS]) {
    const days = occurrenceDays({ rule, start, from: today - 2, to: today + ahead + 1 });
    if (!days.ok) return { never: days.reason, code: 'badSpec' };
    const starts = days.days.map((day) => clock.toEpoch((day + plusDays) * DAY + at)).filter((start) => start > after);
    if (starts.length > 0) return { at: Math.min(...starts) };
  }
  return { never: `no start in the next ${LOOK_AHEAD_DAYS} days`, code: 'noWindow' };
}
