import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { neverTouchPattern, parseLimits, windowOpen } from './limits.js';

const night = parseLimits(
  '{"windows":[{"days":["sat"],"from":"22:00","to":"04:00"},{"days":["mon","tue"],"from":"12:00","to":"13:00"}]}',
);

describe('own windows', () => {
  test.each([
    ['sat 21:59', 6, 21, 59, false],
    ['sat 22:00', 6, 22, 0, true],
    ['sun 03:59, begun on sat', 0, 3, 59, true],
    ['sun 04:00', 0, 4, 0, false],
    ['sun 22:00', 0, 22, 0, false],
    ['sat 03:00, before it opens', 6, 3, 0, false],
    ['mon 12:59', 1, 12, 59, true],
    ['mon 13:00', 1, 13, 0, false],
    ['wed 12:30', 3, 12, 30, false],
  ])('%s', (_, weekday, hour, minute, open) => {
    expect(windowOpen(night, { weekday, hour, minute })).toBe(open);
  });

  test('none given: always; an empty list: never; from = to: the whole day', () => {
    const at = { weekday: 3, hour: 12, minute: 0 };
    expect(windowOpen(parseLimits('{}'), at)).toBe(true);
    expect(windowOpen(parseLimits('{"windows":[]}'), at)).toBe(false);
    expect(windowOpen(parseLimits('{"windows":[{"days":["wed"],"from":"09:00","to":"09:00"}]}'), at)).toBe(true);
  });
});

test('never-touch patterns match whole names', () => {
  const limits = parseLimits('{"neverTouch":["linux-image-*","libc?","g++"]}');
  expect(neverTouchPattern(limits, 'linux-image-6.1.0-9-amd64')).toBe('linux-image-*');
  expect(neverTouchPattern(limits, 'libc6')).toBe('libc?');
  expect(neverTouchPattern(limits, 'g++')).toBe('g++');
  expect(neverTouchPattern(limits, 'libc')).toBeNull();
  expect(neverTouchPattern(limits, 'my-linux-image-1')).toBeNull();
});

describe('a file that is not as it should be holds everything', () => {
  test.each([
    ['', 'not JSON'],
    ['[]', 'not an object'],
    ['{"hold":1}', 'hold'],
    ['{"holdd":true}', 'holdd'],
    ['{"neverTouch":["a/b"]}', 'neverTouch'],
    ['{"windows":[{"days":["sat"],"from":"22:00"}]}', 'windows'],
    ['{"windows":[{"days":["samedi"],"from":"22:00","to":"23:00"}]}', 'windows'],
    ['{"windows":[{"days":["sat"],"from":"24:00","to":"23:00"}]}', 'windows'],
    ['{"windows":[{"days":[],"from":"21:00","to":"23:00"}]}', 'windows'],
  ])('%s', (text, why) => {
    const limits = parseLimits(text);
    expect(limits.malformed).toContain(why);
    expect(limits.hold).toContain("can't be understood");
  });

  test('any text is read without an exception', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (text) => typeof parseLimits(text).neverTouch.length === 'number'),
    );
  });
});

test('a hold, with and without a reason', () => {
  expect(parseLimits('{"hold":true}').hold).toBe("the owner's hold");
  expect(parseLimits('{"hold":"year-end closing"}').hold).toBe("the owner's hold: year-end closing");
  expect(parseLimits('{"hold":false}').hold).toBeNull();
});
