import type { Queryable } from '../db/pool.js';
import type { InScope, ScopeEndpoint } from '../domain/change/scope.js';
import { decideScope, isFresh } from '../domain/change/scope.js';
import type { Group } from '../domain/fleet/selector.js';
import type { PolicySet } from '../domain/policy/policy-set.js';
import type { LoadedChange, StageDeps } from './stage-deps.js';

/** Who takes part, as things are now. */
export interface Survey {
  readonly included: readonly InScope[];
  /** Ids of the included. */
  readonly ids: readonly string[];
  readonly excluded: readonly { readonly endpointId: string; readonly reason: string }[];
  /** Of the included: without a recent and complete scan. */
  readonly stale: readonly ScopeEndpoint[];
  readonly groups: ReadonlyMap<string, Group>;
  readonly policies: readonly PolicySet[];
}

/** Resolves scope and policies in a few queries, whatever the size of the fleet; of endpoints, only those that can be in it. */
export async function survey(deps: StageDeps, loaded: LoadedChange, client: Queryable): Promise<Survey> {
  const { db } = deps;
  const { change, timing } = loaded;
  const concerned =
    change.zeroDayId === null
      ? change.spec.scope.ids
      : await db.loadExposedIds(client, { zeroDayId: change.zeroDayId, changeId: change.id });
  const [policies, groups, endpoints] = await Promise.all([
    db.loadPolicies(client),
    db.loadGroups(client),
    db.loadScopeEndpoints(client, concerned === undefined ? {} : { endpointIds: concerned }),
  ]);
  const { included, excluded } = decideScope({
    endpoints,
    scope: change.spec.scope,
    groups,
    policies,
    deadline: change.deadline,
  });
  const now = deps.clock();
  const stale = included.flatMap(({ endpoint }) => (isFresh(endpoint, now, timing.scanMaxAgeMs) ? [] : [endpoint]));
  return { included, ids: included.map(({ endpoint }) => endpoint.id), excluded, stale, groups, policies };
}
