import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { needsStart, occurrenceDays, parseRule } from './rule.js';

const DAY = 86_400_000;
const dayNumber = (iso: string) => Date.parse(`${iso}T00:00Z`) / DAY;
const isoDate = (day: number) => new Date(day * DAY).toISOString().slice(0, 10);

function dates(text: string, { start, from, to }: { start?: string; from: string; to: string }): string[] {
  const parsed = parseRule(text);
  if (!parsed.ok) throw new Error(parsed.reason);
  const result = occurrenceDays({
    rule: parsed.rule,
    start: start === undefined ? undefined : dayNumber(start),
    from: dayNumber(from),
    to: dayNumber(to),
  });
  if (!result.ok) throw new Error(result.reason);
  return result.days.map(isoDate);
}

describe('refused rules', () => {
  test.each([
    ['', '"" is not NAME=VALUE'],
    ['BYDAY=SA', 'FREQ is missing'],
    ['FREQ=HOURLY', 'FREQ=HOURLY is not one of'],
    ['RRULE:FREQ=DAILY', 'without the "RRULE:" prefix'],
    ['FREQ=DAILY;FREQ=WEEKLY', 'FREQ is given twice'],
    ['FREQ=DAILY;', '"" is not NAME=VALUE'],
    ['FREQ=DAILY;FOO=BAR', 'FOO is not supported'],
    ['FREQ=DAILY;BYHOUR=3', 'BYHOUR: the rule is over dates'],
    ['FREQ=DAILY;INTERVAL=0', 'INTERVAL: "0" is not a number'],
    ['FREQ=DAILY;INTERVAL=2.5', 'INTERVAL: "2.5" is not a number'],
    ['FREQ=DAILY;COUNT=2;UNTIL=20260101', 'exclude each other'],
    ['FREQ=DAILY;UNTIL=20260230', 'UNTIL: "20260230" is not a date'],
    ['FREQ=DAILY;UNTIL=tomorrow', 'UNTIL: "TOMORROW" is not a date'],
    ['FREQ=WEEKLY;BYDAY=XX', 'BYDAY: "XX" is not a weekday'],
    ['FREQ=WEEKLY;BYDAY=2TU', 'needs FREQ=MONTHLY or YEARLY'],
    ['FREQ=MONTHLY;BYDAY=6TU', 'BYDAY: "6" is not a number from -5 to 5'],
    ['FREQ=MONTHLY;BYDAY=0TU', 'BYDAY: "0" is not a number'],
    ['FREQ=MONTHLY;BYMONTHDAY=32', 'BYMONTHDAY: "32" is not a number'],
    ['FREQ=MONTHLY;BYMONTHDAY=1,,2', 'BYMONTHDAY: "" is not a number'],
    ['FREQ=WEEKLY;BYMONTHDAY=1', "BYMONTHDAY can't be used with FREQ=WEEKLY"],
    ['FREQ=YEARLY;BYMONTH=13', 'BYMONTH: "13" is not a number'],
    ['FREQ=YEARLY;BYWEEKNO=3;BYDAY=2MO', "can't be used with BYWEEKNO"],
    ['FREQ=MONTHLY;BYDAY=MO,1TU', 'BYDAY mixes weekdays'],
    ['FREQ=DAILY;BYSETPOS=1', 'BYSETPOS needs another BY part'],
    ['FREQ=WEEKLY;BYDAY=MO;WKST=XX', 'WKST=XX is not a weekday'],
    [`FREQ=DAILY;X=${'x'.repeat(500)}`, 'longer than 500 characters'],
  ])('%s', (text, reason) => {
    const parsed = parseRule(text);
    expect(parsed).toEqual({ ok: false, reason: expect.stringContaining(reason) });
  });
});

test.each([
  ['FREQ=DAILY;INTERVAL=2', 'INTERVAL=2 needs dtstart'],
  ['FREQ=DAILY;COUNT=3', 'COUNT needs dtstart'],
  ['FREQ=WEEKLY', 'FREQ=WEEKLY needs BYDAY'],
  ['FREQ=MONTHLY;BYMONTH=3', 'FREQ=MONTHLY needs BYDAY'],
  ['FREQ=YEARLY;BYWEEKNO=3', 'FREQ=YEARLY needs BYDAY'],
  ['FREQ=DAILY', undefined],
  ['FREQ=MONTHLY;BYDAY=2TU', undefined],
  ['FREQ=YEARLY;BYWEEKNO=3;BYDAY=SA', undefined],
])('%s stands alone only if it says which dates: %s', (text, reason) => {
  const parsed = parseRule(text);
  if (!parsed.ok) throw new Error(parsed.reason);
  if (reason === undefined) expect(needsStart(parsed.rule)).toBeUndefined();
  else expect(needsStart(parsed.rule)).toContain(reason);
});

describe('dates of a rule', () => {
  test.each<[string, { start?: string; from: string; to: string }, string[]]>([
    ['FREQ=MONTHLY;BYDAY=2TU', { from: '2026-03-01', to: '2026-06-01' }, ['2026-03-10', '2026-04-14', '2026-05-12']],
    ['FREQ=MONTHLY;BYMONTHDAY=31', { from: '2026-01-31', to: '2026-05-31' }, ['2026-01-31', '2026-03-31']],
    [
      'FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1',
      { from: '2026-02-01', to: '2026-04-01' },
      ['2026-02-27', '2026-03-31'],
    ],
    [
      'FREQ=WEEKLY;INTERVAL=2;BYDAY=SA',
      { start: '1999-01-02', from: '2026-03-01', to: '2026-04-01' },
      ['2026-03-07', '2026-03-21'],
    ],
    [
      'FREQ=DAILY;INTERVAL=10',
      { start: '2026-01-01', from: '2026-01-11', to: '2026-02-01' },
      ['2026-01-11', '2026-01-21', '2026-01-31'],
    ],
    ['FREQ=DAILY;COUNT=3', { start: '2026-01-01', from: '2026-01-02', to: '2026-02-01' }, ['2026-01-02', '2026-01-03']],
    // The first week of 2026 begins in December: its second day is not counted from New Year.
    ['FREQ=WEEKLY;BYDAY=MO,WE,FR;BYSETPOS=1', { from: '2026-01-01', to: '2026-01-12' }, ['2026-01-05']],
    ['FREQ=DAILY;UNTIL=20260103', { from: '2026-01-02', to: '2026-02-01' }, ['2026-01-02', '2026-01-03']],
    ['FREQ=YEARLY', { start: '2024-02-29', from: '2025-01-01', to: '2033-01-01' }, ['2028-02-29', '2032-02-29']],
    ['FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30', { from: '2026-01-01', to: '2036-01-01' }, []],
    ['FREQ=WEEKLY;BYDAY=MO', { start: '2026-03-04', from: '2026-03-01', to: '2026-03-10' }, ['2026-03-09']],
    ['freq=weekly;byday=mo', { from: '2026-03-01', to: '2026-03-10' }, ['2026-03-02', '2026-03-09']],
  ])('%s %j', (text, range, expected) => {
    expect(dates(text, range)).toEqual(expected);
  });

  test('a rule that takes too many steps is reported, not truncated', () => {
    const parsed = parseRule('FREQ=DAILY;BYMONTH=2;BYMONTHDAY=29;COUNT=1000');
    if (!parsed.ok) throw new Error(parsed.reason);
    const result = occurrenceDays({ rule: parsed.rule, start: dayNumber('1990-01-01'), from: 20_000, to: 20_400 });
    expect(result).toEqual({ ok: false, reason: expect.stringContaining("can't be enumerated") });
  });
});

// The reference: RFC 5545 read as a predicate on each single day, sharing nothing with the implementation.
type Spec = {
  freq: 'DAILY' | 'WEEKLY' | 'MONTHLY' | 'YEARLY';
  interval: number;
  wkst: number;
  byDay: { ordinal: number; weekday: number }[];
  byMonth: number[];
  byMonthDay: number[];
  bySetPos: number[];
};
const names = ['MO', 'TU', 'WE', 'TH', 'FR', 'SA', 'SU'];
const weekdayOf = (day: number) => (((day + 3) % 7) + 7) % 7;
const civil = (day: number) => {
  const date = new Date(day * DAY);
  return { year: date.getUTCFullYear(), month: date.getUTCMonth() + 1, dom: date.getUTCDate() };
};
const monthLength = (year: number, month: number) => new Date(Date.UTC(year, month, 0)).getUTCDate();

function period(spec: Spec, day: number): number {
  const { year, month } = civil(day);
  if (spec.freq === 'DAILY') return day;
  if (spec.freq === 'WEEKLY') return (day - ((weekdayOf(day) - spec.wkst + 7) % 7) + 700_000) / 7;
  return spec.freq === 'MONTHLY' ? year * 12 + month : year;
}

function passes(spec: Spec, day: number, start: number): boolean {
  const { year, month, dom } = civil(day);
  const length = monthLength(year, month);
  if (spec.byMonth.length > 0 && !spec.byMonth.includes(month)) return false;
  if (spec.byMonthDay.length > 0 && !spec.byMonthDay.some((n) => (n > 0 ? n === dom : length + 1 + n === dom)))
    return false;
  const first = civil(start);
  if (spec.byDay.length === 0 && spec.byMonthDay.length === 0) {
    if (spec.freq === 'WEEKLY') return weekdayOf(day) === weekdayOf(start);
    if (spec.freq === 'MONTHLY') return dom === first.dom;
    if (spec.freq === 'YEARLY') return dom === first.dom && (spec.byMonth.length > 0 || month === first.month);
    return true;
  }
  if (spec.byDay.length === 0) return true;
  const inYear = spec.freq === 'YEARLY' && spec.byMonth.length === 0;
  const yearStart = Date.UTC(year, 0, 1) / DAY;
  const [index, size] = inYear ? [day - yearStart, Date.UTC(year + 1, 0, 1) / DAY - yearStart] : [dom - 1, length];
  return spec.byDay.some(({ ordinal, weekday }) => {
    if (weekday !== weekdayOf(day)) return false;
    if (ordinal === 0) return true;
    return ordinal > 0 ? Math.floor(index / 7) + 1 === ordinal : Math.floor((size - 1 - index) / 7) + 1 === -ordinal;
  });
}

function reference(spec: Spec, { start, from, to }: { start: number; from: number; to: number }): number[] {
  const byPeriod = new Map<number, number[]>();
  for (let day = Math.min(from, start) - 400; day < to + 400; day += 1) {
    if (!passes(spec, day, start)) continue;
    const key = period(spec, day);
    if ((((key - period(spec, start)) % spec.interval) + spec.interval) % spec.interval !== 0) continue;
    byPeriod.set(key, [...(byPeriod.get(key) ?? []), day]);
  }
  return [...byPeriod.values()]
    .flatMap((days) =>
      spec.bySetPos.length === 0
        ? days
        : days.filter((_, i) => spec.bySetPos.some((p) => (p > 0 ? p - 1 === i : days.length + p === i))),
    )
    .filter((day) => day >= start && day >= from && day < to)
    .sort((a, b) => a - b);
}

const some = <T>(item: fc.Arbitrary<T>): fc.Arbitrary<T[]> =>
  fc.oneof(
    { weight: 2, arbitrary: fc.constant<T[]>([]) },
    { weight: 1, arbitrary: fc.uniqueArray(item, { minLength: 1, maxLength: 3 }) },
  );
const monthDays = some(fc.oneof(fc.integer({ min: 1, max: 31 }), fc.integer({ min: -31, max: -1 })));
const specs = fc
  .constantFrom('DAILY' as const, 'WEEKLY' as const, 'MONTHLY' as const, 'YEARLY' as const)
  .chain((freq) =>
    fc.record({
      freq: fc.constant(freq),
      interval: fc.oneof(fc.constant(1), fc.integer({ min: 1, max: 7 })),
      wkst: fc.integer({ min: 0, max: 6 }),
      byDay: some(
        fc.record({
          ordinal: freq === 'MONTHLY' || freq === 'YEARLY' ? fc.constantFrom(0, 0, 1, 2, 4, 5, -1, -2) : fc.constant(0),
          weekday: fc.integer({ min: 0, max: 6 }),
        }),
      ),
      byMonth: some(fc.integer({ min: 1, max: 12 })),
      byMonthDay: freq === 'WEEKLY' ? fc.constant<number[]>([]) : monthDays,
      bySetPos: some(fc.constantFrom(1, 2, -1)),
    }),
  )
  // Refused by the reader (see above).
  .filter((s) => new Set(s.byDay.map((d) => d.ordinal !== 0)).size < 2)
  // A weekday with a number beside a day of the month says two things about "which"; nobody writes it and RFC 5545 leaves it open.
  .filter((s) => !(s.byMonthDay.length > 0 && s.byDay.some((d) => d.ordinal !== 0)))
  .map((s): Spec => (s.byDay.length + s.byMonth.length + s.byMonthDay.length === 0 ? { ...s, bySetPos: [] } : s));

function textOf(spec: Spec): string {
  const list = (name: string, values: readonly (string | number)[]) =>
    values.length > 0 ? [`${name}=${values.join(',')}`] : [];
  return [
    `FREQ=${spec.freq}`,
    `INTERVAL=${spec.interval}`,
    `WKST=${names[spec.wkst]}`,
    ...list(
      'BYDAY',
      spec.byDay.map((d) => `${d.ordinal || ''}${names[d.weekday]}`),
    ),
    ...list('BYMONTH', spec.byMonth),
    ...list('BYMONTHDAY', spec.byMonthDay),
    ...list('BYSETPOS', spec.bySetPos),
  ].join(';');
}

test('agrees with a day-by-day reference, years after its start', () => {
  fc.assert(
    fc.property(
      specs,
      fc.integer({ min: 12_000, max: 16_000 }),
      fc.integer({ min: -50, max: 3_000 }),
      (spec, start, after) => {
        const range = { start, from: start + after, to: start + after + 420 };
        const parsed = parseRule(textOf(spec));
        if (!parsed.ok) throw new Error(`${textOf(spec)}: ${parsed.reason}`);
        const result = occurrenceDays({ rule: parsed.rule, ...range });
        expect(result.ok ? result.days.map(isoDate) : result.reason).toEqual(reference(spec, range).map(isoDate));
      },
    ),
    { numRuns: 300 },
  );
});

test('weeks and days of the year agree with a reference, without a start', () => {
  // ISO 8601: a week belongs to the year of its Thursday.
  const thursday = (day: number) => day - weekdayOf(day) + 3;
  const yearStart = (day: number) => Date.UTC(civil(day).year, 0, 1) / DAY;
  const week = (day: number) => Math.floor((thursday(day) - yearStart(thursday(day))) / 7) + 1;
  const weeks = fc.uniqueArray(fc.integer({ min: 1, max: 53 }), { minLength: 1, maxLength: 3 });
  const yearDays = fc.uniqueArray(fc.integer({ min: 1, max: 366 }), { minLength: 1, maxLength: 5 });
  const weekdays = fc.uniqueArray(fc.integer({ min: 0, max: 6 }), { minLength: 1, maxLength: 3 });
  fc.assert(
    fc.property(
      weeks,
      weekdays,
      yearDays,
      fc.integer({ min: 18_000, max: 24_000 }),
      (byWeekNo, byDay, byYearDay, from) => {
        const range = { from: isoDate(from), to: isoDate(from + 800) };
        const all = Array.from({ length: 800 }, (_, i) => from + i);
        expect(dates(`FREQ=YEARLY;BYWEEKNO=${byWeekNo};BYDAY=${byDay.map((d) => names[d])}`, range)).toEqual(
          all.filter((d) => byWeekNo.includes(week(d)) && byDay.includes(weekdayOf(d))).map(isoDate),
        );
        expect(dates(`FREQ=YEARLY;BYYEARDAY=${byYearDay}`, range)).toEqual(
          all.filter((d) => byYearDay.includes(d - yearStart(d) + 1)).map(isoDate),
        );
      },
    ),
    { numRuns: 200 },
  );
});
