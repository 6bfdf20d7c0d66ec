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

describe('freezes of an event', () => {
  const winter = { from: '2026-12-01T00:00Z', to: '2027-02-01T00:00Z' };
  const spring = { from: '2026-03-20T00:00Z', to: '2026-04-10T00:00Z' };
  test.each<[string, string[], { from: string; to: string; zone?: string }, string[]]>([
    [
      'a whole day, without an end',
      event('DTSTART;VALUE=DATE:20261224'),
      winter,
      ['2026-12-23T23:00Z 2026-12-24T23:00Z'],
    ],
    [
      'a whole day, where the endpoint is',
      event('DTSTART;VALUE=DATE:20261224'),
      { ...winter, zone: 'Pacific/Apia' },
      ['2026-12-23T11:00Z 2026-12-24T11:00Z'],
    ],
    [
      'whole days over a clock change',
      event('DTSTART;VALUE=DATE:20260328', 'DTEND;VALUE=DATE:20260330'),
      spring,
      ['2026-03-27T23:00Z 2026-03-29T22:00Z'],
    ],
    [
      'whole days by duration',
      event('DTSTART;VALUE=DATE:20260328', 'DURATION:P2D'),
      spring,
      ['2026-03-27T23:00Z 2026-03-29T22:00Z'],
    ],
    [
      'times in UTC',
      event('DTSTART:20261224T100000Z', 'DTEND:20261224T120000Z'),
      winter,
      ['2026-12-24T10:00Z 2026-12-24T12:00Z'],
    ],
    [
      'times in a named zone',
      event('DTSTART;TZID=America/New_York:20261224T100000', 'DTEND;TZID=Europe/Berlin:20261224T180000'),
      winter,
      ['2026-12-24T15:00Z 2026-12-24T17:00Z'],
    ],
    [
      'floating times, where the endpoint is',
      event('DTSTART:20261224T100000', 'DTEND:20261224T120000'),
      { ...winter, zone: 'Asia/Kolkata' },
      ['2026-12-24T04:30Z 2026-12-24T06:30Z'],
    ],
    [
      'a zone the calendar defines',
      [...event('DTSTART;TZID="W. Europe Standard Time":20260329T023000', 'DURATION:PT1H'), ...windowsZone],
      spring,
      ['2026-03-29T01:30Z 2026-03-29T02:30Z'],
    ],
    [
      'a duration of a day is a wall day, of 24 hours is exact',
      [
        ...event('DTSTART;TZID=Europe/Berlin:20260328T120000', 'DURATION:P1D'),
        ...event('DTSTART;TZID=Europe/Berlin:20260328T120000', 'DURATION:PT24H'),
      ],
      spring,
      ['2026-03-28T11:00Z 2026-03-29T10:00Z', '2026-03-28T11:00Z 2026-03-29T11:00Z'],
    ],
    [
      'every year since long ago',
      event('DTSTART;VALUE=DATE:19991224', 'DTEND;VALUE=DATE:19991227', 'RRULE:FREQ=YEARLY'),
      winter,
      ['2026-12-23T23:00Z 2026-12-26T23:00Z'],
    ],
    [
      'already running when the range begins',
      event('DTSTART;VALUE=DATE:20261101', 'DTEND;VALUE=DATE:20270101'),
      winter,
      ['2026-10-31T23:00Z 2026-12-31T23:00Z'],
    ],
    ['ending as the range begins', event('DTSTART:20261130T000000Z', 'DTEND:20261201T000000Z'), winter, []],
    [
      'weekly at a wall time, over a clock change',
      event('DTSTART;TZID=Europe/Berlin:20260321T230000', 'DURATION:PT1H', 'RRULE:FREQ=WEEKLY;COUNT=3'),
      spring,
      [
        '2026-03-21T22:00Z 2026-03-21T23:00Z',
        '2026-03-28T22:00Z 2026-03-28T23:00Z',
        '2026-04-04T21:00Z 2026-04-04T22:00Z',
      ],
    ],
    [
      'a start its rule does not name',
      event('DTSTART;VALUE=DATE:20261201', 'RRULE:FREQ=MONTHLY;BYMONTHDAY=15;UNTIL=20270115'),
      winter,
      [
        '2026-11-30T23:00Z 2026-12-01T23:00Z',
        '2026-12-14T23:00Z 2026-12-15T23:00Z',
        '2027-01-14T23:00Z 2027-01-15T23:00Z',
      ],
    ],
    [
      'until an instant, inclusive',
      event('DTSTART;TZID=Europe/Berlin:20261201T100000', 'DURATION:PT1H', 'RRULE:FREQ=DAILY;UNTIL=20261202T090000Z'),
      winter,
      ['2026-12-01T09:00Z 2026-12-01T10:00Z', '2026-12-02T09:00Z 2026-12-02T10:00Z'],
    ],
    [
      'until an instant just before',
      event('DTSTART;TZID=Europe/Berlin:20261201T100000', 'DURATION:PT1H', 'RRULE:FREQ=DAILY;UNTIL=20261202T085959Z'),
      winter,
      ['2026-12-01T09:00Z 2026-12-01T10:00Z'],
    ],
    [
      'in the gap: a freeze is moved, not lost',
      event('DTSTART;TZID=Europe/Berlin:20260328T023000', 'DURATION:PT1H', 'RRULE:FREQ=DAILY;COUNT=2'),
      spring,
      ['2026-03-28T01:30Z 2026-03-28T02:30Z', '2026-03-29T01:30Z 2026-03-29T02:30Z'],
    ],
    [
      'excluded dates, one by one and listed, in another zone',
      event(
        'DTSTART;TZID=Europe/Berlin:20261201T100000',
        'DURATION:PT1H',
        'RRULE:FREQ=DAILY;COUNT=4',
        'EXDATE;TZID=Europe/Berlin:20261201T100000',
        'EXDATE:20261202T090000Z,20261203T090000Z',
      ),
      winter,
      ['2026-12-04T09:00Z 2026-12-04T10:00Z'],
    ],
    [
      'added dates and periods',
      event(
        'DTSTART:20261201T100000Z',
        'DURATION:PT1H',
        'RDATE:20261205T100000Z',
        'RDATE;VALUE=PERIOD:20261206T100000Z/PT2H,20261207T100000Z/20261207T103000Z',
      ),
      winter,
      [
        '2026-12-01T10:00Z 2026-12-01T11:00Z',
        '2026-12-05T10:00Z 2026-12-05T11:00Z',
        '2026-12-06T10:00Z 2026-12-06T12:00Z',
        '2026-12-07T10:00Z 2026-12-07T10:30Z',
      ],
    ],
    [
      'an instance moved',
      [
        ...event('DTSTART:20261201T100000Z', 'DURATION:PT1H', 'RRULE:FREQ=DAILY;COUNT=2'),
        ...event('RECURRENCE-ID:20261202T100000Z', 'DTSTART:20261203T150000Z', 'DURATION:PT1H'),
      ],
      winter,
      ['2026-12-01T10:00Z 2026-12-01T11:00Z', '2026-12-03T15:00Z 2026-12-03T16:00Z'],
    ],
    [
      'an instance cancelled',
      [
        ...event('RECURRENCE-ID:20261201T100000Z', 'STATUS:CANCELLED', 'DTSTART:20261201T100000Z', 'DURATION:PT1H'),
        ...event('DTSTART:20261201T100000Z', 'DURATION:PT1H', 'RRULE:FREQ=DAILY;COUNT=2'),
      ],
      winter,
      ['2026-12-02T10:00Z 2026-12-02T11:00Z'],
    ],
    ['cancelled altogether', event('DTSTART:20261201T100000Z', 'DURATION:PT1H', 'STATUS:CANCELLED'), winter, []],
    [
      'shown as free: still a freeze',
      event('DTSTART:20261201T100000Z', 'DURATION:PT1H', 'TRANSP:TRANSPARENT'),
      winter,
      ['2026-12-01T10:00Z 2026-12-01T11:00Z'],
    ],
    [
      'with an alarm and folded lines',
      [
        'BEGIN:VEVENT',
        'SUMMARY:A very',
        ' long name',
        'DTSTART:2026',
        ' 1201T100000Z',
        'DURATION:PT1H',
        'BEGIN:VALARM',
        'TRIGGER:-PT5M',
        'END:VALARM',
        'END:VEVENT',
      ],
      winter,
      ['2026-12-01T10:00Z 2026-12-01T11:00Z'],
    ],
    ['no events: no freezes, and that was said clearly', [], winter, []],
  ])('%s', (_name, lines, range, expected) => {
    expect(spans(calendar(...lines), range)).toEqual(expected);
  });

  test('a defined zone whose rules ended keeps its last offset from the very end on', () => {
    const zone = [
      'BEGIN:VTIMEZONE',
      'TZID:Mine',
      'BEGIN:DAYLIGHT',
      'DTSTART:20240331T020000',
      'TZOFFSETFROM:+0100',
      'TZOFFSETTO:+0200',
      'RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=3;UNTIL=20260329T010000Z',
      'END:DAYLIGHT',
      'BEGIN:STANDARD',
      'DTSTART:20241027T030000',
      'TZOFFSETFROM:+0200',
      'TZOFFSETTO:+0100',
      'RDATE:20251026T030000',
      'END:STANDARD',
      'END:VTIMEZONE',
    ];
    const noon = (day: string) => event(`DTSTART;TZID=Mine:${day}T120000`, 'DURATION:PT1H');
    const days = ['20240101', '20240701', '20250101', '20250701', '20260101', '20260701', '20270701'].flatMap(noon);
    expect(spans(calendar(...zone, ...days), { from: '2023-12-01T00:00Z', to: '2028-01-01T00:00Z' })).toEqual([
      '2024-01-01T11:00Z 2024-01-01T12:00Z',
      '2024-07-01T10:00Z 2024-07-01T11:00Z',
      '2025-01-01T11:00Z 2025-01-01T12:00Z',
      '2025-07-01T10:00Z 2025-07-01T11:00Z',
      '2026-01-01T11:00Z 2026-01-01T12:00Z',
      '2026-07-01T10:00Z 2026-07-01T11:00Z',
      '2027-07-01T10:00Z 2027-07-01T11:00Z',
    ]);
  });

  test('covers the range asked for, and names the freeze', () => {
    const parsed = parseFreezeCalendar(
      calendar(...event('SUMMARY:Year end\\, all of it', 'DTSTART:20261224T000000Z', 'DURATION:PT1H')),
    );
    if (!parsed.ok) throw new Error(parsed.problem.reason);
    expect(
      freezesBetween({ calendars: [parsed.calendar], zone: 'UTC', from: at('2026-12-01'), to: at('2027-01-01') }),
    ).toEqual({
      ok: true,
      freezes: {
        covers: { from: at('2026-12-01'), to: at('2027-01-01') },
        freezes: [{ from: at('2026-12-24T00:00Z'), to: at('2026-12-24T01:00Z'), label: 'Year end, all of it' }],
      },
    });
  });
});
