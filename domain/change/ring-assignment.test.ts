import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { Group, Selectable } from '../fleet/selector.js';
import type { RingAssignmentResult, RingPlace } from './ring-assignment.js';
import { assignRings } from './ring-assignment.js';
import type { RingSpec } from './spec.js';

const ring = (name: string, select: RingSpec['select'], hostOrder?: RingSpec['hostOrder']): RingSpec => ({
  name,
  select,
  maxInFlight: 5,
  errorBudget: { count: 0 },
  successThresholdPercent: 100,
  minSample: 1,
  soakMinutes: 0,
  approvals: [],
  deadlineMinutes: 60,
  haltAction: 'pause',
  hostOrder,
});
const fleet = (count: number): Selectable[] =>
  Array.from({ length: count }, (_, i) => ({
    id: `e-${i}`,
    name: `host-${i}`,
    labels: { kind: i % 3 === 0 ? 'db' : 'web' },
  }));
const groups = new Map<string, Group>([['databases', { name: 'databases', selector: { labels: { kind: 'db' } } }]]);

function assigned(result: RingAssignmentResult): Extract<RingAssignmentResult, { kind: 'assigned' }> {
  if (result.kind !== 'assigned') throw new Error(result.reason);
  return result;
}
const inRing = (places: readonly RingPlace[], ordinal: number) => places.filter((p) => p.ring === ordinal);

describe('assignRings', () => {
  test('a ring by selector, a share of what it left, the rest', () => {
    const rings = [
      ring('db', { groups: ['databases'] }),
      ring('some', { sharePercent: 25 }),
      ring('rest', { all: true }),
    ];
    const { placed, unplaced } = assigned(assignRings({ changeId: 'c', rings, endpoints: fleet(30), groups }));
    expect([0, 1, 2].map((n) => inRing(placed, n).length)).toEqual([10, 5, 15]);
    expect(unplaced).toEqual([]);
  });

  test('what no ring selects is listed with the reason', () => {
    const rings = [ring('db', { groups: ['databases'] })];
    const { placed, unplaced } = assigned(assignRings({ changeId: 'c', rings, endpoints: fleet(3), groups }));
    expect(placed.map((p) => p.endpointId)).toEqual(['e-0']);
    expect(unplaced).toContainEqual({ endpointId: 'e-1', reason: 'no ring selects it' });
    expect(unplaced).toHaveLength(2);
  });

  test('host order becomes waves; what it does not name goes last', () => {
    const rings = [ring('all', { all: true }, [{ names: ['host-2'] }, { groups: ['databases'] }])];
    const { placed } = assigned(assignRings({ changeId: 'c', rings, endpoints: fleet(4), groups }));
    expect(Object.fromEntries(placed.map((p) => [p.endpointId, p.wave]))).toEqual({
      'e-0': 1,
      'e-1': 2,
      'e-2': 0,
      'e-3': 1,
    });
  });

  test.each([[-1], [100.5], [Number.NaN]])('a share of %d percent is refused', (sharePercent) => {
    const rings = [ring('odd', { sharePercent }), ring('rest', { all: true })];
    const result = assignRings({ changeId: 'c', rings, endpoints: fleet(3), groups });
    expect(result).toEqual({
      kind: 'malformed',
      reason: `ring odd has a share of ${sharePercent} percent: it must be 0 to 100`,
    });
  });

  test('a re-plan leaves endpoints where they were and opens no closed ring to newcomers', () => {
    const rings = [ring('canary', { sharePercent: 50 }), ring('rest', { sharePercent: 100 })];
    const first = assigned(assignRings({ changeId: 'c', rings, endpoints: fleet(6), groups })).placed;
    const keep = new Map(first.map((p) => [p.endpointId, p.ring]));
    const again = assigned(
      assignRings({ changeId: 'c', rings, endpoints: fleet(10).slice(2), groups, keep, closedRings: new Set([0]) }),
    ).placed;
    for (const place of again) expect(place.ring).toBe(keep.get(place.endpointId) ?? 1);
    expect(again).toHaveLength(8);
  });

  test('property: each endpoint is in exactly one place, shares hold within rounding, the order of input is irrelevant', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 60 }),
        fc.array(fc.oneof(fc.integer({ min: 0, max: 100 }), fc.constant(null)), { minLength: 1, maxLength: 5 }),
        fc.uuid(),
        (count, shares, changeId) => {
          const rings = shares.map((share, i) =>
            ring(`r${i}`, share === null ? { groups: ['databases'] } : { sharePercent: share }),
          );
          const result = assigned(assignRings({ changeId, rings, endpoints: fleet(count), groups }));
          const everyone = [...result.placed, ...result.unplaced].map((p) => p.endpointId);
          expect(new Set(everyone).size).toBe(count);
          expect(everyone).toHaveLength(count);
          let left = count;
          for (const [ordinal, share] of shares.entries()) {
            const got = inRing(result.placed, ordinal).length;
            if (share !== null) expect(Math.abs(got - (left * share) / 100)).toBeLessThan(1);
            if (share !== null && share > 0 && left > 0) expect(got).toBeGreaterThan(0);
            left -= got;
          }
          const reversed = assigned(assignRings({ changeId, rings, endpoints: fleet(count).reverse(), groups }));
          const sorted = (places: readonly RingPlace[]) =>
            [...places].sort((a, b) => (a.endpointId < b.endpointId ? -1 : 1));
          expect(sorted(reversed.placed)).toEqual(sorted(result.placed));
        },
      ),
    );
  });
});
