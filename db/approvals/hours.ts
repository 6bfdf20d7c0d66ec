import type { PolicyDocument } from '../../domain/policy/policy-set.js';
import type { Queryable } from '../pool.js';

/** Endpoints of a planned ring that share policy and zone. */
export interface HoursGroup {
  readonly policy: string;
  readonly document: PolicyDocument;
  readonly zone: string;
  readonly endpoints: number;
}

export async function readHoursGroups(
  db: Queryable,
  args: { readonly changeId: string; readonly ring: number },
): Promise<readonly HoursGroup[]> {
  const { rows } = await db.query<HoursGroup>(
    `SELECT s.name AS policy, s.document, e.zone, count(*)::int AS endpoints
     FROM plan_endpoint p JOIN endpoint e ON e.id = p.endpoint_id
     JOIN policy_set s ON s.id = p.policy_set_id AND s.version = p.policy_version
     WHERE p.change_id = $1 AND p.ring = $2 GROUP BY s.name, s.document, e.zone ORDER BY count(*) DESC, s.name, e.zone`,
    [args.changeId, args.ring],
  );
  return rows;
}
