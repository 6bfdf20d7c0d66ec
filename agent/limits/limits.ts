/**
 * The owner's last word: a local file that no server overrides (design §4). A file that can't be read as it should be
 * counts as a hold, because guessing what its owner meant is the one thing not to do.
 */
import { matchesNamePattern } from '../../domain/content/name-pattern.js';
import { readTextIfThere } from '../system/files.js';

export type Weekday = 'mon' | 'tue' | 'wed' | 'thu' | 'fri' | 'sat' | 'sun';

/** Local wall-clock times, half-open `[from, to)`; `to` at or before `from` means the next day. */
export interface OwnWindow {
  readonly days: readonly Weekday[];
  readonly from: string;
  readonly to: string;
}

export interface LocalLimits {
  /** Why nothing may be changed here at all; null: no hold. */
  readonly hold: string | null;
  /** When changes may start; null: whenever the server's permit says. */
  readonly windows: readonly OwnWindow[] | null;
  /** Package names, `*` and `?` as in a shell. */
  readonly neverTouch: readonly string[];
  /** What is wrong with the file; null: nothing. */
  readonly malformed: string | null;
}

export const NO_LIMITS: LocalLimits = { hold: null, windows: null, neverTouch: [], malformed: null };

const WEEKDAYS: readonly Weekday[] = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'];
const DAY_MINUTES = 24 * 60;

export function loadLimits(path: string): LocalLimits {
  try {
    const text = readTextIfThere(path);
    return text === null ? NO_LIMITS : parseLimits(text);
  } catch (error) {
    return malformed((error as Error).message);
  }
}

/** Reads `{"hold": true | "why", "windows": [{"days": ["sat"], "from": "22:00", "to": "04:00"}], "neverTouch": ["linux-*"]}`. */
export function parseLimits(text: string): LocalLimits {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return malformed('it is not JSON');
  }
  if (!isObject(value)) return malformed('it is not an object');
  const unknown = Object.keys(value).find((key) => !['hold', 'windows', 'neverTouch'].includes(key));
  if (unknown !== undefined) return malformed(`"${unknown}" means nothing here`);
  const { hold = false, windows = null, neverTouch = [] } = value;
  if (typeof hold !== 'boolean' && typeof hold !== 'string')
    return malformed('"hold" is neither true, false nor a reason');
  if (!isNames(neverTouch)) return malformed('"neverTouch" is not a list of package names');
  if (windows !== null && !(Array.isArray(windows) && windows.every(isWindow))) {
    return malformed('"windows" is not a list of {days, from, to}');
  }
  return {
    hold: hold === false || hold === '' ? null : hold === true ? "the owner's hold" : `the owner's hold: ${hold}`,
    windows: windows as OwnWindow[] | null,
    neverTouch,
    malformed: null,
  };
}

/** Whether changes may start at this local wall-clock time. `weekday`: 0 = Sunday. */
export function windowOpen(
  limits: LocalLimits,
  at: { readonly weekday: number; readonly hour: number; readonly minute: number },
): boolean {
  if (limits.windows === null) return true;
  const minute = at.hour * 60 + at.minute;
  const today = WEEKDAYS[at.weekday];
  const yesterday = WEEKDAYS[(at.weekday + 6) % 7];
  return limits.windows.some((window) => {
    const from = minutesOf(window.from);
    const to = minutesOf(window.to);
    const wraps = to <= from;
    const startedToday =
      window.days.some((day) => day === today) && minute >= from && minute < (wraps ? DAY_MINUTES : to);
    const startedYesterday = wraps && window.days.some((day) => day === yesterday) && minute < to;
    return startedToday || startedYesterday;
  });
}

/** The pattern that keeps a package from being touched, or null. */
export function neverTouchPattern(limits: LocalLimits, packageName: string): string | null {
  return limits.neverTouch.find((pattern) => matchesNamePattern(pattern, packageName)) ?? null;
}

const malformed = (why: string): LocalLimits => ({
  hold: `the owner's limits file can't be understood: ${why}`,
  windows: null,
  neverTouch: [],
  malformed: why,
});

function minutesOf(time: string): number {
  const [hour = '0', minute = '0'] = time.split(':');
  return Number(hour) * 60 + Number(minute);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isNames(value: unknown): value is string[] {
  return (
    Array.isArray(value) &&
    value.length <= 1_000 &&
    value.every((v) => typeof v === 'string' && /^[a-z0-9*?][a-z0-9+.*?-]{0,127}$/.test(v))
  );
}

function isWindow(value: unknown): value is OwnWindow {
  if (!isObject(value) || Object.keys(value).some((key) => !['days', 'from', 'to'].includes(key))) return false;
  const { days, from, to } = value;
  const time = /^([01]\d|2[0-3]):[0-5]\d$/;
  const daysFit = Array.isArray(days) && days.length > 0 && days.every((day) => WEEKDAYS.includes(day));
  return daysFit && typeof from === 'string' && time.test(from) && typeof to === 'string' && time.test(to);
}
