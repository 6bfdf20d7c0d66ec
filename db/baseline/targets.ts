/** Who is to be measured by what, and when next. */
import type { PoolClient } from 'pg';
import type { Held } from '../../domain/baseline/assignment.js';
import type { EpochMs } from '../../domain/time.js';
import type { Queryable } from '../pool.js';

export interface Target extends Held {
  readonly everyMinutes: number;
}

/** Makes the rows what was resolved: new ones are due at once, those that hold no more go. */
export async function replaceTargets(client: PoolClient, targets: readonly Target[]): Promise<void> {
  const rows = targets.map(({ endpointId, assignment, mode, inTrial, everyMinutes }) => ({
    endpoint_id: endpointId,
    checklist_id: assignment.checklistId,
    assignment_id: assignment.id,
    mode,
    every_minutes: everyMinutes,
    in_trial: inTrial,
  }));
  await client.query(
    `WITH wanted AS MATERIALIZED (
       SELECT DISTINCT ON (endpoint_id, checklist_id) * FROM jsonb_to_recordset($1::jsonb)
         AS t (endpoint_id uuid, checklist_id int, assignment_id uuid, mode text, every_minutes int, in_trial boolean)),
     gone AS (DELETE FROM assessment_target t WHERE NOT EXISTS (
       SELECT FROM wanted w WHERE w.endpoint_id = t.endpoint_id AND w.checklist_id = t.checklist_id))
     INSERT INTO assessment_target AS t (endpoint_id, checklist_id, assignment_id, mode, every_minutes, in_trial)
     SELECT endpoint_id, checklist_id, assignment_id, mode, every_minutes, in_trial FROM wanted
     ON CONFLICT (endpoint_id, checklist_id) DO UPDATE
       SET assignment_id = excluded.assignment_id, mode = excluded.mode, every_minutes = excluded.every_minutes,
           in_trial = excluded.in_trial
       WHERE (t.assignment_id, t.mode, t.every_minutes, t.in_trial)
         IS DISTINCT FROM (excluded.assignment_id, excluded.mode, excluded.every_minutes, excluded.in_trial)`,
    [JSON.stringify(rows)],
  );
}

export interface DueTarget {
  readonly endpointId: string;
  readonly checklistId: number;
  /** Ids of rules to watch between scans. */
  readonly critical: readonly string[];
}

/** Of an endpoint that can be measured and is: one that never was, whose time is over, that somebody asks for, or that a change touched. */
const DUE = `
  FROM assessment_target t JOIN endpoint e ON e.id = t.endpoint_id
  LEFT JOIN assessment a ON a.endpoint_id = t.endpoint_id AND a.checklist_id = t.checklist_id
  LEFT JOIN order_state o ON o.id = t.order_id
 WHERE e.state = 'active' AND e.agent -> 'providers' ? 'openscap' AND (t.order_id IS NULL OR o.phase = 'done')
   AND (t.wanted_at IS NOT NULL
     OR greatest(a.assessed_at, a.problem_at, t.ordered_at) IS NULL
     OR greatest(a.assessed_at, a.problem_at, t.ordered_at) + t.every_minutes * interval '1 minute' <= to_timestamp($1 / 1000.0)
     OR EXISTS (SELECT FROM order_state c WHERE c.endpoint_id = t.endpoint_id AND c.kind IN ('change', 'revert') AND c.phase = 'done'
                   AND c.started_at IS NOT NULL AND c.settled_at > coalesce(t.ordered_at, '-infinity')))`;

/** Due ones, under their rows' locks, so that two workers never order one twice. */
export async function takeDueTargets(
  client: PoolClient,
  args: { readonly now: EpochMs; readonly limit: number },
): Promise<DueTarget[]> {
  const { rows } = await client.query<DueTarget>(
    `SELECT t.endpoint_id AS "endpointId", t.checklist_id AS "checklistId",
            coalesce((SELECT g.critical FROM baseline_assignment g WHERE g.id = t.assignment_id), '{}') AS critical ${DUE}
      ORDER BY t.wanted_at NULLS LAST, t.ordered_at NULLS FIRST, t.endpoint_id LIMIT $2 FOR UPDATE OF t SKIP LOCKED`,
    [args.now, args.limit],
  );
  return rows;
}

/** Asks for an assessment by everything that holds for the endpoint. @returns how many checklists */
export async function wantAssessment(
  db: Queryable,
  args: {
    readonly endpointIds: readonly string[];
    readonly checklistId?: number;
    readonly by: string;
    readonly now: EpochMs;
  },
): Promise<number> {
  const { rowCount } = await db.query(
    `UPDATE assessment_target SET wanted_at = to_timestamp($3 / 1000.0), wanted_by = $4
      WHERE endpoint_id = ANY ($1) AND ($2::int IS NULL OR checklist_id = $2)`,
    [args.endpointIds, args.checklistId ?? null, args.now, args.by],
  );
  return rowCount ?? 0;
}

/** Whether somebody asked for an assessment that is not out yet. */
export async function isAnyWanted(db: Queryable): Promise<boolean> {
  const { rowCount } = await db.query(
    'SELECT FROM assessment_target WHERE wanted_at IS NOT NULL AND order_id IS NULL LIMIT 1',
  );
  return rowCount === 1;
}
