/**
 * Recurrence rules (RFC 5545 §3.3.10) over dates. The text is read here, strictly, because rrule-temporal drops what it doesn't
 * understand: `BYMONTHDAY=99` would silently become "every month". rrule-temporal then only enumerates.
 */
import { RRuleTemporal } from 'rrule-temporal';
import { Temporal } from 'temporal-polyfill';
import { DAY, type EpochMs } from '../time.js';
import { type DayNumber, dayOf, parseDate, type WallMs } from './clock.js';

const frequencies = ['DAILY', 'WEEKLY', 'MONTHLY', 'YEARLY'] as const;
type Freq = (typeof frequencies)[number];

/** The last moment of a rule, inclusive: a local date, a wall time, or an instant (UTC). */
export type Until =
  | { readonly kind: 'date'; readonly day: DayNumber }
  | { readonly kind: 'wall'; readonly wall: WallMs }
  | { readonly kind: 'instant'; readonly at: EpochMs };

export type Rule = {
  readonly freq: Freq;
  readonly interval: number;
  readonly count?: number;
  readonly until?: Until;
  readonly byDay?: string[];
  readonly byMonth?: number[];
  readonly byMonthDay?: number[];
  readonly byYearDay?: number[];
  readonly byWeekNo?: number[];
  readonly bySetPos?: number[];
  readonly wkst?: string;
};

export type RuleResult = { readonly ok: true; readonly rule: Rule } | { readonly ok: false; readonly reason: string };
export type DaysResult =
  | { readonly ok: true; readonly days: readonly DayNumber[] }
  | { readonly ok: false; readonly reason: string };

const MAX_COUNT = 1_000;
const MAX_INTERVAL = 1_000;
/** Periods the enumeration may visit for one rule: rules with COUNT are walked from their start. */
const MAX_ITERATIONS = 4_000;
const weekday = /^(MO|TU|WE|TH|FR|SA|SU)$/;
const orderedWeekday = /^([+-]?\d{1,2})?(MO|TU|WE|TH|FR|SA|SU)$/;

class Refused extends Error {}
const refuse = (reason: string): never => {
  throw new Refused(reason);
};

/** Reads an RRULE value (without the `RRULE:` prefix). Refuses unknown, repeated or out-of-range parts and times of day. */
export function parseRule(text: string): RuleResult {
  try {
    return { ok: true, rule: readRule(text) };
  } catch (error) {
    if (error instanceof Refused) return { ok: false, reason: error.message };
    throw error;
  }
}

function readRule(text: string): Rule {
  if (text.length > 500) refuse('the rule is longer than 500 characters');
  if (/^RRULE:/i.test(text)) refuse('write the rule without the "RRULE:" prefix');
  const parts = new Map<string, string>();
  for (const part of text.toUpperCase().split(';')) {
    const match = /^([A-Z]+)=([^=]+)$/.exec(part);
    if (!match) refuse(`"${part}" is not NAME=VALUE`);
    const [, name, value] = match as unknown as [string, string, string];
    if (parts.has(name)) refuse(`${name} is given twice`);
    parts.set(name, value);
  }
  const take = (name: string): string | undefined => {
    const value = parts.get(name);
    parts.delete(name);
    return value;
  };
  const freqText = take('FREQ') ?? refuse('FREQ is missing');
  const freq =
    frequencies.find((f) => f === freqText) ?? refuse(`FREQ=${freqText} is not one of ${frequencies.join(', ')}`);
  const intervalText = take('INTERVAL');
  const countText = take('COUNT');
  const untilText = take('UNTIL');
  if (countText !== undefined && untilText !== undefined) refuse('COUNT and UNTIL exclude each other');
  const byDay = take('BYDAY')
    ?.split(',')
    .map((day) => readWeekday(day, freq));
  // rrule-temporal takes "MO,1TU" for "1TU" alone. Refused rather than half understood.
  if (byDay?.some((day) => weekday.test(day)) && byDay.some((day) => !weekday.test(day))) {
    refuse('BYDAY mixes weekdays with and without a number: use two windows');
  }
  const numbers = (name: string, max: number, signed: boolean, only?: readonly Freq[]): number[] | undefined => {
    const value = take(name);
    if (value !== undefined && only && !only.includes(freq)) refuse(`${name} can't be used with FREQ=${freq}`);
    return value?.split(',').map((n) => readInteger(name, n, { min: signed ? -max : 1, max }));
  };
  const byMonth = numbers('BYMONTH', 12, false);
  const byMonthDay = numbers('BYMONTHDAY', 31, true, ['DAILY', 'MONTHLY', 'YEARLY']);
  const byYearDay = numbers('BYYEARDAY', 366, true, ['YEARLY']);
  const byWeekNo = numbers('BYWEEKNO', 53, true, ['YEARLY']);
  const bySetPos = numbers('BYSETPOS', 366, true);
  const wkst = take('WKST');
  if (wkst !== undefined && !weekday.test(wkst)) refuse(`WKST=${wkst} is not a weekday`);
  const [unknown] = parts.keys();
  if (unknown !== undefined) {
    refuse(
      /^BY(HOUR|MINUTE|SECOND)$/.test(unknown)
        ? `${unknown}: the rule is over dates; put the time in its own field`
        : `${unknown} is not supported`,
    );
  }
  if (byWeekNo && byDay?.some((day) => !weekday.test(day))) refuse("BYDAY with a number can't be used with BYWEEKNO");
  if (bySetPos && !(byDay || byMonth || byMonthDay || byYearDay || byWeekNo)) refuse('BYSETPOS needs another BY part');
  return {
    freq,
    interval: intervalText === undefined ? 1 : readInteger('INTERVAL', intervalText, { min: 1, max: MAX_INTERVAL }),
    ...(countText !== undefined && { count: readInteger('COUNT', countText, { min: 1, max: MAX_COUNT }) }),
    ...(untilText !== undefined && { until: readUntil(untilText) }),
    ...(byDay && { byDay }),
    ...(byMonth && { byMonth }),
    ...(byMonthDay && { byMonthDay }),
    ...(byYearDay && { byYearDay }),
    ...(byWeekNo && { byWeekNo }),
    ...(bySetPos && { bySetPos }),
    ...(wkst !== undefined && { wkst }),
  };
}

function readInteger(name: string, text: string, { min, max }: { min: number; max: number }): number {
  const value = /^[+-]?\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= min && value <= max) || value === 0)
    refuse(`${name}: "${text}" is not a number from ${min} to ${max}${min < 0 ? ' except 0' : ''}`);
  return value;
}

function readWeekday(text: string, freq: Freq): string {
  const match = orderedWeekday.exec(text) ?? refuse(`BYDAY: "${text}" is not a weekday (MO, TU, … or 2TU, -1SU)`);
  const [, ordinal, day] = match as unknown as [string, string | undefined, string];
  if (ordinal === undefined) return day;
  if (freq !== 'MONTHLY' && freq !== 'YEARLY')
    refuse(`BYDAY: "${text}" has a number, which needs FREQ=MONTHLY or YEARLY`);
  return `${readInteger('BYDAY', ordinal, freq === 'MONTHLY' ? { min: -5, max: 5 } : { min: -53, max: 53 })}${day}`;
}

function readUntil(text: string): Until {
  const match = /^(\d{4})(\d{2})(\d{2})(?:T([01]\d|2[0-3])([0-5]\d)([0-5]\d|60)(Z)?)?$/.exec(text);
  const day = match ? parseDate(`${match[1]}-${match[2]}-${match[3]}`) : undefined;
  if (!match || day === undefined) return refuse(`UNTIL: "${text}" is not a date (YYYYMMDD)`);
  if (match[4] === undefined) return { kind: 'date', day };
  const wall = day * DAY + ((Number(match[4]) * 60 + Number(match[5])) * 60 + Number(match[6])) * 1_000;
  return match[7] === undefined ? { kind: 'wall', wall } : { kind: 'instant', at: wall };
}

/** Why the rule alone doesn't say which dates it means, or undefined if it does and needs no DTSTART. */
export function needsStart(rule: Rule): string | undefined {
  if (rule.interval > 1) return `INTERVAL=${rule.interval} needs dtstart: which one is the first?`;
  if (rule.count !== undefined) return 'COUNT needs dtstart: from when to count?';
  if (rule.freq === 'WEEKLY' && !rule.byDay) return 'FREQ=WEEKLY needs BYDAY or dtstart';
  if (rule.freq === 'MONTHLY' && !rule.byDay && !rule.byMonthDay)
    return 'FREQ=MONTHLY needs BYDAY, BYMONTHDAY or dtstart';
  if (rule.freq === 'YEARLY' && !rule.byDay && !rule.byMonthDay && !rule.byYearDay)
    return 'FREQ=YEARLY needs BYDAY, BYMONTHDAY, BYYEARDAY or dtstart';
  return undefined;
}

/**
 * The rule's dates in `[from, to)`, ascending. Without `start` the rule must stand alone (`needsStart`), and is anchored a year
 * before the range, which is whole periods away: nothing is enumerated from years back.
 * @returns `ok: false` when the rule takes too many steps to enumerate (hostile or absurdly sparse COUNT rules)
 */
export function occurrenceDays({
  rule,
  start,
  from,
  to,
}: {
  rule: Rule;
  start?: DayNumber | undefined;
  from: DayNumber;
  to: DayNumber;
}): DaysResult {
  const { until, ...parts } = rule;
  const anchor = start ?? Date.UTC(new Date(from * DAY).getUTCFullYear() - 1, 0, 1) / DAY;
  const lastDay = Math.min(to - 1, until === undefined ? to : untilDay(until));
  if (lastDay < from || lastDay < anchor) return { ok: true, days: [] };
  try {
    const dates = new RRuleTemporal({
      ...parts,
      dtstart: midnight(anchor),
      tzid: 'UTC',
      strict: true,
      cache: false,
      maxIterations: MAX_ITERATIONS,
      temporal: Temporal,
    }).between(midnight(Math.max(from, anchor)), midnight(lastDay), true);
    return { ok: true, days: dates.map((date) => dayOf(date.epochMilliseconds)) };
  } catch (error) {
    return {
      ok: false,
      reason: `the rule can't be enumerated: ${error instanceof Error ? error.message : String(error)}`,
    };
  }
}

/** The last local date an UNTIL can admit; an instant may be the next date in zones ahead of UTC. */
function untilDay(until: Until): DayNumber {
  if (until.kind === 'date') return until.day;
  return until.kind === 'wall' ? dayOf(until.wall) : dayOf(until.at) + 1;
}

const midnight = (day: DayNumber): Temporal.ZonedDateTime =>
  Temporal.Instant.fromEpochMilliseconds(day * DAY).toZonedDateTimeISO('UTC');
