import { expect, test } from '@jest/globals';
import { nextScheduledStart } from './index.js';
import type { Cadence } from './model.js';

const at = (text: string) => Date.parse(text);
const patchWeek: Cadence = { rrule: 'FREQ=MONTHLY;BYDAY=2TU', plusDays: 3, at: '22:00', zone: 'Europe/Berlin' };

test.each<[string, Cadence, string, string]>([
  ['second Tuesday + 3 days, 22:00', patchWeek, '2026-03-01T00:00Z', '2026-03-13T21:00Z'],
  ['strictly after: the start itself asks for the next', patchWeek, '2026-03-13T21:00Z', '2026-04-17T20:00Z'],
  ['on the day, before the time', patchWeek, '2026-03-13T20:59Z', '2026-03-13T21:00Z'],
  [
    'in the gap: moved past it',
    { ...patchWeek, rrule: 'FREQ=WEEKLY;BYDAY=SU', plusDays: 0, at: '02:30' },
    '2026-03-28T00:00Z',
    '2026-03-29T01:30Z',
  ],
  [
    'in the repeated hour: the first time',
    { ...patchWeek, rrule: 'FREQ=WEEKLY;BYDAY=SU', plusDays: 0, at: '02:30' },
    '2026-10-24T00:00Z',
    '2026-10-25T00:30Z',
  ],
  [
    'and not again',
    { ...patchWeek, rrule: 'FREQ=WEEKLY;BYDAY=SU', plusDays: 0, at: '02:30' },
    '2026-10-25T00:30Z',
    '2026-11-01T01:30Z',
  ],
  [
    'across the date line from UTC',
    { ...patchWeek, at: '00:30', zone: 'Pacific/Apia' },
    '2026-03-01T00:00Z',
    '2026-03-12T11:30Z',
  ],
  [
    'eleven months away',
    { ...patchWeek, rrule: 'FREQ=YEARLY;BYMONTH=2;BYDAY=1MO', plusDays: 0 },
    '2026-03-01T00:00Z',
    '2027-02-01T21:00Z',
  ],
])('%s', (_name, cadence, after, expected) => {
  expect(nextScheduledStart({ cadence, after: at(after) })).toEqual({ at: at(expected) });
});

test.each<[Cadence, object]>([
  [
    { ...patchWeek, rrule: 'FREQ=DAILY;UNTIL=20200101' },
    { never: 'no start in the next 400 days', code: 'noWindow' },
  ],
  [
    { ...patchWeek, zone: 'endpoint' },
    { never: 'zone: "endpoint" is not an IANA zone', code: 'badSpec' },
  ],
  [
    { ...patchWeek, at: '24:00' },
    { never: 'at: "24:00" is not a wall time HH:MM', code: 'badSpec' },
  ],
  [
    { ...patchWeek, rrule: 'FREQ=MINUTELY' },
    { never: expect.stringContaining('rrule: FREQ=MINUTELY is not one of'), code: 'badSpec' },
  ],
])('never: %j', (cadence, expected) => {
  expect(nextScheduledStart({ cadence, after: at('2026-03-01T00:00Z') })).toEqual(expected);
});
