import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import ICAL from 'ical.js';
import { freezesBetween, parseFreezeCalendar } from './index.js';

const DAY = 86_400_000;
const at = (text: string) => Date.parse(text);
const utc = (ms: number) => new Date(ms).toISOString().replace(':00.000Z', 'Z');
const calendar = (...lines: string[]) =>
  ['BEGIN:VCALENDAR', 'VERSION:2.0', 'PRODID:-//test//EN', ...lines, 'END:VCALENDAR', ''].join('\r\n');
const event = (...lines: string[]) => ['BEGIN:VEVENT', 'UID:1@test', ...lines, 'END:VEVENT'];

function spans(
  text: string,
  { from, to, zone = 'Europe/Berlin' }: { from: string; to: string; zone?: string },
): unknown {
  const parsed = parseFreezeCalendar(text);
  if (!parsed.ok) return parsed.problem;
  const result = freezesBetween({ calendars: [parsed.calendar], zone, from: at(from), to: at(to) });
  return result.ok ? result.freezes.freezes.map((f) => `${utc(f.from)} ${utc(f.to)}`) : result.problem;
}

/** As Outlook writes it: a name of its own and rules since 1601. */
const windowsZone = [
  'BEGIN:VTIMEZONE',
  'TZID:W. Europe Standard Time',
  'BEGIN:STANDARD',
  'DTSTART:16010101T030000',
  'TZOFFSETFROM:+0200',
  'TZOFFSETTO:+0100',
  'RRULE:FREQ=YEARLY;INTERVAL=1;BYDAY=-1SU;BYMONTH=10',
  'END:STANDARD',
  'BEGIN:DAYLIGHT',
  'DTSTART:16010101T020000',
  'TZOFFSETFROM:+0100',
  'TZOFFSETTO:+0200',
  'RRULE:FREQ=YEARLY;INTERVAL=1;BYDAY=-1SU;BYMONTH=3',
  'END:DAYLIGHT',
  'END:VTIMEZONE',
];

describe('whatever the text', () => {
  const full = calendar(
    ...windowsZone,
    ...event(
      'SUMMARY:Year end',
      'DTSTART;TZID=W. Europe Standard Time:20261201T100000',
      'DURATION:PT1H',
      'RRULE:FREQ=DAILY;COUNT=4',
      'EXDATE;TZID=W. Europe Standard Time:20261202T100000',
    ),
  );

  test('a calendar cut anywhere is refused', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: full.trimEnd().length - 1 }), (length) => {
        expect(parseFreezeCalendar(full.slice(0, length)).ok).toBe(false);
      }),
      { numRuns: 300 },
    );
  });

  test('damage is refused or leaves freezes, and nothing throws', () => {
    const range = { from: at('2026-01-01'), to: at('2027-01-01') };
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: full.length - 1 }),
        fc.constantFrom('', 'X', ':', ';', '\n', '0', 'Ω', '\0'),
        (index, put) => {
          const parsed = parseFreezeCalendar(full.slice(0, index) + put + full.slice(index + 1));
          if (!parsed.ok) return expect(parsed.problem.line).toBeGreaterThan(0);
          const result = freezesBetween({ calendars: [parsed.calendar], zone: 'UTC', ...range });
          expect(result.ok).toBe(true);
          // A damaged BEGIN:VEVENT would be another component; its END then betrays it.
          expect(parsed.calendar.events).toHaveLength(1);
        },
      ),
      { numRuns: 500 },
    );
  });

  test('a defined zone gives what the same zone by name gives', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: at('1997-01-01') / 60_000, max: at('2060-01-01') / 60_000 }),
        fc.boolean(),
        (minute, nearChange) => {
          // Half of the samples lie in the nights of a clock change.
          const year = new Date(minute * 60_000).getUTCFullYear();
          const sunday = (month: number) =>
            [31, 30, 29, 28, 27, 26, 25]
              .map((d) => Date.UTC(year, month, d))
              .find((d) => new Date(d).getUTCDay() === 0) as number;
          const wall = nearChange ? sunday(minute % 2 === 0 ? 2 : 9) + (minute % 300) * 60_000 : minute * 60_000;
          const stamp = new Date(wall).toISOString().replace(/[-:]|\.000Z/g, '');
          const ask = (tzid: string) =>
            spans(calendar(...windowsZone, ...event(`DTSTART;TZID=${tzid}:${stamp}`, 'DURATION:PT30M')), {
              from: utc(wall - 2 * DAY),
              to: utc(wall + 2 * DAY),
            });
          expect(ask('W. Europe Standard Time')).toEqual(ask('Europe/Berlin'));
        },
      ),
      { numRuns: 300 },
    );
  });

  test('recurrences agree with the expansion of ical.js', () => {
    const days = fc.uniqueArray(fc.constantFrom('MO', 'TU', 'WE', 'TH', 'FR', 'SA', 'SU'), {
      minLength: 1,
      maxLength: 3,
    });
    const rules = fc.oneof(
      fc.record({ n: fc.integer({ min: 1, max: 9 }) }).map(({ n }) => `FREQ=DAILY;INTERVAL=${n}`),
      fc
        .record({ n: fc.integer({ min: 1, max: 3 }), days })
        .map(({ n, days }) => `FREQ=WEEKLY;INTERVAL=${n};BYDAY=${days}`),
      fc
        .record({ n: fc.integer({ min: 1, max: 3 }), nth: fc.constantFrom(1, 2, 4, -1), days })
        .map(({ n, nth, days }) => `FREQ=MONTHLY;INTERVAL=${n};BYDAY=${days.map((d) => `${nth}${d}`)}`),
      fc.integer({ min: 1, max: 28 }).map((d) => `FREQ=MONTHLY;BYMONTHDAY=${d},-1`),
    );
    const ends = fc.oneof(
      fc.constant(''),
      fc.integer({ min: 1, max: 60 }).map((n) => `;COUNT=${n}`),
      fc
        .integer({ min: 0, max: 900 })
        .map(
          (n) => `;UNTIL=${new Date(at('2024-06-01') + n * DAY).toISOString().slice(0, 10).replaceAll('-', '')}T235959`,
        ),
    );
    fc.assert(
      fc.property(
        rules,
        ends,
        fc.integer({ min: 0, max: 800 }),
        // ical.js loses count when the same date is excluded twice.
        fc.uniqueArray(fc.integer({ min: 0, max: 20 }), { maxLength: 3 }),
        (rule, end, after, gone) => {
          const lines = (exdates: string[]) =>
            event('DTSTART:20240603T221500', 'DURATION:PT1H', `RRULE:${rule}${end}`, ...exdates);
          const walk = (text: string): number[] => {
            const iterator = new ICAL.Event(
              new ICAL.Component(ICAL.parse(text)).getFirstSubcomponent('vevent') ?? undefined,
            ).iterator();
            const found: number[] = [];
            for (let next = iterator.next(); next && next.year < 2028; next = iterator.next())
              found.push(Date.UTC(next.year, next.month - 1, next.day, next.hour, next.minute));
            return found;
          };
          const all = walk(calendar(...lines([])));
          const exdates = gone
            .filter((i) => i < all.length)
            .map((i) => `EXDATE:${new Date(all[i] as number).toISOString().replace(/[-:]|\.000Z/g, '')}`);
          const text = calendar(...lines(exdates));
          const from = at('2024-06-01') + after * DAY;
          // ical.js leaves out a start that the rule doesn't name; here it counts (RFC 5545 calls DTSTART the first instance).
          const start = at('2024-06-03T22:15Z');
          const expected = new Set(walk(text));
          if (!exdates.includes('EXDATE:20240603T221500')) expected.add(start);
          expect(spans(text, { from: utc(from), to: utc(from + 200 * DAY), zone: 'UTC' })).toEqual(
            [...expected]
              .sort((a, b) => a - b)
              .filter((w) => w + 3_600_000 > from && w < from + 200 * DAY)
              .map((w) => `${utc(w)} ${utc(w + 3_600_000)}`),
          );
        },
      ),
      { numRuns: 300 },
    );
  });
});
