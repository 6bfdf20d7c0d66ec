import { DAY } from '../time.js';
import type { CalendarProblem } from './calendar-text.js';
import { type Clock, dayOf, ianaClock, type WallMs } from './clock.js';
import type { FreezeCalendar, FreezeEvent } from './freeze-calendar.js';
import type { Freeze, FreezeSet, Interval } from './model.js';
import { MAX_RANGE_DAYS, validRange } from './openings.js';
import { occurrenceDays, type Until } from './rule.js';

export type FreezesResult =
  | { readonly ok: true; readonly freezes: FreezeSet }
  | { readonly ok: false; readonly problem: CalendarProblem };

/** Occurrences of all calendars together in the range asked for. */
export const MAX_OCCURRENCES = 20_000;

/**
 * The freezes of some calendars that touch `[from, to)`, which is then what the set covers (see `freezesNeeded`). Whole days and
 * floating times are those of `zone`: a freeze of 24 December begins at each endpoint's own midnight. Wall times inside a clock
 * change resolve as "compatible", and the first instance counts even where its rule doesn't name it.
 * @param zone IANA zone of the endpoint, or of the window
 */
export function freezesBetween({
  calendars,
  zone,
  from,
  to,
}: { calendars: readonly FreezeCalendar[]; zone: string } & Interval): FreezesResult {
  const clock = ianaClock(zone);
  if (!clock) return refused(0, 'zone', `the zone "${zone}" is not known`);
  if (!validRange({ from, to })) return refused(0, 'range', `the range asked for is not within ${MAX_RANGE_DAYS} days`);
  const freezes: Freeze[] = [];
  let occurrences = 0;
  for (const event of calendars.flatMap((c) => c.events)) {
    const found = expand({ event, clock: event.clock ?? clock, range: { from, to } });
    if (typeof found === 'string') return refused(event.line, `VEVENT "${event.label}" RRULE`, found);
    occurrences += found.length;
    if (occurrences > MAX_OCCURRENCES)
      return refused(
        event.line,
        `VEVENT "${event.label}"`,
        `the calendars have more than ${MAX_OCCURRENCES} freezes in the range`,
      );
    freezes.push(...found.filter((f) => f.to > from && f.from < to && f.to > f.from));
  }
  freezes.sort((a, b) => a.from - b.from);
  return { ok: true, freezes: { covers: { from, to }, freezes } };
}

/** The occurrences that may touch the range, or why they can't be enumerated. */
function expand({ event, clock, range }: { event: FreezeEvent; clock: Clock; range: Interval }): Freeze[] | string {
  const { start, length, rule, extra, excluded, label } = event;
  const walls = new Map<WallMs, FreezeEvent['length']>([[start, length]]);
  if (rule) {
    const startDay = dayOf(start);
    const days = occurrenceDays({
      rule,
      start: startDay,
      from: dayOf(clock.toWall(range.from) - length.wallMs - length.exactMs) - 2,
      to: dayOf(clock.toWall(range.to)) + 3,
    });
    if (!days.ok) return days.reason;
    for (const day of days.days) {
      const wall = day * DAY + (start - startDay * DAY);
      if (withinUntil(rule.until, { wall, clock, allDay: event.allDay })) walls.set(wall, length);
    }
  }
  for (const { wall, length } of extra) walls.set(wall, length);
  for (const wall of excluded) walls.delete(wall);
  return [...walls].map(([wall, { wallMs, exactMs }]) => ({
    from: clock.toEpoch(wall),
    to: clock.toEpoch(wall + wallMs) + exactMs,
    ...(label !== '' && { label }),
  }));
}

function withinUntil(
  until: Until | undefined,
  { wall, clock, allDay }: { wall: WallMs; clock: Clock; allDay: boolean },
): boolean {
  if (until === undefined || until.kind === 'date') return true;
  if (until.kind === 'wall') return wall <= until.wall;
  // An instant doesn't end whole days cleanly; where the zones differ the later date counts.
  return allDay ? wall <= Math.max(until.at, clock.toWall(until.at)) : clock.toEpoch(wall) <= until.at;
}

function refused(line: number, place: string, reason: string): FreezesResult {
  return { ok: false, problem: { line, place, reason } };
}
