import type { ChangeSpec, Limit, RingSpec } from './spec.js';

/** A limit as a count. Percent is of `of`, rounded down; what is not a limit allows nothing (fail closed). */
export function limitCount(limit: Limit, of: number): number {
  if ('count' in limit) return Number.isSafeInteger(limit.count) && limit.count >= 0 ? limit.count : 0;
  return limit.percent >= 0 && limit.percent <= 100 ? Math.floor((of * limit.percent) / 100) : 0;
}

/**
 * The terms of the lane in which endpoints that missed their ring are caught up: what the rings' policies have agreed to,
 * taken together. It asks for no approval of its own, for each endpoint in it was approved with its ring.
 *
 * @param planned endpoints per ring, by ordinal.
 */
export function stragglersSpec(spec: ChangeSpec, planned: readonly number[]): RingSpec {
  return {
    name: 'Stragglers',
    // Selects nobody: endpoints are moved here.
    select: {},
    maxInFlight: Math.max(1, ...spec.rings.map((ring) => ring.maxInFlight)),
    errorBudget: {
      count: spec.rings.reduce((sum, ring, ordinal) => sum + limitCount(ring.errorBudget, planned[ordinal] ?? 0), 0),
    },
    successThresholdPercent: 0,
    minSample: 0,
    soakMinutes: 0,
    approvals: [],
    deadlineMinutes: spec.deadlineMinutes,
    haltAction: 'pause',
  };
}
