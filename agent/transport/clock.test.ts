import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { clockObjection, createServerClock, MAX_SKEW_MS } from './clock.js';

/** A world with a true time, and an agent whose monotonic clock stops in suspend and whose wall clock is off and set. */
function world(offset: number) {
  let real = 1_800_000_000_000;
  let mono = 5_000;
  let wallOffset = offset;
  const now = () => ({ mono, wall: real + wallOffset });
  return {
    now,
    real: () => real,
    pass: (ms: number) => {
      real += ms;
      mono += ms;
    },
    suspend: (ms: number) => {
      real += ms;
    },
    setWall: (by: number) => {
      wallOffset += by;
    },
    clock: createServerClock(now),
  };
}

describe('the latest the server can show', () => {
  test('is never below the true server time, whatever the delays and suspends', () => {
    const span = fc.integer({ min: 0, max: 600_000 });
    fc.assert(
      fc.property(fc.integer({ min: -1e9, max: 1e9 }), span, span, span, span, (offset, out, back, pass, sleep) => {
        const w = world(offset);
        const sent = w.now();
        w.pass(out);
        const serverTime = w.real();
        w.pass(back);
        w.clock.heard({ sent, serverTime });
        w.pass(pass);
        w.suspend(sleep);
        expect(w.clock.latest()).toBeGreaterThanOrEqual(w.real());
        expect(w.clock.latest()).toBeLessThanOrEqual(w.real() + out);
      }),
    );
  });

  test('is unmoved by a wall clock set back', () => {
    const w = world(0);
    w.clock.heard({ sent: w.now(), serverTime: w.real() });
    w.setWall(-3_600_000);
    w.pass(60_000);
    expect(w.clock.latest()).toBe(w.real());
  });

  test('is unknown before the first reply', () => {
    const w = world(0);
    expect(w.clock.latest()).toBeNull();
    expect(w.clock.estimate()).toBe(w.now().wall);
    expect(clockObjection(w.clock)).toBe("the server's time is not known yet");
  });
});

test('what was claimed to the server is never taken back by a better estimate', () => {
  const w = world(0);
  const slow = w.now();
  w.pass(20_000);
  w.clock.heard({ sent: slow, serverTime: w.real() });
  const claimed = w.clock.claim();
  expect(claimed).toBe(w.real() + 20_000);
  w.clock.heard({ sent: w.now(), serverTime: w.real() });
  expect(w.clock.latest()).toBe(claimed);
  w.pass(30_000);
  expect(w.clock.latest()).toBe(w.real());
});

describe('skew', () => {
  test.each([
    [0, null],
    [MAX_SKEW_MS, null],
    [-MAX_SKEW_MS, null],
    [600_000, "this endpoint's clock is 10 min ahead of the server's"],
    [-600_000, "this endpoint's clock is 10 min behind the server's"],
  ])('a clock %i ms off', (offset, objection) => {
    const w = world(offset);
    const sent = w.now();
    w.clock.heard({ sent, serverTime: w.real() });
    expect(clockObjection(w.clock)).toBe(objection);
  });

  test('a slow round trip alone is no skew', () => {
    const w = world(0);
    const sent = w.now();
    w.pass(300_000);
    const serverTime = w.real();
    w.pass(300_000);
    w.clock.heard({ sent, serverTime });
    expect(w.clock.skewMs()).toBe(0);
  });

  test('a clock set wrong after the reply is noticed at once', () => {
    const w = world(0);
    w.clock.heard({ sent: w.now(), serverTime: w.real() });
    w.setWall(600_000);
    expect(clockObjection(w.clock)).toBe("this endpoint's clock is 10 min ahead of the server's");
  });
});
