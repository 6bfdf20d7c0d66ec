import { describe, expect, test } from '@jest/globals';
import { LabUnavailable } from './requirements.js';
import { upstreamsFrom } from './sources.js';

describe('where packages come from', () => {
  test('each archive is where apt has it', () => {
    const listing = [
      'http://a.example/debian bookworm',
      'http://b.example/debian/ bookworm-updates',
      'http://c.example/security bookworm-security',
      'http://d.example/other stable',
    ].join('\n');
    expect(Object.fromEntries(upstreamsFrom(listing, 'bookworm'))).toEqual({
      debian: 'http://a.example/debian',
      'debian-updates': 'http://b.example/debian',
      'debian-security': 'http://c.example/security',
    });
  });

  test('a machine on a later release: the same mirror', () => {
    const listing = 'http://a.example/debian trixie\nhttp://a.example/sec trixie-security';
    expect(upstreamsFrom(listing, 'trixie').get('debian-updates')).toBe('http://a.example/debian');
  });

  test.each([
    ['', /no bookworm or trixie suite/],
    ['http://a.example/debian trixie', /no bookworm-security suite/],
  ])('%j is not enough', (listing, message) => {
    expect(() => upstreamsFrom(listing, 'trixie')).toThrow(LabUnavailable);
    expect(() => upstreamsFrom(listing, 'trixie')).toThrow(message);
  });
});
