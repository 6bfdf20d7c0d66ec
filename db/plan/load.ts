import type { FrozenPlan, PlanHeader, UpdateSet } from '../../domain/content/index.js';
import type { Queryable } from '../pool.js';

/** An endpoint's row of the plan in force. */
export interface PlannedEndpoint {
  readonly endpointId: string;
  readonly ring: number | null;
  readonly wave: number;
  readonly updateSetDigest: string | null;
  readonly policyVersion: string | null;
  readonly skippedBy: string | null;
  readonly reason: string | null;
}

export interface PlanInForce {
  readonly revision: number;
  readonly digest: string;
  readonly widened: boolean;
  readonly requestKey: string | null;
  readonly header: PlanHeader;
}

/** The newest plan of a change, or null before the first. */
export async function loadPlan(db: Queryable, changeId: string): Promise<PlanInForce | null> {
  const { rows } = await db.query(
    `SELECT revision, digest, header, widened, request_key FROM plan WHERE change_id = $1 ORDER BY revision DESC LIMIT 1`,
    [changeId],
  );
  const row = rows[0];
  if (row === undefined) return null;
  return {
    revision: row.revision,
    digest: row.digest,
    header: row.header,
    widened: row.widened,
    requestKey: row.request_key,
  };
}

/** Every endpoint the plan in force speaks of, in rings or left out. */
export async function loadPlannedEndpoints(db: Queryable, changeId: string): Promise<PlannedEndpoint[]> {
  const { rows } = await db.query(
    `SELECT endpoint_id, ring, wave, update_set_digest, policy_set_id || '@' || policy_version AS policy_version,
            skipped_by, reason
       FROM plan_endpoint WHERE change_id = $1 ORDER BY endpoint_id`,
    [changeId],
  );
  return rows.map((row) => ({
    endpointId: row.endpoint_id,
    ring: row.ring,
    wave: row.wave,
    updateSetDigest: row.update_set_digest,
    policyVersion: row.policy_version,
    skippedBy: row.skipped_by,
    reason: row.reason,
  }));
}

/** Update sets by digest. */
export async function loadUpdateSets(db: Queryable, digests: readonly string[]): Promise<Map<string, UpdateSet>> {
  const { rows } = await db.query('SELECT digest, items FROM update_set WHERE digest = ANY ($1)', [digests]);
  return new Map(rows.map((row) => [row.digest, { digest: row.digest, updates: row.items }]));
}

/** The plan in force as it was frozen, for comparison with another. */
export async function loadFrozenPlan(
  db: Queryable,
  args: { readonly plan: PlanInForce; readonly endpoints: readonly PlannedEndpoint[] },
): Promise<FrozenPlan> {
  const entries = args.endpoints.flatMap(({ endpointId, ring, updateSetDigest, policyVersion }) =>
    ring === null || updateSetDigest === null || policyVersion === null
      ? []
      : [{ endpointId, ring, updateSetDigest, policyVersion }],
  );
  const updateSets = await loadUpdateSets(db, [...new Set(entries.map((entry) => entry.updateSetDigest))]);
  return { header: args.plan.header, digest: args.plan.digest, entries, updateSets };
}
