import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { admit, type Candidate } from './admit.js';

const candidates = fc.array(
  fc.record({
    orderId: fc.uuid(),
    endpointId: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', 'g'),
    groups: fc.uniqueArray(fc.constantFrom('q1', 'q2', 'q3', 'unknown'), { maxLength: 3 }),
  }),
  { maxLength: 30 },
);
const room = fc
  .record({ q1: fc.nat(5), q2: fc.nat(5), q3: fc.integer({ min: -2, max: 2 }) })
  .map((groups) => new Map(Object.entries(groups)));

const taking = (all: readonly Candidate[], ids: readonly string[]) => all.filter((c) => ids.includes(c.orderId));

describe('admit', () => {
  it('never exceeds quota, one per endpoint, or what a group can do without', () => {
    fc.assert(
      fc.property(fc.integer({ min: -1, max: 10 }), candidates, room, (quota, all, left) => {
        const taken = taking(all, admit({ quota, candidates: all, room: left }));
        expect(taken.length).toBeLessThanOrEqual(Math.max(0, quota));
        expect(new Set(taken.map((c) => c.endpointId)).size).toBe(taken.length);
        for (const group of ['q1', 'q2', 'q3', 'unknown']) {
          const away = taken.filter((c) => c.groups.includes(group)).length;
          expect(away).toBeLessThanOrEqual(Math.max(0, left.get(group) ?? 0));
        }
      }),
    );
  });

  it('leaves nobody out who would still fit', () => {
    fc.assert(
      fc.property(fc.nat(10), candidates, room, (quota, all, left) => {
        const taken = taking(all, admit({ quota, candidates: all, room: left }));
        if (taken.length >= quota) return;
        const used = (group: string) => taken.filter((c) => c.groups.includes(group)).length;
        for (const candidate of all.filter((c) => !taken.includes(c))) {
          const blocked =
            taken.some((c) => c.endpointId === candidate.endpointId) ||
            candidate.groups.some((group) => (left.get(group) ?? 0) - used(group) < 1);
          expect(blocked).toBe(true);
        }
      }),
    );
  });

  it('keeps the order of the queue', () => {
    const queue = ['1', '2', '3'].map((n) => ({ orderId: n, endpointId: n, groups: n === '1' ? ['full'] : [] }));
    expect(admit({ quota: 1, candidates: queue, room: new Map([['full', 0]]) })).toEqual(['2']);
  });
});
