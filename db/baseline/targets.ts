/** Who is to be measured by what, and when next. */
import type { PoolClient } from 'pg';
import type { Held } from '../../domain/baseline/assignment.js';
import { OPENSCAP } from '../../domain/baseline/rule-name.js';
import type { EpochMs } from '../../domain/time.js';
import type { Queryable } from '../pool.js';
import { CARRY_MARKS } from './false-positives.js';

export interface Target extends Held {
  readonly everyMinutes: number;
}

/** SQL of what a target becomes when somebody asks for it: due before all others. @param at SQL of the time it was asked */
export const askedAt = (at: string): string => `wanted_at = ${at}, due_at = '-infinity'`;
/** SQL of when a target `t` is due after it was ordered, measured or tried at this time. */
const nextAfter = (at: string): string => `${at} + t.every_minutes * interval '1 minute'`;
/** An order that ended without an answer, though somebody waits for one, is tried again after so long. */
const RETRY = "interval '10 minutes'";

/**
 * Makes the rows what was resolved: new ones are due at once and keep what people marked as wrong, those that hold no more go. What is as it was is neither written nor locked.
 * Rows are locked in the order of their keys, as wherever several are.
 */
export async function replaceTargets(
  client: PoolClient,
  args: { readonly targets: readonly Target[]; readonly now: EpochMs },
): Promise<void> {
  const rows = args.targets.map(({ endpointId, assignment, mode, inTrial, everyMinutes }) => ({
    endpoint_id: endpointId,
    checklist_id: assignment.checklistId,
    assignment_id: assignment.id,
    mode,
    every_minutes: everyMinutes,
    in_trial: inTrial,
  }));
  const once = [...new Map(rows.toReversed().map((row) => [`${row.endpoint_id} ${row.checklist_id}`, row])).values()];
  await client.query(
    `WITH wanted AS MATERIALIZED (
       SELECT w.*, e.state = 'active' AND coalesce(e.agent -> 'providers' ? $3, false) AS able FROM jsonb_to_recordset($1::jsonb)
           AS w (endpoint_id uuid, checklist_id int, assignment_id uuid, mode text, every_minutes int, in_trial boolean)
         JOIN endpoint e ON e.id = w.endpoint_id),
     differing AS MATERIALIZED (
       SELECT t.endpoint_id, t.checklist_id, w.endpoint_id IS NULL AS gone, w.assignment_id, w.mode, w.every_minutes, w.in_trial, w.able
         FROM assessment_target t LEFT JOIN wanted w USING (endpoint_id, checklist_id)
        WHERE (t.assignment_id, t.mode, t.every_minutes, t.in_trial, t.able)
              IS DISTINCT FROM (w.assignment_id, w.mode, w.every_minutes, w.in_trial, w.able)
        ORDER BY 1, 2 FOR UPDATE OF t),
     gone AS (
       DELETE FROM assessment_target t USING differing d WHERE d.gone AND t.endpoint_id = d.endpoint_id AND t.checklist_id = d.checklist_id),
     changed AS (
       UPDATE assessment_target t
          SET assignment_id = d.assignment_id, mode = d.mode, every_minutes = d.every_minutes, in_trial = d.in_trial, able = d.able,
              due_at = CASE WHEN t.due_at <= to_timestamp($2 / 1000.0) THEN t.due_at
                            ELSE t.due_at + (d.every_minutes - t.every_minutes) * interval '1 minute' END
         FROM differing d WHERE NOT d.gone AND t.endpoint_id = d.endpoint_id AND t.checklist_id = d.checklist_id),
     made AS (
       INSERT INTO assessment_target AS t (endpoint_id, checklist_id, assignment_id, mode, every_minutes, in_trial, able, due_at)
       SELECT w.endpoint_id, w.checklist_id, w.assignment_id, w.mode, w.every_minutes, w.in_trial, w.able,
              coalesce(greatest(a.assessed_at, a.problem_at) + w.every_minutes * interval '1 minute', to_timestamp($2 / 1000.0))
         FROM wanted w LEFT JOIN assessment a USING (endpoint_id, checklist_id)
        WHERE NOT EXISTS (SELECT FROM assessment_target t WHERE t.endpoint_id = w.endpoint_id AND t.checklist_id = w.checklist_id)
       ON CONFLICT (endpoint_id, checklist_id) DO NOTHING RETURNING endpoint_id, checklist_id)
     ${CARRY_MARKS}`,
    [JSON.stringify(once), args.now, OPENSCAP],
  );
}

export interface DueTarget {
  readonly endpointId: string;
  readonly checklistId: number;
  /** Ids of rules to watch between scans. */
  readonly critical: readonly string[];
}

/** SQL from FROM on: targets `t` that are due and can be measured. */
const due = (args: { readonly now: string; readonly scanner: string }): string => `
       FROM assessment_target t JOIN endpoint e ON e.id = t.endpoint_id
       JOIN checklist c ON c.id = t.checklist_id JOIN baseline_version v ON v.id = c.version_id
      WHERE t.able AND t.order_id IS NULL AND t.due_at <= to_timestamp(${args.now} / 1000.0)
        AND e.state = 'active' AND e.agent -> 'providers' ? ${args.scanner}
        AND v.stored_at IS NOT NULL AND (c.tailoring_sha256 IS NULL OR c.stored_at IS NOT NULL)`;

/** SQL: there are some, or news that make some due. @param now milliseconds */
export const targetsDue = (now: string): string =>
  `(EXISTS (SELECT FROM assessment_news) OR EXISTS (SELECT ${due({ now, scanner: `'${OPENSCAP}'` })}))`;

/**
 * Due ones that can be measured now, under their rows' locks, so that two workers never order one twice. Due is one that never was measured,
 * whose time is over, that somebody asks for, or that a change touched. Read off an index: whoever is not due costs nothing.
 */
export async function takeDueTargets(
  client: PoolClient,
  args: { readonly now: EpochMs; readonly limit: number },
): Promise<DueTarget[]> {
  const { rows } = await client.query<DueTarget>(
    `SELECT t.endpoint_id AS "endpointId", t.checklist_id AS "checklistId",
            coalesce((SELECT g.critical FROM baseline_assignment g WHERE g.id = t.assignment_id), '{}') AS critical
       ${due({ now: '$1', scanner: '$3' })}
      ORDER BY t.due_at, t.endpoint_id LIMIT $2 FOR UPDATE OF t SKIP LOCKED`,
    [args.now, args.limit, OPENSCAP],
  );
  return rows;
}

/** Says which order is out for which target; the next is due when its time is over, unless somebody asks before. */
export async function noteOrdered(
  client: PoolClient,
  args: {
    readonly orders: readonly { readonly endpointId: string; readonly checklistId: number; readonly orderId: string }[];
    readonly now: EpochMs;
  },
): Promise<void> {
  await client.query(
    `UPDATE assessment_target t SET order_id = i.order_id, ordered_at = to_timestamp($4 / 1000.0), due_at = ${nextAfter('to_timestamp($4 / 1000.0)')}
       FROM unnest($1::uuid[], $2::int[], $3::uuid[]) AS i (endpoint_id, checklist_id, order_id)
      WHERE t.endpoint_id = i.endpoint_id AND t.checklist_id = i.checklist_id`,
    [
      args.orders.map((one) => one.endpointId),
      args.orders.map((one) => one.checklistId),
      args.orders.map((one) => one.orderId),
      args.now,
    ],
  );
}

/** The order has its answer. What was asked for since it was let out stays due. */
export async function noteAnswered(
  client: PoolClient,
  args: { readonly endpointId: string; readonly checklistId: number; readonly orderId: string; readonly now: EpochMs },
): Promise<void> {
  await client.query(
    `UPDATE assessment_target t
        SET order_id = NULL, wanted_at = CASE WHEN t.wanted_at > t.ordered_at THEN t.wanted_at END,
            due_at = CASE WHEN t.due_at < ${nextAfter('t.ordered_at')} THEN t.due_at ELSE ${nextAfter('to_timestamp($4 / 1000.0)')} END
      WHERE t.endpoint_id = $1 AND t.checklist_id = $2 AND (t.order_id = $3 OR t.order_id IS NULL)`,
    [args.endpointId, args.checklistId, args.orderId, args.now],
  );
}

/**
 * Looks at orders that ended: what worked on an endpoint makes it due, a scan order without an answer makes room for the next one.
 * @returns whether there may be more
 */
export async function takeNews(
  client: PoolClient,
  args: { readonly now: EpochMs; readonly limit: number },
): Promise<boolean> {
  const { rows } = await client.query<{ taken: number }>(
    `WITH news AS MATERIALIZED (
       DELETE FROM assessment_news WHERE id IN (SELECT id FROM assessment_news ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED) RETURNING *),
     locked AS MATERIALIZED (
       SELECT t.endpoint_id, t.checklist_id, t.order_id FROM assessment_target t WHERE t.endpoint_id IN (SELECT endpoint_id FROM news)
        ORDER BY 1, 2 FOR UPDATE),
     told AS MATERIALIZED (
       SELECT l.endpoint_id, l.checklist_id, max(n.at) FILTER (WHERE n.scan_order IS NULL) AS touched_at,
              coalesce(bool_or(n.scan_order = l.order_id), false) AS ended, coalesce(bool_or(n.scan_order = l.order_id AND n.expired), false) AS expired
         FROM locked l JOIN news n USING (endpoint_id) GROUP BY 1, 2),
     noted AS (
       UPDATE assessment_target t
          SET order_id = CASE WHEN n.ended THEN NULL ELSE t.order_id END,
              due_at = CASE WHEN n.touched_at >= coalesce(t.ordered_at, '-infinity') THEN least(t.due_at, n.touched_at)
                            WHEN n.expired THEN least(t.due_at, to_timestamp($1 / 1000.0))
                            WHEN n.ended AND t.wanted_at <= t.ordered_at THEN to_timestamp($1 / 1000.0) + ${RETRY}
                            ELSE t.due_at END
         FROM told n WHERE t.endpoint_id = n.endpoint_id AND t.checklist_id = n.checklist_id)
     SELECT count(*)::int AS taken FROM news`,
    [args.now, args.limit],
  );
  return rows[0]?.taken === args.limit;
}

/** Asks for an assessment by everything that holds for the endpoint. @returns how many checklists */
export async function wantAssessment(
  db: Queryable,
  args: { readonly endpointId: string; readonly by: string; readonly now: EpochMs },
): Promise<number> {
  const { rowCount } = await db.query(
    `WITH mine AS MATERIALIZED (SELECT endpoint_id, checklist_id FROM assessment_target WHERE endpoint_id = $1 ORDER BY 1, 2 FOR UPDATE)
     UPDATE assessment_target t SET ${askedAt('to_timestamp($2 / 1000.0)')}, wanted_by = $3
       FROM mine m WHERE t.endpoint_id = m.endpoint_id AND t.checklist_id = m.checklist_id`,
    [args.endpointId, args.now, args.by],
  );
  return rowCount ?? 0;
}
