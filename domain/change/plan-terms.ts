import type { JsonValue } from '../content/canonical.js';
import type { PlanHeader, PlanRing } from '../content/plan.js';
import type { EpochMs } from '../time.js';
import { overridesAnything } from './override.js';
import type { ChangeSpec, RingSpec } from './spec.js';

/**
 * What approvers agree to besides endpoints and versions: the rings' terms, budgets and halt actions, and what was asked
 * for. Part of the plan's digest.
 */
export function planHeader(args: {
  readonly changeId: string;
  readonly spec: ChangeSpec;
  readonly deadline: EpochMs;
}): PlanHeader {
  const { spec } = args;
  return {
    changeId: args.changeId,
    kind: spec.kind,
    deadline: args.deadline,
    rings: spec.rings.map(ringTerms),
    budgets: {
      priority: digestible(spec.priority),
      parameters: digestible(spec.parameters),
      // Named only where something is set aside: plans of old keep their digests.
      ...(spec.override !== undefined && overridesAnything(spec.override) && { override: digestible(spec.override) }),
    },
  };
}

function ringTerms(ring: RingSpec, ordinal: number): PlanRing {
  const { name, haltAction, ...terms } = ring;
  return { ordinal, name, haltAction, terms: digestible(terms) as { readonly [key: string]: JsonValue } };
}

/** Fractions as text: a digest needs one form of each value, and 12.5 percent has several as a number. */
function digestible(value: unknown): JsonValue {
  if (typeof value === 'number') return Number.isSafeInteger(value) ? value : String(value);
  if (Array.isArray(value)) return value.map(digestible);
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value).filter(([, item]) => item !== undefined);
    return Object.fromEntries(entries.map(([key, item]) => [key, digestible(item)]));
  }
  return (value ?? null) as JsonValue;
}
