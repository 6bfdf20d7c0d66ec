import type { EpochMs } from '../../domain/time.js';
import type { Queryable } from '../pool.js';

/** The fleet in numbers, for whoever looks at all of it. */
export interface FleetNumbers {
  readonly endpoints: number;
  readonly quarantined: number;
  readonly simulated: number;
  /** Active, and silent for longer than `silentSince` allows. */
  readonly silent: number;
  readonly withUpdates: number;
  readonly openChanges: number;
  readonly haltedChanges: number;
  /** Some change was asked for, whenever. */
  readonly everChanged: boolean;
  readonly openApprovals: number;
  readonly openIncidents: number;
  readonly groups: number;
  readonly policySets: number;
}

/** @param silentSince an endpoint last heard of before this counts as silent */
export async function readFleetNumbers(db: Queryable, silentSince: EpochMs): Promise<FleetNumbers> {
  const { rows } = await db.query<FleetNumbers>(
    `SELECT e.*, c.*,
            (SELECT count(DISTINCT endpoint_id)::int FROM available_update) AS "withUpdates",
            (SELECT count(*)::int FROM approval_request WHERE state = 'open') AS "openApprovals",
            (SELECT count(*)::int FROM incident WHERE closed_at IS NULL) AS "openIncidents",
            EXISTS (SELECT FROM change) AS "everChanged",
            (SELECT count(*)::int FROM endpoint_group) AS groups,
            (SELECT count(*)::int FROM policy_set WHERE retired_at IS NULL) AS "policySets"
       FROM (SELECT count(*) FILTER (WHERE state <> 'retired')::int AS endpoints,
                    count(*) FILTER (WHERE state = 'quarantined')::int AS quarantined,
                    count(*) FILTER (WHERE state <> 'retired' AND simulated)::int AS simulated,
                    count(*) FILTER (WHERE state = 'active'
                      AND coalesce(last_seen, enrolled_at) < to_timestamp($1::float8 / 1000.0))::int AS silent
               FROM endpoint) e,
            (SELECT count(*)::int AS "openChanges", count(*) FILTER (WHERE halted)::int AS "haltedChanges"
               FROM change WHERE closed_at IS NULL) c`,
    [silentSince],
  );
  return rows[0] as FleetNumbers;
}
