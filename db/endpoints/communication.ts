/** When endpoints may be talked with, as rows: only those that a policy set restricts have one. */
import type { Communication } from '../../domain/policy/communication.js';
import type { EpochMs } from '../../domain/time.js';
import { epochMs } from '../epoch.js';
import type { Queryable } from '../pool.js';

const window = (opens: string, closes: string): string =>
  `CASE WHEN ${opens} IS NOT NULL THEN json_build_object('opens', ${epochMs(opens)}, 'closes', ${epochMs(closes)}) END`;

/** SQL: the {@link Communication} of endpoint `e`, of `e LEFT JOIN communication_window w`; null: always. */
export const COMMUNICATION = `CASE WHEN w.endpoint_id IS NULL THEN NULL
  WHEN w.opens IS NULL THEN json_build_object('never', coalesce(w.reason, 'not known'))
  ELSE json_build_object('window', ${window('w.opens', 'w.closes')}, 'later', ${window('w.later_opens', 'w.later_closes')}) END`;

/** SQL: whether this endpoint may be talked with at this time; one without a row may always. */
export const mayTalkAt = (endpointId: string, time: string): string =>
  `NOT EXISTS (SELECT FROM communication_window w WHERE w.endpoint_id = ${endpointId}
     AND NOT coalesce(w.opens <= ${time} AND ${time} < w.closes OR w.later_opens <= ${time} AND ${time} < w.later_closes, false))`;

/** Whether anything has to be resolved: a policy set in force says when, or rows of one that did are left; and what that depends on. */
export async function communicationState(
  db: Queryable,
  now: EpochMs,
): Promise<{ readonly restricted: boolean; readonly over: boolean; readonly edit: string }> {
  const { rows } = await db.query(
    `SELECT EXISTS (SELECT FROM communication_window)
              OR EXISTS (SELECT FROM policy_set WHERE retired_at IS NULL
                          AND document #> '{hours,communicate}' IS DISTINCT FROM '{"always": true}'::jsonb) AS restricted,
            EXISTS (SELECT FROM communication_window WHERE closes <= to_timestamp($1::float8 / 1000.0)) AS over,
            (SELECT count(*) || ' ' || count(retired_at) || ' ' || coalesce(max(created_at)::text, '') FROM policy_set) AS edit`,
    [now],
  );
  return rows[0];
}

/** Makes the rows exactly these. One writer at a time; another's turn is left to it. */
export async function replaceCommunication(
  db: Queryable,
  endpoints: readonly { readonly endpointId: string; readonly communication: Communication }[],
): Promise<void> {
  const { rows } = await db.query(`SELECT pg_try_advisory_xact_lock(hashtext('communication windows')) AS mine`);
  if (rows[0].mine !== true) return;
  const wanted = endpoints.map(({ endpointId: id, communication: known }) =>
    'never' in known
      ? { id, reason: known.never }
      : {
          id,
          opens: known.window.opens,
          closes: known.window.closes,
          later_opens: known.later?.opens,
          later_closes: known.later?.closes,
        },
  );
  await db.query(
    `WITH wanted AS MATERIALIZED (
       SELECT i.id, to_timestamp(i.opens / 1000.0) AS opens, to_timestamp(i.closes / 1000.0) AS closes,
              to_timestamp(i.later_opens / 1000.0) AS later_opens, to_timestamp(i.later_closes / 1000.0) AS later_closes, i.reason
         FROM jsonb_to_recordset($1::jsonb)
           AS i (id uuid, opens float8, closes float8, later_opens float8, later_closes float8, reason text)),
     gone AS (DELETE FROM communication_window w WHERE NOT EXISTS (SELECT FROM wanted i WHERE i.id = w.endpoint_id))
     INSERT INTO communication_window AS w (endpoint_id, opens, closes, later_opens, later_closes, reason)
     SELECT i.id, i.opens, i.closes, i.later_opens, i.later_closes, i.reason FROM wanted i
     ON CONFLICT (endpoint_id) DO UPDATE SET opens = excluded.opens, closes = excluded.closes, later_opens = excluded.later_opens,
            later_closes = excluded.later_closes, reason = excluded.reason
      WHERE (w.opens, w.closes, w.later_opens, w.later_closes, w.reason)
            IS DISTINCT FROM (excluded.opens, excluded.closes, excluded.later_opens, excluded.later_closes, excluded.reason)`,
    [JSON.stringify(wanted)],
  );
}
