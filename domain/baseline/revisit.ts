/** How often endpoints are measured: what their policy set says, else once a day. */
import type { Group, Selectable } from '../fleet/selector.js';
import type { PolicySet } from '../policy/policy-set.js';
import { resolvePolicy } from '../policy/resolve.js';

export const DEFAULT_REVISIT_MINUTES = 24 * 60;

/** Minutes by endpoint id. */
export function revisitMinutes(args: {
  readonly endpoints: readonly Selectable[];
  readonly groups: ReadonlyMap<string, Group>;
  readonly policies: readonly PolicySet[];
}): Map<string, number> {
  const { groups, policies } = args;
  return new Map(
    args.endpoints.map((endpoint) => {
      const resolved = resolvePolicy({ endpoint, policies, groups });
      const minutes = resolved.kind === 'policy' ? resolved.policy.document.revisitMinutes : undefined;
      return [endpoint.id, minutes ?? DEFAULT_REVISIT_MINUTES];
    }),
  );
}
