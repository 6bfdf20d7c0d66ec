import { describe, expect, test } from '@jest/globals';
import { freezesBetween, parseFreezeCalendar } from './index.js';

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

describe('refused, with the line', () => {
  const ok = ['DTSTART:20261201T100000Z', 'DURATION:PT1H'];
  test.each<[string, string, number, string, string]>([
    ['nothing', '', 1, 'calendar', 'no BEGIN:VCALENDAR'],
    ['a web page', '<html>\n<body>', 1, 'calendar', 'is not a property'],
    ['not a calendar', 'BEGIN:VCARD\nEND:VCARD', 1, 'calendar', 'VCARD instead of VCALENDAR'],
    ['cut off', calendar(...event(...ok)).slice(0, -27), 4, 'VEVENT', 'cut off'],
    [
      'crossed ends',
      'BEGIN:VCALENDAR\nVERSION:2.0\nBEGIN:VEVENT\nEND:VCALENDAR',
      4,
      'VEVENT',
      'END:VCALENDAR closes VEVENT of line 3',
    ],
    ['an old version', 'BEGIN:VCALENDAR\nVERSION:1.0\nEND:VCALENDAR', 2, 'VCALENDAR', '1.0 is not 2.0'],
    ['no version', 'BEGIN:VCALENDAR\nEND:VCALENDAR', 1, 'VCALENDAR', 'VERSION is missing'],
    ['a cancellation', calendar('METHOD:CANCEL', ...event(...ok)), 4, 'VCALENDAR', 'a message, not a calendar'],
    ['busy times', calendar('BEGIN:VFREEBUSY', 'END:VFREEBUSY'), 4, 'VFREEBUSY', 'not supported'],
    ['a continuation of nothing', ' BEGIN:VCALENDAR', 1, 'calendar', 'nothing to continue'],
    ['text after the end', `${calendar()}SUMMARY:more`, 5, 'calendar', 'outside BEGIN:VCALENDAR'],
    ['no start', calendar(...event('SUMMARY:Year end', 'DURATION:PT1H')), 4, 'VEVENT "Year end"', 'DTSTART is missing'],
    ['two starts', calendar(...event(...ok, 'DTSTART:20261202T100000Z')), 8, 'VEVENT', 'DTSTART is given twice'],
    [
      'half a start',
      calendar(...event('DTSTART:2026', 'DURATION:PT1H')),
      6,
      'VEVENT',
      'DTSTART: "2026" is not a date and time',
    ],
    ['a day that is none', calendar(...event('DTSTART;VALUE=DATE:20260230')), 6, 'VEVENT', '"20260230" is not a date'],
    ['a time as a date', calendar(...event('DTSTART;VALUE=DATE:20260203T100000')), 6, 'VEVENT', 'is not a date'],
    ['a start of another type', calendar(...event('DTSTART;VALUE=TEXT:today')), 6, 'VEVENT', 'values of type text'],
    [
      'an unclosed quote',
      calendar(...event('DTSTART;TZID="Europe/Berlin:20260203T100000')),
      6,
      'VEVENT',
      "can't be read",
    ],
    ['no end', calendar(...event('DTSTART:20261201T100000Z')), 4, 'VEVENT', 'would freeze nothing'],
    ['two ends', calendar(...event(...ok, 'DTEND:20261202T100000Z')), 7, 'VEVENT', 'exclude each other'],
    [
      'an end before the start',
      calendar(...event('DTSTART:20261201T100000Z', 'DTEND:20261201T100000Z')),
      7,
      'VEVENT',
      'not after the start',
    ],
    [
      'an end of another sort',
      calendar(...event('DTSTART:20261201T100000Z', 'DTEND;VALUE=DATE:20261202')),
      7,
      'VEVENT',
      'not both dates',
    ],
    [
      'an end without the zone of the start',
      calendar(...event('DTSTART:20261201T100000Z', 'DTEND:20261201T110000')),
      7,
      'VEVENT',
      'only one of DTEND',
    ],
    [
      'a negative duration',
      calendar(...event('DTSTART:20261201T100000Z', 'DURATION:-PT1H')),
      7,
      'VEVENT',
      'not a duration',
    ],
    [
      'a duration of nothing',
      calendar(...event('DTSTART:20261201T100000Z', 'DURATION:PT0H')),
      7,
      'VEVENT',
      'DURATION is zero',
    ],
    [
      'hours of a whole day',
      calendar(...event('DTSTART;VALUE=DATE:20261201', 'DURATION:PT1H')),
      7,
      'VEVENT',
      'must be in days',
    ],
    [
      'a freeze of eleven years',
      calendar(...event('DTSTART;VALUE=DATE:20261201', 'DURATION:P4000D')),
      7,
      'VEVENT',
      'longer than 3700 days',
    ],
    [
      'an unknown zone',
      calendar(...event('DTSTART;TZID=Somewhere:20261201T100000', 'DURATION:PT1H')),
      6,
      'VEVENT DTSTART',
      '"Somewhere" is neither an IANA zone',
    ],
    [
      'a rule by the hour',
      calendar(...event(...ok, 'RRULE:FREQ=HOURLY')),
      8,
      'VEVENT',
      'RRULE: FREQ=HOURLY is not one of',
    ],
    [
      'a rule out of range',
      calendar(...event(...ok, 'RRULE:FREQ=MONTHLY;BYMONTHDAY=99')),
      8,
      'VEVENT',
      'BYMONTHDAY: "99"',
    ],
    [
      'two rules',
      calendar(...event(...ok, 'RRULE:FREQ=DAILY', 'RRULE:FREQ=WEEKLY')),
      9,
      'VEVENT',
      'RRULE is given twice',
    ],
    ['a misspelt property', calendar(...event(...ok, 'RULE:FREQ=DAILY')), 8, 'VEVENT', 'RULE is not supported'],
    ['a misspelt component', calendar('BEGIN:VEVENTS', 'END:VEVENTS'), 4, 'VEVENTS', 'is not supported'],
    ['an exclusion rule', calendar(...event(...ok, 'EXRULE:FREQ=DAILY')), 8, 'VEVENT', 'EXRULE is not supported'],
    [
      'an excluded date of another sort',
      calendar(...event(...ok, 'RRULE:FREQ=DAILY', 'EXDATE;VALUE=DATE:20261202')),
      9,
      'VEVENT',
      'not both dates or both times',
    ],
    [
      'an excluded time without zone',
      calendar(...event(...ok, 'RRULE:FREQ=DAILY', 'EXDATE:20261202T100000')),
      9,
      'VEVENT',
      'only one of EXDATE',
    ],
    [
      'a change of this and all later',
      calendar(...event(...ok, 'RECURRENCE-ID;RANGE=THISANDFUTURE:20261202T100000Z')),
      8,
      'VEVENT',
      'RANGE is not supported',
    ],
    ['a property that is none', calendar(...event(...ok, 'just words')), 8, 'VEVENT', '"just words" is not a property'],
    [
      'a zone without rules',
      calendar(
        'BEGIN:VTIMEZONE',
        'TZID:Mine',
        'END:VTIMEZONE',
        ...event('DTSTART;TZID=Mine:20261201T100000', 'DURATION:PT1H'),
      ),
      4,
      'VTIMEZONE "Mine"',
      'no STANDARD and no DAYLIGHT',
    ],
    [
      'a zone with a broken offset',
      calendar(
        ...windowsZone.map((l) => l.replace('+0200', 'two hours')),
        ...event('DTSTART;TZID=W. Europe Standard Time:20261201T100000', 'DURATION:PT1H'),
      ),
      8,
      'VTIMEZONE "W. Europe Standard Time"',
      'TZOFFSETFROM: "two hours" is not an offset',
    ],
    ['a huge text', `${calendar()}${' '.repeat(1_000_001)}`, 1, 'calendar', 'longer than 1000000 characters'],
    [
      'a huge line',
      calendar(...event(...ok, `DESCRIPTION:${'x'.repeat(20_001)}`)),
      8,
      'calendar',
      'longer than 20000 characters',
    ],
    ['deep nesting', 'BEGIN:VCALENDAR\n'.repeat(6), 5, 'VCALENDAR', 'nested too deeply'],
    [
      'too many events',
      calendar(...Array.from({ length: 2_001 }, () => event(...ok)).flat()),
      1,
      'VCALENDAR',
      'more than 2000 events',
    ],
  ])('%s', (_name, text, line, place, reason) => {
    expect(parseFreezeCalendar(text)).toEqual({
      ok: false,
      problem: { line, place, reason: expect.stringContaining(reason) },
    });
  });

  test('too many occurrences, rules that never end to count, unknown zones and ranges', () => {
    const range = { from: '2026-12-01T00:00Z', to: '2036-01-01T00:00Z' };
    const daily = Array.from({ length: 10 }, () =>
      event('DTSTART:20261201T100000Z', 'DURATION:PT1H', 'RRULE:FREQ=DAILY'),
    ).flat();
    expect(spans(calendar(...daily), range)).toMatchObject({
      reason: expect.stringContaining('more than 20000 freezes'),
    });
    const sparse = event(
      'DTSTART:20001201T100000Z',
      'DURATION:PT1H',
      'RRULE:FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30;COUNT=1000',
    );
    expect(spans(calendar(...sparse), range)).toMatchObject({
      line: 4,
      reason: expect.stringContaining("can't be enumerated"),
    });
    expect(spans(calendar(), { ...range, zone: 'Mars/Olympus' })).toMatchObject({ place: 'zone' });
    expect(spans(calendar(), { ...range, to: '2126-01-01T00:00Z' })).toMatchObject({ place: 'range' });
  });
});
