import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import fc from 'fast-check';
import { createAgenda } from './agenda.js';
import { parseReply } from './connections.js';

beforeEach(() => void jest.useFakeTimers({ now: 0 }));
afterEach(() => void jest.useRealTimers());

test('everything comes when it is due, in the order of its times', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 200_000 }), { maxLength: 200 }), (times) => {
      jest.setSystemTime(0);
      const came: number[] = [];
      const agenda = createAgenda<number>({
        now: Date.now,
        due: (at) => {
          expect(Date.now()).toBeGreaterThanOrEqual(at);
          came.push(at);
        },
      });
      for (const at of times) agenda.add(at, at);
      jest.advanceTimersByTime(300_000);
      expect(came).toEqual([...times].sort((a, b) => a - b));
      agenda.stop();
    }),
    { numRuns: 50 },
  );
});

test.each([
  ['content-length: 5\r\n', 'hello'],
  ['transfer-encoding: chunked\r\n', '3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n'],
])('a reply is read once it is whole: %j', (header, body) => {
  const whole = Buffer.from(`HTTP/1.1 200 OK\r\n${header}\r\n${body}`);
  for (let length = 0; length < whole.length; length++) expect(parseReply(whole.subarray(0, length))).toBeNull();
  expect(parseReply(whole)).toMatchObject({ status: 200, closes: false, body: Buffer.from('hello') });
});
