import { matches } from '../../domain/fleet/selector.js';
import { resolvePolicy } from '../../domain/policy/resolve.js';
import type { Queryable } from '../pool.js';
import { walkFleet } from '../read/selected.js';
import { loadGroups, loadPolicies } from './load.js';

/** Endpoints by what a policy set is to them now. */
export interface PolicyReach {
  readonly selected: number;
  readonly inForce: number;
  /** Another with more precedence is in force. */
  readonly overruled: number;
  /** None is in force, for it ties with another. */
  readonly tied: number;
}

/** @returns null when no policy set of that name is in force. Reads the fleet in batches, whatever its size. */
export async function policyReachOf(db: Queryable, name: string): Promise<PolicyReach | null> {
  const [policies, groups] = [await loadPolicies(db), await loadGroups(db)];
  const policy = policies.find((one) => one.name === name);
  if (policy === undefined) return null;
  const reach = { selected: 0, inForce: 0, overruled: 0, tied: 0 };
  for await (const endpoint of walkFleet(db)) {
    if (endpoint.traits?.text.state?.includes('retired') === true) continue;
    if (!matches({ endpoint, selector: policy.document.appliesTo, groups })) continue;
    reach.selected += 1;
    const resolved = resolvePolicy({ endpoint, policies, groups });
    if (resolved.kind === 'none') reach.tied += 1;
    else if (resolved.policy.id === policy.id) reach.inForce += 1;
    else reach.overruled += 1;
  }
  return reach;
}
