import type { Group, Selectable, Selector } from '../fleet/selector.js';
import { matches } from '../fleet/selector.js';
import type { PolicyResolution, PolicySet } from './policy-set.js';

/**
 * The policy set an endpoint is under: of those whose `appliesTo` matches, the one with the highest precedence. A tie at
 * the top is refused rather than guessed, and an endpoint no set applies to gets no change (fail closed).
 *
 * @returns the policy and why it applies ("from policy set Servers EU on group ERP"), or why none does.
 */
export function resolvePolicy(args: {
  readonly endpoint: Selectable;
  /** Current versions only, one per policy set. */
  readonly policies: readonly PolicySet[];
  readonly groups: ReadonlyMap<string, Group>;
}): PolicyResolution {
  const { endpoint, groups } = args;
  const applying = args.policies.filter((policy) => matches({ endpoint, selector: policy.document.appliesTo, groups }));
  const highest = Math.max(...applying.map((policy) => policy.precedence));
  const [policy, ...rivals] = applying.filter((candidate) => candidate.precedence === highest);
  if (policy === undefined) {
    // A precedence that is not a number wins nothing; it must not silently let a lower one through.
    return applying.length === 0
      ? { kind: 'none', reason: 'no policy set applies' }
      : { kind: 'none', reason: `a policy set that applies has no usable precedence: ${names(applying)}` };
  }
  if (rivals.length > 0) {
    return {
      kind: 'none',
      reason: `policy sets ${names([policy, ...rivals])} apply with the same precedence ${highest}: give one of them more`,
    };
  }
  const where = describeMatch({ endpoint, selector: policy.document.appliesTo, groups });
  return { kind: 'policy', policy, reason: `from policy set ${policy.name} on ${where}` };
}

/** Which part of a matching selector matched, in words. */
export function describeMatch(args: {
  readonly endpoint: Selectable;
  readonly selector: Selector;
  readonly groups: ReadonlyMap<string, Group>;
}): string {
  const { endpoint, selector, groups } = args;
  const parts: string[] = [];
  if (selector.groups !== undefined) {
    const via = selector.groups.filter((name) => matches({ endpoint, selector: { groups: [name] }, groups }));
    parts.push(`group ${via.join(', ')}`);
  }
  if (selector.labels !== undefined) {
    const labels = Object.entries(selector.labels).map(([key, value]) => `${key}=${value}`);
    parts.push(labels.length === 0 ? 'any labels' : `label ${labels.join(', ')}`);
  }
  if (selector.where !== undefined) parts.push(`endpoints where ${selector.where}`);
  if (selector.names !== undefined || selector.ids !== undefined) parts.push(`endpoint ${endpoint.name}`);
  if (parts.length === 0 && selector.all === true) parts.push('every endpoint');
  return parts.join(' and ');
}

const names = (policies: readonly PolicySet[]): string =>
  policies
    .map((policy) => policy.name)
    .sort()
    .join(', ');
