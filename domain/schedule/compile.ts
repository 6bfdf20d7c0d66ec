/** From the text of a recurring window to numbers, with every problem named. Shared by the schema (to refuse) and by the evaluation. */
import { DAY, HOUR, MINUTE, SECOND } from '../time.js';
import { type Clock, type DayNumber, ianaClock, parseDate } from './clock.js';
import type { Cadence, Problem, RecurringWindow } from './model.js';
import { needsStart, occurrenceDays, parseRule, type Rule } from './rule.js';

/** A set of local dates: the rule's, each moved by `plusDays`. */
export type Dates = { readonly rule: Rule; readonly start?: DayNumber; readonly plusDays: number };

export type CompiledWindow = Dates & {
  /** Milliseconds after local midnight of the date. */
  readonly opens: number;
  /** Wall milliseconds after local midnight of the same date (more than a day: the next), or exact milliseconds after the opening. */
  readonly closes: { readonly kind: 'wall' | 'elapsed'; readonly ms: number };
  /** undefined: the endpoint's own. */
  readonly clock: Clock | undefined;
};

export type CompiledCadence = Dates & { readonly at: number; readonly clock: Clock };

type Compiled<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly problems: readonly Problem[] };

/** Zone word of a window that means "wherever the endpoint is". */
export const ENDPOINT_ZONE = 'endpoint';
export const MAX_DURATION = 31 * DAY;
const MAX_PLUS_DAYS = 31;

/** Checks and compiles one window; problems carry the field's name as path. */
export function compileWindow(window: RecurringWindow): Compiled<CompiledWindow> {
  const problems: Problem[] = [];
  const add = (path: string, reason: string) => problems.push({ path, reason });
  const dates = compileDates(window, add);
  const opens = parseTime(window.from);
  if (opens === undefined) add('from', `"${window.from}" is not a wall time HH:MM`);
  const closes = compileCloses(window, opens, add);
  const clock = window.zone === ENDPOINT_ZONE ? undefined : ianaClock(window.zone);
  if (window.zone !== ENDPOINT_ZONE && !clock)
    add('zone', `"${window.zone}" is neither an IANA zone nor "${ENDPOINT_ZONE}"`);
  if (!dates || opens === undefined || !closes || problems.length > 0) return { ok: false, problems };
  return { ok: true, value: { ...dates, opens, closes, clock } };
}

/** Checks and compiles the start times of a scheduled cycle. */
export function compileCadence(cadence: Cadence): Compiled<CompiledCadence> {
  const problems: Problem[] = [];
  const add = (path: string, reason: string) => problems.push({ path, reason });
  const dates = compileDates(cadence, add);
  const at = parseTime(cadence.at);
  if (at === undefined) add('at', `"${cadence.at}" is not a wall time HH:MM`);
  const clock = ianaClock(cadence.zone);
  if (!clock) add('zone', `"${cadence.zone}" is not an IANA zone`);
  if (!dates || at === undefined || !clock || problems.length > 0) return { ok: false, problems };
  return { ok: true, value: { ...dates, at, clock } };
}

type Add = (path: string, reason: string) => void;

function compileDates(
  source: { rrule: string; dtstart?: string | undefined; plusDays?: number | undefined },
  add: Add,
): Dates | undefined {
  const parsed = parseRule(source.rrule);
  if (!parsed.ok) add('rrule', parsed.reason);
  const start = source.dtstart === undefined ? undefined : parseDate(source.dtstart);
  if (source.dtstart !== undefined && start === undefined)
    add('dtstart', `"${source.dtstart}" is not a date YYYY-MM-DD`);
  const plusDays = source.plusDays ?? 0;
  if (!Number.isInteger(plusDays) || Math.abs(plusDays) > MAX_PLUS_DAYS) {
    add('plusDays', `${plusDays} is not a whole number from -${MAX_PLUS_DAYS} to ${MAX_PLUS_DAYS}`);
  }
  if (!parsed.ok || (source.dtstart !== undefined && start === undefined)) return undefined;
  const reason = ruleProblem(parsed.rule, start);
  if (reason !== undefined) add('rrule', reason);
  return { rule: parsed.rule, ...(start !== undefined && { start }), plusDays };
}

function ruleProblem(rule: Rule, start: DayNumber | undefined): string | undefined {
  if (rule.until && rule.until.kind !== 'date') return 'UNTIL must be a date here (YYYYMMDD): the rule is over dates';
  if (start === undefined) return needsStart(rule);
  if (rule.count === undefined) return undefined;
  // COUNT is walked from its start every time: refuse now what would be refused then.
  const farAway = start + 365 * 1_000;
  const trial = occurrenceDays({ rule, start, from: farAway, to: farAway + 1 });
  return trial.ok ? undefined : trial.reason;
}

function compileCloses(
  window: RecurringWindow,
  opens: number | undefined,
  add: Add,
): CompiledWindow['closes'] | undefined {
  const { from, to, duration } = window;
  if ((to === undefined) === (duration === undefined)) {
    add('to', 'give either "to" or "duration"');
    return undefined;
  }
  if (duration !== undefined) {
    const ms = parseDuration(duration);
    if (ms === undefined)
      add(
        'duration',
        `"${duration}" is not an ISO 8601 duration in weeks, days, hours and minutes (such as PT30H or P2D)`,
      );
    else if (ms < MINUTE || ms > MAX_DURATION) add('duration', `"${duration}" is not between 1 minute and 31 days`);
    return ms === undefined ? undefined : { kind: 'elapsed', ms };
  }
  const end = to === '24:00' ? DAY : parseTime(to as string);
  if (end === undefined) add('to', `"${to}" is not a wall time HH:MM`);
  else if (end === opens) add('to', `"to" equals "from" (${from}): write a duration, PT24H for a whole day`);
  if (end === undefined || opens === undefined) return undefined;
  return { kind: 'wall', ms: end > opens ? end : end + DAY };
}

/** `HH:MM` in milliseconds after midnight. */
function parseTime(text: string): number | undefined {
  const match = /^([01]\d|2[0-3]):([0-5]\d)$/.exec(text);
  return match ? Number(match[1]) * HOUR + Number(match[2]) * MINUTE : undefined;
}

/** An ISO 8601 duration without years and months, in milliseconds; a day is 24 hours, a week 7 days. */
function parseDuration(text: string): number | undefined {
  const match = /^P(?:(\d{1,4})W)?(?:(\d{1,4})D)?(?:T(?=\d)(?:(\d{1,5})H)?(?:(\d{1,6})M)?(?:(\d{1,7})S)?)?$/.exec(text);
  if (!match || text === 'P') return undefined;
  const units = [7 * DAY, DAY, HOUR, MINUTE, SECOND];
  return units.reduce((sum, unit, i) => sum + unit * Number(match[i + 1] ?? 0), 0);
}
