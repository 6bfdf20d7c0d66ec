import { describe, expect, test } from '@jest/globals';
import { explainWindow, freezesNeeded, isOpen, NO_FREEZES, nextWindow, windowsBetween } from './index.js';
import type { FreezeSet, RecurringWindow, WindowSpec } from './model.js';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
/** Exact times are written in UTC or with their offset, so that expectations don't lean on a zone database. */
const at = (text: string) => Date.parse(text);
const utc = (ms: number) => new Date(ms).toISOString().replace(':00.000Z', 'Z');
const one = (window: Partial<RecurringWindow>): WindowSpec => ({
  windows: [
    {
      rrule: 'FREQ=DAILY',
      from: '22:00',
      zone: 'Europe/Berlin',
      ...(window.duration ? {} : { to: '04:00' }),
      ...window,
    },
  ],
});
const frozen = (...spans: [string, string, string?][]): FreezeSet => ({
  ...NO_FREEZES,
  freezes: spans.map(([from, to, label]) => ({ from: at(from), to: at(to), label })),
});

describe('openings', () => {
  const cases: [string, Partial<RecurringWindow>, [string, string], string[]][] = [
    [
      'overnight on the night clocks go forward: an hour shorter',
      { rrule: 'FREQ=WEEKLY;BYDAY=SA' },
      ['2026-03-26', '2026-04-01'],
      ['2026-03-28T21:00Z 2026-03-29T02:00Z'],
    ],
    [
      'overnight on the night clocks go back: an hour longer',
      { rrule: 'FREQ=WEEKLY;BYDAY=SA' },
      ['2026-10-22', '2026-10-28'],
      ['2026-10-24T20:00Z 2026-10-25T03:00Z'],
    ],
    [
      'opens inside the gap: moved past it',
      { rrule: 'FREQ=WEEKLY;BYDAY=SU', from: '02:30', to: '05:00' },
      ['2026-03-28', '2026-03-31'],
      ['2026-03-29T01:30Z 2026-03-29T03:00Z'],
    ],
    [
      'closes inside the gap: moved past it',
      { rrule: 'FREQ=WEEKLY;BYDAY=SU', from: '01:00', to: '02:30' },
      ['2026-03-28', '2026-03-31'],
      ['2026-03-29T00:00Z 2026-03-29T01:30Z'],
    ],
    [
      'swallowed by the gap: does not open',
      { rrule: 'FREQ=WEEKLY;BYDAY=SU', from: '02:00', to: '03:00' },
      ['2026-03-28', '2026-03-31'],
      [],
    ],
    [
      'opens in the repeated hour: the first time',
      { rrule: 'FREQ=WEEKLY;BYDAY=SU', from: '02:30', to: '05:00' },
      ['2026-10-24', '2026-10-27'],
      ['2026-10-25T00:30Z 2026-10-25T04:00Z'],
    ],
    [
      'closes in the repeated hour: the first time',
      { rrule: 'FREQ=WEEKLY;BYDAY=SU', from: '01:00', to: '02:30' },
      ['2026-10-24', '2026-10-27'],
      ['2026-10-24T23:00Z 2026-10-25T00:30Z'],
    ],
    [
      'spans the repeated hour: two hours long',
      { rrule: 'FREQ=WEEKLY;BYDAY=SU', from: '02:00', to: '03:00' },
      ['2026-10-24', '2026-10-27'],
      ['2026-10-25T00:00Z 2026-10-25T02:00Z'],
    ],
    [
      'a half-hour clock change',
      { rrule: 'FREQ=WEEKLY;BYDAY=SU', from: '01:30', to: '03:00', zone: 'Australia/Lord_Howe' },
      ['2026-04-03', '2026-04-07'],
      ['2026-04-04T14:30Z 2026-04-04T16:30Z'],
    ],
    [
      'a day that never was (Samoa crossed the date line)',
      { from: '22:00', to: '23:00', zone: 'Pacific/Apia' },
      ['2011-12-30', '2011-12-31T12:00Z'],
      ['2011-12-30T08:00Z 2011-12-30T09:00Z', '2011-12-31T08:00Z 2011-12-31T09:00Z'],
    ],
    [
      'an exact duration over the change',
      { rrule: 'FREQ=WEEKLY;BYDAY=SA', duration: 'PT6H' },
      ['2026-03-26', '2026-04-01'],
      ['2026-03-28T21:00Z 2026-03-29T03:00Z'],
    ],
    [
      'two days are 48 hours over the change',
      { rrule: 'FREQ=WEEKLY;BYDAY=SA', from: '00:00', duration: 'P2D' },
      ['2026-03-26', '2026-04-01'],
      ['2026-03-27T23:00Z 2026-03-29T23:00Z'],
    ],
    [
      'thirty hours',
      { rrule: 'FREQ=WEEKLY;BYDAY=FR', duration: 'PT30H' },
      ['2026-07-01', '2026-07-08'],
      ['2026-07-03T20:00Z 2026-07-05T02:00Z'],
    ],
    [
      'second Tuesday + 3 days',
      { rrule: 'FREQ=MONTHLY;BYDAY=2TU', plusDays: 3 },
      ['2026-03-01', '2026-06-01'],
      [
        '2026-03-13T21:00Z 2026-03-14T03:00Z',
        '2026-04-17T20:00Z 2026-04-18T02:00Z',
        '2026-05-15T20:00Z 2026-05-16T02:00Z',
      ],
    ],
    [
      'four days before the first of the month',
      { rrule: 'FREQ=MONTHLY;BYMONTHDAY=1', plusDays: -4, from: '10:00', to: '11:00', zone: 'UTC' },
      ['2026-02-20', '2026-03-30'],
      ['2026-02-25T10:00Z 2026-02-25T11:00Z', '2026-03-28T10:00Z 2026-03-28T11:00Z'],
    ],
    [
      'until midnight, written 24:00',
      { rrule: 'FREQ=WEEKLY;BYDAY=WE', from: '20:00', to: '24:00' },
      ['2026-07-01', '2026-07-03'],
      ['2026-07-01T18:00Z 2026-07-01T22:00Z'],
    ],
    [
      'days that touch become one opening',
      { rrule: 'FREQ=WEEKLY;BYDAY=SA,SU', from: '00:00', to: '24:00', zone: 'UTC' },
      ['2026-07-01', '2026-07-10'],
      ['2026-07-04T00:00Z 2026-07-06T00:00Z'],
    ],
    [
      'days that overlap become one opening',
      { rrule: 'FREQ=WEEKLY;BYDAY=SA,SU', from: '00:00', duration: 'PT30H', zone: 'UTC' },
      ['2026-07-01', '2026-07-10'],
      ['2026-07-04T00:00Z 2026-07-06T06:00Z'],
    ],
    [
      'clipped to the range asked for',
      { zone: 'UTC' },
      ['2026-07-01T01:00Z', '2026-07-01T23:00Z'],
      ['2026-07-01T01:00Z 2026-07-01T04:00Z', '2026-07-01T22:00Z 2026-07-01T23:00Z'],
    ],
    [
      'every second week from its start',
      { rrule: 'FREQ=WEEKLY;INTERVAL=2;BYDAY=MO', dtstart: '2020-01-06', zone: 'UTC' },
      ['2026-07-01', '2026-07-31'],
      ['2026-07-13T22:00Z 2026-07-14T04:00Z', '2026-07-27T22:00Z 2026-07-28T04:00Z'],
    ],
    [
      'not before its start',
      { dtstart: '2026-07-03', zone: 'UTC' },
      ['2026-07-01', '2026-07-04T12:00Z'],
      ['2026-07-03T22:00Z 2026-07-04T04:00Z'],
    ],
    [
      'not after its last date',
      { rrule: 'FREQ=DAILY;UNTIL=20260701', zone: 'UTC' },
      ['2026-07-01T12:00Z', '2026-07-05'],
      ['2026-07-01T22:00Z 2026-07-02T04:00Z'],
    ],
  ];
  test.each(cases)('%s', (_name, window, [from, to], expected) => {
    const result = windowsBetween({
      spec: one(window),
      freezes: NO_FREEZES,
      zone: 'Asia/Kolkata',
      from: at(from),
      to: at(to),
    });
    expect(result.ok ? result.windows.map((w) => `${utc(w.opens)} ${utc(w.closes)}`) : result).toEqual(expected);
  });

  test('"endpoint" is the zone of the endpoint', () => {
    const opens = ['Asia/Kolkata', 'America/New_York'].map((zone) =>
      nextWindow({
        spec: one({ zone: 'endpoint' }),
        freezes: NO_FREEZES,
        zone,
        now: at('2026-07-01T12:00Z'),
        needMs: 0,
      }),
    );
    expect(opens).toEqual([
      { opens: at('2026-07-01T22:00+05:30'), closes: at('2026-07-02T04:00+05:30') },
      { opens: at('2026-07-01T22:00-04:00'), closes: at('2026-07-02T04:00-04:00') },
    ]);
  });

  test('half-open: open at the first millisecond, shut at the last', () => {
    const ask = (text: string, shift: number) =>
      isOpen({ spec: one({ zone: 'UTC' }), freezes: NO_FREEZES, zone: 'UTC', at: at(text) + shift });
    expect([
      ask('2026-07-01T22:00Z', -1),
      ask('2026-07-01T22:00Z', 0),
      ask('2026-07-02T04:00Z', -1),
      ask('2026-07-02T04:00Z', 0),
    ]).toEqual([false, true, true, false]);
  });
});

describe('nextWindow', () => {
  const spec = one({ rrule: 'FREQ=WEEKLY;BYDAY=SA', zone: 'UTC' });
  const sat = { opens: at('2026-07-04T22:00Z'), closes: at('2026-07-05T04:00Z') };
  const nextSat = { opens: sat.opens + 7 * DAY, closes: sat.closes + 7 * DAY };
  test.each<[string, number, number, object]>([
    ['before it opens', sat.opens - 1, 0, sat],
    ['at its opening', sat.opens, 6 * HOUR, sat],
    ['at the last start', sat.closes - 45 * MINUTE, 45 * MINUTE, sat],
    ['a millisecond past the last start', sat.closes - 45 * MINUTE + 1, 45 * MINUTE, nextSat],
    ['at the close, needing nothing', sat.closes, 0, nextSat],
    ['a millisecond before the close, needing nothing', sat.closes - 1, 0, sat],
    [
      'needing more than any window has',
      sat.opens,
      6 * HOUR + 1,
      {
        never: 'the longest window in the next 400 days is 6 h, shorter than the expected 6 h 1 min',
        code: 'tooShort',
      },
    ],
  ])('%s', (_name, now, needMs, expected) => {
    expect(nextWindow({ spec, freezes: NO_FREEZES, zone: 'UTC', now, needMs })).toEqual(expected);
  });

  test.each<[string, FreezeSet, object]>([
    ['over the whole window', frozen(['2026-07-01', '2026-07-06']), nextSat],
    [
      'over its beginning',
      frozen(['2026-07-01', '2026-07-05T01:00Z']),
      { opens: at('2026-07-05T01:00Z'), closes: sat.closes },
    ],
    [
      'over its end',
      frozen(['2026-07-05T02:00Z', '2026-07-08']),
      { opens: sat.opens, closes: at('2026-07-05T02:00Z') },
    ],
    [
      'in the middle, leaving too little before',
      frozen(['2026-07-04T23:00Z', '2026-07-05T00:00Z']),
      { opens: at('2026-07-05T00:00Z'), closes: sat.closes },
    ],
    ['touching both ends', frozen(['2026-07-04', '2026-07-04T22:00Z'], ['2026-07-05T04:00Z', '2026-07-06']), sat],
    [
      'for a year and more',
      frozen(['2026-07-01', '2027-09-01T00:00Z', 'Merger']),
      {
        never: 'frozen until Wed 1 Sep 2027 00:00 UTC ("Merger"): no window outside freezes in the next 400 days',
        code: 'frozen',
      },
    ],
    [
      'known for a week only: beyond it nothing opens',
      { covers: { from: at('2026-06-01'), to: at('2026-07-04T23:00Z') }, freezes: [] },
      { never: 'freezes are known only until Sat 4 Jul 2026 23:00 UTC, and nothing opens past that', code: 'frozen' },
    ],
  ])('freeze %s', (_name, freezes, expected) => {
    expect(nextWindow({ spec, freezes, zone: 'UTC', now: at('2026-07-02T00:00Z'), needMs: 2 * HOUR })).toEqual(
      expected,
    );
  });

  test.each<[string, WindowSpec, string, object]>([
    [
      'an empty list',
      { windows: [] },
      'UTC',
      { never: 'the list of windows is empty, so it never opens', code: 'empty' },
    ],
    [
      'no window ahead',
      one({ rrule: 'FREQ=DAILY;UNTIL=20200101' }),
      'UTC',
      { never: 'no window in the next 400 days', code: 'noWindow' },
    ],
    [
      'a date that never comes',
      one({ rrule: 'FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30' }),
      'UTC',
      { never: 'no window in the next 400 days', code: 'noWindow' },
    ],
    [
      'an unknown zone of the endpoint',
      one({}),
      'Mars/Olympus',
      { never: 'the endpoint\'s zone "Mars/Olympus" is not known', code: 'badZone' },
    ],
    [
      'an endpoint zone that is an offset',
      one({}),
      '+02:00',
      { never: 'the endpoint\'s zone "+02:00" is not known', code: 'badZone' },
    ],
    ['always, but no zone', { always: true }, '', { never: 'the endpoint\'s zone "" is not known', code: 'badZone' }],
    [
      'a spec that slipped past the schema',
      one({ from: '25:00' }),
      'UTC',
      { never: 'windows[0].from: "25:00" is not a wall time HH:MM', code: 'badSpec' },
    ],
  ])('never: %s', (_name, spec, zone, expected) => {
    const now = at('2026-07-01T00:00Z');
    expect(nextWindow({ spec, freezes: NO_FREEZES, zone, now, needMs: 0 })).toEqual(expected);
    expect(isOpen({ spec, freezes: NO_FREEZES, zone, at: now })).toBe(false);
  });

  test.each([Number.NaN, -1, Number.POSITIVE_INFINITY])('an expected time of %d is refused', (needMs) => {
    expect(nextWindow({ spec: { always: true }, freezes: NO_FREEZES, zone: 'UTC', now: 0, needMs })).toMatchObject({
      code: 'badNeed',
    });
  });

  test('always is open from the look-back to the look-ahead, but for freezes', () => {
    const now = at('2026-07-01T00:00Z');
    const ask = (freezes: FreezeSet) => nextWindow({ spec: { always: true }, freezes, zone: 'UTC', now, needMs: HOUR });
    expect(ask(NO_FREEZES)).toEqual({ opens: freezesNeeded(now).from, closes: freezesNeeded(now).to });
    expect(ask(frozen(['2026-06-30', '2026-07-02']))).toEqual({
      opens: at('2026-07-02'),
      closes: freezesNeeded(now).to,
    });
    expect(ask(frozen(['2026-06-20', '2026-06-30'], ['2026-07-03', '2026-07-04']))).toEqual({
      opens: at('2026-06-30'),
      closes: at('2026-07-03'),
    });
  });

  test('finds the one window of the year', () => {
    const yearly = one({ rrule: 'FREQ=YEARLY;BYMONTH=6;BYMONTHDAY=30', zone: 'UTC' });
    expect(
      nextWindow({ spec: yearly, freezes: NO_FREEZES, zone: 'UTC', now: at('2026-07-02T00:00Z'), needMs: HOUR }),
    ).toEqual({ opens: at('2027-06-30T22:00Z'), closes: at('2027-07-01T04:00Z') });
  });

  test('an opening made of many that touch keeps its true beginning', () => {
    const weekdays = one({ rrule: 'FREQ=DAILY', dtstart: '2026-06-20', from: '00:00', to: '24:00', zone: 'UTC' });
    expect(
      nextWindow({
        spec: weekdays,
        freezes: frozen(['2026-08-01', '2026-08-02']),
        zone: 'UTC',
        now: at('2026-07-10T05:00Z'),
        needMs: HOUR,
      }),
    ).toEqual({ opens: at('2026-06-20'), closes: at('2026-08-01') });
  });
});

describe('explainWindow', () => {
  const spec = one({ rrule: 'FREQ=WEEKLY;BYDAY=SA' });
  const show = (now: string, extra: { freezes?: FreezeSet; needMs?: number; spec?: WindowSpec } = {}) =>
    explainWindow({ spec, freezes: NO_FREEZES, zone: 'Asia/Kolkata', needMs: 45 * MINUTE, ...extra, now: at(now) });
  test.each<[string, string]>([
    [
      show('2026-03-27T12:00Z'),
      'Closed now; opens Sat 28 Mar 2026 22:00 Europe/Berlin and closes Sun 29 Mar 2026 04:00 Europe/Berlin; work of 45 min may start until Sun 29 Mar 2026 03:15 Europe/Berlin.',
    ],
    [
      show('2026-03-28T22:00Z'),
      'Open now; closes Sun 29 Mar 2026 04:00 Europe/Berlin; work of 45 min may start until Sun 29 Mar 2026 03:15 Europe/Berlin.',
    ],
    [
      show('2026-03-29T01:59Z'),
      'Open now, but too short for the expected 45 min; next opens Sat 4 Apr 2026 22:00 Europe/Berlin and closes Sun 5 Apr 2026 04:00 Europe/Berlin; work of 45 min may start until Sun 5 Apr 2026 03:15 Europe/Berlin.',
    ],
    [
      show('2026-03-27T12:00Z', { freezes: frozen(['2026-03-20', '2026-03-30T22:00Z', 'Quarter end']) }),
      'Frozen until Tue 31 Mar 2026 00:00 Europe/Berlin ("Quarter end"); opens Sat 4 Apr 2026 22:00 Europe/Berlin and closes Sun 5 Apr 2026 04:00 Europe/Berlin; work of 45 min may start until Sun 5 Apr 2026 03:15 Europe/Berlin.',
    ],
    [
      show('2026-03-27T12:00Z', { spec: { windows: [] } }),
      'Never opens: the list of windows is empty, so it never opens.',
    ],
    [show('2026-03-27T12:00Z', { spec: { always: true } }), 'Open now; does not close within 400 days.'],
    [
      show('2026-10-24T12:00Z', { needMs: 90 * MINUTE }),
      'Closed now; opens Sat 24 Oct 2026 22:00 Europe/Berlin and closes Sun 25 Oct 2026 04:00 Europe/Berlin; work of 1 h 30 min may start until Sun 25 Oct 2026 02:30+01:00 Europe/Berlin.',
    ],
  ])('%#: %s', (said, expected) => {
    expect(said).toBe(expected);
  });
});
