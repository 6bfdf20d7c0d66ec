import { describe, expect, test } from '@jest/globals';
import { HOUR, MINUTE } from '../time.js';
import { type ProjectedEndpoint, type ProjectedHours, projectRings, worstCaseFailures } from './projection.js';
import type { RingSpec } from './spec.js';

const ring = (over: Partial<RingSpec> = {}): RingSpec => ({
  name: 'r',
  select: { sharePercent: 100 },
  maxInFlight: 100,
  errorBudget: { count: 0 },
  successThresholdPercent: 100,
  minSample: 0,
  soakMinutes: 0,
  approvals: [],
  deadlineMinutes: 6_000,
  haltAction: 'pause',
  ...over,
});
/** Open from `opens` to `closes` each day; 10 minutes per order. */
const daily = (opens: number, closes: number): ProjectedHours => ({
  needMs: 10 * MINUTE,
  next: (at) => {
    for (let day = Math.floor(at / (24 * HOUR)) - 1; ; day += 1) {
      const from = day * 24 * HOUR + opens;
      const lastStart = day * 24 * HOUR + closes - 10 * MINUTE;
      if (lastStart >= at) return { opens: from, lastStart, closes: lastStart + 10 * MINUTE };
    }
  },
});
const always: ProjectedHours = {
  needMs: 10 * MINUTE,
  next: (at) => ({ opens: at, lastStart: at + 1e12, closes: at + 1e12 + 10 * MINUTE }),
};
const never: ProjectedHours = { needMs: 10 * MINUTE, next: () => ({ never: 'the list of windows is empty' }) };
const endpoints = (n: number, over: Partial<ProjectedEndpoint> = {}): ProjectedEndpoint[] =>
  Array.from({ length: n }, (_, i) => ({
    id: `e${i}`,
    wave: 0,
    hours: 0,
    notBefore: null,
    offline: false,
    quorums: [],
    ...over,
  }));
const project = (args: {
  spec?: Partial<RingSpec>;
  endpoints: ProjectedEndpoint[];
  hours?: ProjectedHours[];
  deadline?: number;
  quorums?: ReadonlyMap<string, number>;
}) =>
  projectRings({
    now: 0,
    deadline: args.deadline ?? 100 * HOUR,
    rings: [{ spec: ring(args.spec), endpoints: args.endpoints }],
    hours: args.hours ?? [always],
    quorums: args.quorums ?? new Map(),
  });

describe('projectRings', () => {
  // Slow start doubles with successes: 1, 2, 4, 8 … begin together, and each round takes 10 minutes.
  test.each([
    [1, 100, 1],
    [3, 100, 2],
    [7, 100, 3],
    [8, 100, 4],
    [7, 2, 4],
    [5, 1, 5],
  ])('%i endpoints with at most %i in flight take %i rounds', (n, maxInFlight, rounds) => {
    const { rings } = project({ endpoints: endpoints(n), spec: { maxInFlight, soakMinutes: 5 } });
    expect(rings[0]).toMatchObject({
      begins: 0,
      finishes: rounds * 10 * MINUTE,
      passed: rounds * 10 * MINUTE + 5 * MINUTE,
      inRing: n,
    });
  });

  test('waves settle one after another', () => {
    const both = [...endpoints(1), ...endpoints(1, { id: 'late', wave: 1 })];
    expect(project({ endpoints: both }).rings[0]?.finishes).toBe(20 * MINUTE);
  });

  test('a quorum of one goes one by one', () => {
    const found = project({ endpoints: endpoints(7, { quorums: ['q'] }), quorums: new Map([['q', 1]]) });
    expect(found.rings[0]?.finishes).toBe(70 * MINUTE);
  });

  test('what does not fit into a window goes on in the next', () => {
    // Two rounds a day: 10 minutes each between 1:00 and 1:20.
    const found = project({
      endpoints: endpoints(3),
      spec: { maxInFlight: 1 },
      hours: [daily(HOUR, HOUR + 20 * MINUTE)],
    });
    expect(found.rings[0]).toMatchObject({ begins: HOUR, finishes: 25 * HOUR + 10 * MINUTE });
  });

  test.each<[string, Parameters<typeof project>[0], boolean, RegExp]>([
    ['no window', { endpoints: endpoints(1), hours: [never] }, false, /no window: the list/],
    [
      'a window after the deadline',
      { endpoints: endpoints(1), hours: [daily(5 * HOUR, 6 * HOUR)], deadline: HOUR },
      false,
      /only after the change’s deadline/,
    ],
    ['a hold beyond the deadline', { endpoints: endpoints(1, { notBefore: 200 * HOUR }) }, false, /only after/],
    ['silence', { endpoints: endpoints(1, { offline: true }) }, true, /silent/],
    [
      'a ring too short for its window',
      { endpoints: endpoints(1), spec: { deadlineMinutes: 60 }, hours: [daily(5 * HOUR, 6 * HOUR)] },
      true,
      /ring’s deadline/,
    ],
  ])('%s leaves an endpoint behind', (_, args, inTime, reason) => {
    const { leftBehind, rings } = project(args);
    expect(leftBehind).toEqual([
      expect.objectContaining({ endpointId: 'e0', inTime, reason: expect.stringMatching(reason) }),
    ]);
    expect(rings[0]?.begins).toBeNull();
  });

  test('the next ring begins after the soak of the one before', () => {
    const spec = ring({ soakMinutes: 60 });
    const rings = [
      { spec, endpoints: endpoints(1) },
      { spec, endpoints: endpoints(1) },
    ];
    const found = projectRings({ now: 0, deadline: 100 * HOUR, rings, hours: [always], quorums: new Map() });
    expect(found.rings[1]?.begins).toBe(70 * MINUTE);
    expect(found.finishes).toBe(140 * MINUTE);
  });
});

test.each<[Partial<RingSpec>, number, number]>([
  [{ errorBudget: { count: 2 }, maxInFlight: 5 }, 100, 7],
  [{ errorBudget: { count: 2 }, maxInFlight: 5 }, 4, 4],
  [{ errorBudget: { percent: 10 }, maxInFlight: 5, disruptionBudget: 3 }, 100, 3],
])('worstCaseFailures %j of %i: %i', (spec, planned, worst) => {
  expect(worstCaseFailures(ring(spec), planned)).toBe(worst);
});
