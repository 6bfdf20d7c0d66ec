import { describe, expect, test } from '@jest/globals';
import { DAY, HOUR, MINUTE } from '../../domain/time.js';
import { createTimes, distance } from './times.js';

const now = Date.parse('2026-11-30T12:00:00Z');

describe('distance', () => {
  test.each([
    [0, 'now'],
    [-30_000, '30 s ago'],
    [-MINUTE, '1 min ago'],
    [-(HOUR + 5 * MINUTE), '1 h 5 min ago'],
    [2 * DAY, 'in 2 d'],
    [2 * DAY + 3 * HOUR + 9 * MINUTE, 'in 2 d 3 h'],
    [DAY + 9 * MINUTE, 'in 1 d'],
  ])('%d ms: %s', (span, text) => {
    expect(distance(now + span, now)).toBe(text);
  });
});

test('times are in the zone asked for', () => {
  const times = createTimes({ zone: 'Europe/Berlin', now });
  expect(times.time(now - HOUR)).toContain('<time datetime="2026-11-30T11:00:00.000Z">Mon 30 Nov 2026 12:00</time>');
  expect(times.ago(new Date(now - HOUR))).toContain('title="Mon 30 Nov 2026 12:00 Europe/Berlin">1 h ago<');
  expect(times.time(null)).toBe('never');
});
