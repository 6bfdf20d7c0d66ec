import { expect, test } from '@jest/globals';
import { parseCadence, parseHours, parseWindowSpec } from './index.js';

const window = { rrule: 'FREQ=WEEKLY;BYDAY=SA', from: '22:00', to: '04:00', zone: 'endpoint' };

test('hours in both forms are read as they were written', () => {
  const hours = {
    communicate: { always: true },
    stage: { windows: [] },
    apply: {
      windows: [
        window,
        { rrule: 'FREQ=MONTHLY;BYDAY=2TU', plusDays: 3, from: '22:00', duration: 'P2D', zone: 'Europe/Berlin' },
      ],
    },
  };
  expect(parseHours(hours)).toEqual({ ok: true, value: hours });
});

test.each<[string, unknown, string, string]>([
  ['nothing', undefined, '', 'expected object'],
  ['a part is missing', { communicate: { always: true }, stage: { always: true } }, 'apply', 'expected object'],
  [
    'a typo beside the three',
    { communicate: { always: true }, stage: { always: true }, apply: { always: true }, aply: {} },
    '',
    'aply',
  ],
])('hours: %s', (_name, input, path, reason) => {
  expect(parseHours(input)).toEqual({ ok: false, problems: [{ path, reason: expect.stringContaining(reason) }] });
});

test.each<[string, unknown, string, string]>([
  ['neither form', {}, '', 'give either "windows" or "always": true'],
  ['both forms', { always: true, windows: [] }, '', 'give either'],
  ['always false', { always: false }, 'always', 'expected true'],
  ['windows null', { windows: null }, 'windows', 'expected array'],
  ['too many windows', { windows: new Array(101).fill(window) }, 'windows', '100'],
  ['an unknown field', { windows: [{ ...window, form: '22:00' }] }, 'windows[0]', 'form'],
  [
    'a rule that is not one',
    { windows: [window, { ...window, rrule: 'every saturday' }] },
    'windows[1].rrule',
    'is not NAME=VALUE',
  ],
  [
    'a rule that does not say when',
    { windows: [{ ...window, rrule: 'FREQ=WEEKLY;INTERVAL=2;BYDAY=SA' }] },
    'windows[0].rrule',
    'needs dtstart',
  ],
  [
    'a rule with UNTIL as an instant',
    { windows: [{ ...window, rrule: 'FREQ=DAILY;UNTIL=20260101T000000Z' }] },
    'windows[0].rrule',
    'UNTIL must be a date',
  ],
  [
    'a count too sparse to walk',
    { windows: [{ ...window, rrule: 'FREQ=DAILY;BYMONTH=2;BYMONTHDAY=29;COUNT=900', dtstart: '2000-01-01' }] },
    'windows[0].rrule',
    "can't be enumerated",
  ],
  ['a start that is no date', { windows: [{ ...window, dtstart: '2026-02-30' }] }, 'windows[0].dtstart', 'not a date'],
  ['days that are not whole', { windows: [{ ...window, plusDays: 1.5 }] }, 'windows[0].plusDays', 'expected int'],
  ['too many days', { windows: [{ ...window, plusDays: 32 }] }, 'windows[0].plusDays', 'from -31 to 31'],
  ['a time that is none', { windows: [{ ...window, from: '9:00' }] }, 'windows[0].from', 'HH:MM'],
  ['24:00 as an opening', { windows: [{ ...window, from: '24:00' }] }, 'windows[0].from', 'HH:MM'],
  ['no length', { windows: [{ ...window, to: '22:00' }] }, 'windows[0].to', 'equals "from"'],
  ['no end', { windows: [{ ...window, to: undefined }] }, 'windows[0].to', 'either "to" or "duration"'],
  ['two ends', { windows: [{ ...window, duration: 'PT1H' }] }, 'windows[0].to', 'either "to" or "duration"'],
  [
    'a duration in months',
    { windows: [{ ...window, to: undefined, duration: 'P1M' }] },
    'windows[0].duration',
    'not an ISO 8601 duration',
  ],
  [
    'an empty duration',
    { windows: [{ ...window, to: undefined, duration: 'PT' }] },
    'windows[0].duration',
    'not an ISO 8601 duration',
  ],
  [
    'a duration of nothing',
    { windows: [{ ...window, to: undefined, duration: 'PT0M' }] },
    'windows[0].duration',
    'between 1 minute and 31 days',
  ],
  [
    'a duration of months',
    { windows: [{ ...window, to: undefined, duration: 'P32D' }] },
    'windows[0].duration',
    'between 1 minute and 31 days',
  ],
  [
    'a zone that is none',
    { windows: [{ ...window, zone: 'Europe/Atlantis' }] },
    'windows[0].zone',
    'neither an IANA zone',
  ],
  ['an offset as zone', { windows: [{ ...window, zone: '+01:00' }] }, 'windows[0].zone', 'neither an IANA zone'],
])('window spec: %s', (_name, input, path, reason) => {
  expect(parseWindowSpec(input)).toEqual({ ok: false, problems: [{ path, reason: expect.stringContaining(reason) }] });
});

test('every problem is told at once', () => {
  const parsed = parseWindowSpec({
    windows: [
      { ...window, from: 'x', zone: 'y' },
      { ...window, rrule: '' },
    ],
  });
  expect(parsed).toMatchObject({
    ok: false,
    problems: [{ path: 'windows[0].from' }, { path: 'windows[0].zone' }, { path: 'windows[1].rrule' }],
  });
});

test('cadences too', () => {
  const cadence = { rrule: 'FREQ=MONTHLY;BYDAY=2TU', plusDays: 3, at: '22:00', zone: 'Europe/Berlin' };
  expect(parseCadence(cadence)).toEqual({ ok: true, value: cadence });
  expect(parseCadence({ ...cadence, zone: 'endpoint' })).toMatchObject({ ok: false, problems: [{ path: 'zone' }] });
});
