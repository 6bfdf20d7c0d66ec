import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { isOpen, NO_FREEZES, nextWindow, windowsBetween } from '../schedule/index.js';
import type { RecurringWindow, WindowSpec } from '../schedule/model.js';
import { DAY, HOUR, MINUTE } from '../time.js';
import { type Calendars, nextOpening, readCalendars } from './next-opening.js';
import type { PolicyDocument } from './policy-set.js';

const always = { always: true } as const;
const never = { windows: [] } as const;
const daily = (from: string, to: string, more: Partial<RecurringWindow> = {}): WindowSpec => ({
  windows: [{ rrule: 'FREQ=DAILY', from, to, zone: 'Europe/Berlin', ...more }],
});
/** Exact times are written in UTC, so that expectations don't lean on a zone database. */
const at = (text: string) => Date.parse(text);

const policy = (hours: object, more: Partial<PolicyDocument> = {}): PolicyDocument => ({
  appliesTo: { all: true },
  hours: { communicate: always, stage: always, apply: always, ...hours },
  freezeCalendars: [],
  reboot: 'never',
  expectedMinutes: 45,
  healthChecks: [],
  hooks: [],
  stageRateLimit: null,
  ...more,
});
const NO_CALENDARS: Calendars = new Map();

describe('an order is open only while the endpoint may also be talked with', () => {
  const utc = { zone: 'UTC' };
  test.each<[string, WindowSpec, WindowSpec, string, string, string]>([
    [
      'overnight hours in which both overlap in part',
      daily('22:00', '04:00', utc),
      daily('20:00', '23:30', utc),
      '2026-07-01T12:00Z',
      '2026-07-01T22:00Z',
      '2026-07-01T23:30Z',
    ],
    [
      'both overnight, across midnight',
      daily('21:00', '03:00', utc),
      daily('23:00', '05:00', utc),
      '2026-07-02T00:30Z',
      '2026-07-01T23:00Z',
      '2026-07-02T03:00Z',
    ],
    [
      'what is left tonight is shorter than the work: tomorrow',
      daily('22:00', '04:00', utc),
      daily('23:00', '01:00', utc),
      '2026-07-02T00:16Z',
      '2026-07-02T23:00Z',
      '2026-07-03T01:00Z',
    ],
    [
      'only communication restricts',
      always,
      daily('20:00', '06:00', utc),
      '2026-07-01T12:00Z',
      '2026-07-01T20:00Z',
      '2026-07-02T06:00Z',
    ],
    [
      'weekends and weekdays share an hour of Saturday morning',
      daily('22:00', '02:00', { ...utc, rrule: 'FREQ=WEEKLY;BYDAY=SA,SU,FR' }),
      daily('01:00', '24:00', { ...utc, rrule: 'FREQ=WEEKLY;BYDAY=SA' }),
      '2026-07-01T12:00Z',
      '2026-07-04T01:00Z',
      '2026-07-04T02:00Z',
    ],
    [
      'the night clocks go forward: 02:00–03:00 in Berlin is not there',
      daily('00:30', '05:00'),
      daily('02:00', '04:00'),
      '2026-03-28T12:00Z',
      '2026-03-29T01:00Z',
      '2026-03-29T02:00Z',
    ],
    [
      'the night clocks go back: two hours of 02:00–03:00 in Berlin',
      daily('00:30', '05:00'),
      daily('02:00', '03:00'),
      '2026-10-24T12:00Z',
      '2026-10-25T00:00Z',
      '2026-10-25T02:00Z',
    ],
    [
      'zones that change their clocks on different days',
      daily('22:00', '24:00', { zone: 'America/New_York' }),
      daily('03:00', '05:00'),
      // From 8 March on New York is five hours behind Berlin, not six: 22:00 is 03:00 there.
      '2026-03-10T12:00Z',
      '2026-03-11T02:00Z',
      '2026-03-11T04:00Z',
    ],
    [
      'the endpoint’s own zone',
      daily('22:00', '02:00', { zone: 'endpoint' }),
      daily('23:00', '24:00', { zone: 'endpoint' }),
      '2026-07-01T12:00Z',
      '2026-07-01T17:30Z',
      '2026-07-01T18:30Z',
    ],
  ])('%s', (_name, apply, communicate, now, opens, closes) => {
    const asked = {
      zone: 'Asia/Kolkata',
      calendars: NO_CALENDARS,
      now: at(now),
      policy: policy({ apply, communicate }),
    };
    expect(nextOpening({ ...asked, target: 'change' })).toEqual({
      opens: at(opens),
      lastStart: at(closes) - 45 * MINUTE,
      closes: at(closes),
    });
    const reverting = nextOpening({ ...asked, target: 'revert' });
    expect(reverting).toEqual(nextOpening({ ...asked, target: 'change' }));
    // Staging needs a minute, so a shorter rest is still worth it.
    const staging = nextOpening({ ...asked, policy: policy({ stage: apply, communicate }), target: 'stage' });
    expect(staging).toMatchObject({ lastStart: expect.any(Number) });
    if ('opens' in staging) expect(staging.lastStart).toBe(staging.closes - MINUTE);
  });

  const empty = 'communicate: the list of windows is empty, so it never opens';
  test.each<[string, object, string]>([
    ['no hours of communication', { communicate: never }, empty],
    [
      'hours of communication that never meet the others',
      { communicate: daily('08:00', '17:00'), stage: daily('22:00', '04:00'), apply: daily('22:00', '04:00') },
      'no window within the hours of communication in the next 400 days',
    ],
    [
      'hours that name no date any more',
      { communicate: daily('08:00', '17:00', { rrule: 'FREQ=DAILY;UNTIL=20200101', dtstart: '2020-01-01' }) },
      'no window within the hours of communication in the next 400 days',
    ],
    ['hours that can’t be read', { communicate: { windows: 'soon' } }, 'hours of operation: communicate.windows: '],
    ['no word about communication', { communicate: undefined }, 'hours of operation: communicate: '],
  ])('%s: never, and why', (_name, hours, reason) => {
    for (const target of ['stage', 'change', 'revert'] as const) {
      const opening = nextOpening({
        policy: policy(hours),
        zone: 'UTC',
        target,
        calendars: NO_CALENDARS,
        now: at('2026-07-01T12:00Z'),
      });
      expect(opening).toEqual({ never: expect.stringContaining(reason) });
    }
  });

  test('what both leave is too short for the work, though each alone is long enough', () => {
    const hours = { apply: daily('22:00', '04:00'), communicate: daily('20:00', '22:30') };
    const opening = nextOpening({
      policy: policy(hours),
      zone: 'UTC',
      target: 'change',
      calendars: NO_CALENDARS,
      now: at('2026-07-01T12:00Z'),
    });
    expect(opening).toEqual({
      never:
        'the longest window within the hours of communication in the next 400 days is 30 min, shorter than the expected 45 min',
    });
  });

  test.each<[string, { hours: boolean; freezes: boolean }, object]>([
    [
      'hours set aside: those of communication stand',
      { hours: true, freezes: false },
      { opens: at('2026-07-05T20:00Z') },
    ],
    [
      'hours and freezes set aside: those of communication stand',
      { hours: true, freezes: true },
      { opens: at('2026-07-01T20:00Z') },
    ],
    ['nothing set aside', { hours: false, freezes: false }, { never: expect.stringContaining('is empty') }],
  ])('%s', (_name, override, expected) => {
    const calendars = readCalendars(
      new Map([
        [
          'summer',
          'BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:t\r\nBEGIN:VEVENT\r\nUID:1\r\nDTSTAMP:20260101T000000Z\r\nDTSTART:20260701T000000Z\r\nDTEND:20260705T000000Z\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n',
        ],
      ]),
    );
    const opening = nextOpening({
      policy: policy(
        { apply: never, communicate: daily('20:00', '22:00', { zone: 'UTC' }) },
        { freezeCalendars: ['summer'] },
      ),
      zone: 'UTC',
      target: 'change',
      calendars,
      override,
      now: at('2026-07-01T12:00Z'),
    });
    expect(opening).toMatchObject(expected);
  });
});

test('open exactly where both are, minute by minute, whatever the two are', () => {
  const wall = fc.integer({ min: 0, max: 47 }).map((half) => {
    const minutes = half * 30;
    return `${String(Math.floor(minutes / 60)).padStart(2, '0')}:${String(minutes % 60).padStart(2, '0')}`;
  });
  const window = fc
    .record({
      rrule: fc.constantFrom('FREQ=DAILY', 'FREQ=WEEKLY;BYDAY=SA,SU', 'FREQ=WEEKLY;BYDAY=MO,WE'),
      from: wall,
      to: wall,
      zone: fc.constantFrom('Europe/Berlin', 'UTC', 'endpoint', 'America/New_York'),
    })
    .filter(({ from, to }) => from !== to);
  const spec = fc.oneof(
    fc.constant(always),
    fc.array(window, { minLength: 1, maxLength: 3 }).map((windows) => ({ windows })),
  );
  const base = fc.constantFrom(at('2026-03-27'), at('2026-10-23'), at('2026-07-01'));
  fc.assert(
    fc.property(spec, spec, base, fc.integer({ min: 0, max: 4 * 48 }), (own, communicate, start, half) => {
      const asked = { freezes: NO_FREEZES, zone: 'Australia/Lord_Howe' };
      const now = start + half * 30 * MINUTE;
      const both = { ...asked, spec: own, communicate };
      expect(isOpen({ ...both, at: now })).toBe(
        isOpen({ ...asked, spec: own, at: now }) && isOpen({ ...asked, spec: communicate, at: now }),
      );
      const next = nextWindow({ ...both, now, needMs: 0 });
      const found = windowsBetween({ ...both, from: now, to: now + 20 * DAY });
      const first = found.ok ? found.windows[0] : undefined;
      if (first === undefined) expect('never' in next || next.opens >= now + 20 * DAY).toBe(true);
      else expect(next).toMatchObject({ opens: first.opens === now ? expect.any(Number) : first.opens });
      if ('opens' in next) {
        expect(isOpen({ ...both, at: Math.max(next.opens, now) })).toBe(true);
        expect(next.opens <= now || !isOpen({ ...both, at: next.opens - 1 })).toBe(true);
        expect(next.closes > now + 100 * HOUR * 24 || !isOpen({ ...both, at: next.closes })).toBe(true);
      }
    }),
    { numRuns: 60 },
  );
});
