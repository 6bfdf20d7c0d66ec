/**
 * Wall time ↔ exact time. A wall time is a number: milliseconds since 1970-01-01T00:00 of the local calendar, so that dates
 * are whole multiples of a day and adding days is addition.
 */
import { Temporal } from 'temporal-polyfill';
import { DAY, type EpochMs } from '../time.js';

export type WallMs = number;
/** Days since 1970-01-01 of the local calendar. */
export type DayNumber = number;

/** A zone's rules. `toEpoch` follows Temporal's "compatible": a gap moves forward by its length, an overlap takes the earlier. */
export type Clock = {
  readonly toEpoch: (wall: WallMs) => EpochMs;
  readonly toWall: (at: EpochMs) => WallMs;
};

export const dayOf = (wall: WallMs): DayNumber => Math.floor(wall / DAY);

/** The clock of an IANA zone, or undefined for anything else (offsets such as `+01:00` are not zones: they have no DST). */
export function ianaClock(zone: string): Clock | undefined {
  if (!/^[A-Za-z]/.test(zone)) return undefined;
  try {
    Temporal.Instant.fromEpochMilliseconds(0).toZonedDateTimeISO(zone);
  } catch {
    return undefined;
  }
  return {
    toEpoch: (wall) => plainDateTime(wall).toZonedDateTime(zone, { disambiguation: 'compatible' }).epochMilliseconds,
    toWall: (at) => {
      const local = Temporal.Instant.fromEpochMilliseconds(at).toZonedDateTimeISO(zone);
      return at + Math.round(local.offsetNanoseconds / 1e6);
    },
  };
}

export const isIanaZone = (zone: string): boolean => ianaClock(zone) !== undefined;

export const utcClock: Clock = { toEpoch: (wall) => wall, toWall: (at) => at };

export type Transition = { readonly at: EpochMs; readonly offset: number };

/**
 * The clock of a zone given as a list of transitions (a calendar's own VTIMEZONE). Offsets in milliseconds east of UTC.
 * @param initial the offset before the first transition
 */
export function transitionClock(transitions: readonly Transition[], initial: number): Clock {
  const sorted = [...transitions].sort((a, b) => a.at - b.at);
  const offsetAt = (at: EpochMs): number => {
    let low = 0;
    let high = sorted.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((sorted[middle] as Transition).at <= at) low = middle + 1;
      else high = middle;
    }
    return sorted[low - 1]?.offset ?? initial;
  };
  return {
    toWall: (at) => at + offsetAt(at),
    toEpoch: (wall) => {
      // Any offset in force around this wall time is in force a day before or after it: zones don't change twice in two days.
      const before = offsetAt(wall - DAY);
      const after = offsetAt(wall + DAY);
      const fits = [wall - before, wall - after].filter((at) => at + offsetAt(at) === wall);
      return fits.length > 0 ? Math.min(...fits) : wall - before;
    },
  };
}

function plainDateTime(wall: WallMs): Temporal.PlainDateTime {
  const utc = new Date(wall);
  return new Temporal.PlainDateTime(
    utc.getUTCFullYear(),
    utc.getUTCMonth() + 1,
    utc.getUTCDate(),
    utc.getUTCHours(),
    utc.getUTCMinutes(),
    utc.getUTCSeconds(),
  );
}

/** `YYYY-MM-DD` as a day number; undefined unless it is a real date. */
export function parseDate(text: string): DayNumber | undefined {
  const match = /^(\d{4})-(\d{2})-(\d{2})$/.exec(text);
  if (!match) return undefined;
  const [year, month, day] = [Number(match[1]), Number(match[2]), Number(match[3])];
  const wall = Date.UTC(year, month - 1, day);
  const back = new Date(wall);
  const real = back.getUTCFullYear() === year && back.getUTCMonth() === month - 1 && back.getUTCDate() === day;
  return real ? wall / DAY : undefined;
}
