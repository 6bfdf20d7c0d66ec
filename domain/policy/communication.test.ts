import { describe, expect, test } from '@jest/globals';
import type { WindowSpec } from '../schedule/model.js';
import { DAY, HOUR } from '../time.js';
import { type Communication, communicationOf, mayTalk, pollWithinHours } from './communication.js';

const at = (text: string) => Date.parse(text);
const hours = (communicate: unknown) => ({
  hours: { communicate, stage: { always: true }, apply: { always: true } },
});
const daily = (from: string, to: string, rrule = 'FREQ=DAILY'): WindowSpec => ({
  windows: [{ rrule, from, to, zone: 'Europe/Berlin' }],
});
const window = (opens: string, closes: string) => ({ opens: at(opens), closes: at(closes) });

describe('communicationOf', () => {
  test.each<[string, unknown, string, Communication | null]>([
    ['always', { always: true }, '2026-07-01T12:00Z', null],
    [
      'overnight, while it is shut',
      daily('22:00', '06:00'),
      '2026-07-01T12:00Z',
      {
        window: window('2026-07-01T20:00Z', '2026-07-02T04:00Z'),
        later: window('2026-07-02T20:00Z', '2026-07-03T04:00Z'),
      },
    ],
    [
      'overnight, while it is open and clocks go back',
      daily('22:00', '06:00'),
      '2026-10-25T00:30Z',
      {
        window: window('2026-10-24T20:00Z', '2026-10-25T05:00Z'),
        later: window('2026-10-25T21:00Z', '2026-10-26T05:00Z'),
      },
    ],
    [
      'the last window there will be',
      daily('22:00', '23:00', 'FREQ=DAILY;UNTIL=20260701'),
      '2026-07-01T12:00Z',
      { window: window('2026-07-01T20:00Z', '2026-07-01T21:00Z'), later: null },
    ],
    [
      'an empty list',
      { windows: [] },
      '2026-07-01T12:00Z',
      { never: 'the list of windows is empty, so it never opens' },
    ],
    [
      'what can’t be read',
      { windows: [{ rrule: 'FREQ=NEVER', from: '22:00', to: '23:00', zone: 'UTC' }] },
      '2026-07-01T12:00Z',
      { never: expect.stringContaining('hours of operation: communicate.windows[0].rrule') as unknown as string },
    ],
  ])('%s', (_name, communicate, now, expected) => {
    expect(communicationOf({ policy: hours(communicate), zone: 'UTC', now: at(now) })).toEqual(expected);
  });

  test('nothing restricts where no policy is in force', () => {
    expect(communicationOf({ policy: null, zone: 'UTC', now: 0 })).toBeNull();
  });
});

const NOW = at('2026-07-01T12:00Z');
const nightly: Communication = {
  window: { opens: NOW + 8 * HOUR, closes: NOW + 10 * HOUR },
  later: { opens: NOW + 32 * HOUR, closes: NOW + 33 * HOUR },
};

test.each<[string, Communication | null, number, boolean]>([
  ['no restriction', null, NOW, true],
  ['before it opens', nightly, NOW + 8 * HOUR - 1, false],
  ['at its opening', nightly, NOW + 8 * HOUR, true],
  ['at its close', nightly, NOW + 10 * HOUR, false],
  ['in the one after, should nobody have resolved it since', nightly, NOW + 32 * HOUR, true],
  ['after all that is known', nightly, NOW + 33 * HOUR, false],
  ['never', { never: 'empty' }, NOW, false],
])('may talk: %s', (_name, communication, when, expected) => {
  expect(mayTalk(communication, when)).toBe(expected);
});

describe('the next poll', () => {
  test.each<[string, Communication | null, number, number, number, number]>([
    // Name, hours, now, seconds without them, random, seconds.
    ['is left alone without hours', null, NOW, 900, 0.5, 900],
    ['is left alone inside', nightly, NOW + 9 * HOUR, 900, 0.5, 900],
    ['waits for the opening', nightly, NOW, 30, 0, 8 * 3_600],
    ['is spread over five minutes there', nightly, NOW, 30, 0.5, 8 * 3_600 + 150],
    [
      'goes over to the next window where this one ends before',
      nightly,
      NOW + 10 * HOUR - 60_000,
      900,
      0,
      22 * 3_600 + 60,
    ],
    ['would fall before the opening although it is near', nightly, NOW + 8 * HOUR - 10_000, 5, 0, 10],
    ['reaches into the window by itself', nightly, NOW + 8 * HOUR - 10_000, 30, 0, 30],
    ['is a sign of life each hour where nothing opens', { never: 'empty' }, NOW, 30, 0.5, 3_600],
    ['is a sign of life each hour after all that is known', nightly, NOW + 3 * DAY, 30, 0.5, 3_600],
  ])('%s', (_name, communication, now, seconds, random, expected) => {
    expect(pollWithinHours({ communication, now, seconds, random })).toBe(expected);
  });

  test('stays inside a window shorter than the spread', () => {
    const short: Communication = { window: { opens: NOW + HOUR, closes: NOW + HOUR + 60_000 }, later: null };
    const seconds = pollWithinHours({ communication: short, now: NOW, seconds: 30, random: 0.999 });
    expect(mayTalk(short, NOW + seconds * 1_000)).toBe(true);
  });
});
