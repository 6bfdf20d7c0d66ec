/** Keeps, for endpoints whose policy set says when they may be talked with, when that is next. Costs one small query where none does. */
import type { Pool } from 'pg';
import { communicationState, replaceCommunication } from '../db/endpoints/communication.js';
import { loadSelectables } from '../db/endpoints/selectable.js';
import { loadGroups, loadPolicies } from '../db/policy/load.js';
import { inTransaction } from '../db/pool.js';
import { type Communication, communicationOf } from '../domain/policy/communication.js';
import { resolvePolicy } from '../domain/policy/resolve.js';
import { type EpochMs, SECOND } from '../domain/time.js';
import type { Duty } from './loops.js';

const EVERY_MS = 5 * SECOND;
/** Endpoints come, go and change labels. */
const RESOLVE_EVERY_MS = 60 * SECOND;
/** It goes over all endpoints: with so many that it takes long, it is done so much more rarely. */
const RESOLVE_SHARE = 1 / 50;

export function communicationDuty(deps: { readonly pool: Pool; readonly clock: () => EpochMs }): Duty {
  const { pool, clock } = deps;
  let seen = '';
  let resolved = 0;
  let pause = RESOLVE_EVERY_MS;
  return {
    name: 'communication',
    everyMs: EVERY_MS,
    run: async () => {
      const now = clock();
      const { restricted, over, edit } = await communicationState(pool, now);
      if (!restricted || (edit === seen && !over && now - resolved < pause)) return false;
      await resolveCommunication(pool, now);
      seen = edit;
      resolved = now;
      pause = Math.max(RESOLVE_EVERY_MS, (clock() - now) / RESOLVE_SHARE);
      return false;
    },
  };
}

/** Resolves the hours of communication once per policy set and zone, and writes them where they differ. */
export async function resolveCommunication(pool: Pool, now: EpochMs): Promise<void> {
  const [endpoints, groups, policies] = await Promise.all([
    loadSelectables(pool, {}),
    loadGroups(pool),
    loadPolicies(pool),
  ]);
  const known = new Map<string, Communication | null>();
  const rows = endpoints.flatMap((endpoint) => {
    if (endpoint.traits?.text.state?.includes('retired') === true) return [];
    const found = resolvePolicy({ endpoint, policies, groups });
    if (found.kind === 'none') return [];
    const zone = endpoint.traits?.text.zone?.[0] ?? 'UTC';
    const key = `${found.policy.id} ${zone}`;
    let communication = known.get(key);
    if (communication === undefined) {
      communication = communicationOf({ policy: found.policy.document, zone, now });
      known.set(key, communication);
    }
    return communication === null ? [] : [{ endpointId: endpoint.id, communication }];
  });
  await inTransaction(pool, (client) => replaceCommunication(client, rows));
}
