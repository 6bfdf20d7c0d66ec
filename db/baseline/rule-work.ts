/** Work for people as far as assessments settle it: what has come since, and asking for what has not. */
import { resultOf } from '../../domain/baseline/results.js';
import type { EpochMs } from '../../domain/time.js';
import type { Queryable } from '../pool.js';
import type { Judgeable } from '../tickets/work.js';
import { askedAt } from './targets.js';

/** A scan order that was let out after the work was last seen, and after whoever says it is done said so, shows what is so since. */
const SINCE = 'greatest(w.last_seen_at, w.claimed_at)';
const HEAD = `w.id, w.endpoint_id AS "endpointId", w.kind, w.state, w.claimed_by AS "claimedBy", w.change_id AS "changeId"`;
/** Checklists that work `w` of drift is judged by: those that hold for its endpoint and have its rule. */
const DRIFTED = `checklist_rule r JOIN assessment_target t ON t.checklist_id = r.checklist_id AND t.endpoint_id = w.endpoint_id`;
const IS_DRIFT = `w.closed_at IS NULL AND w.kind = 'drift' AND w.evidence ? 'rule'`;
/** The checklist that work `w` of a planned change is judged by, with what was planned. */
const PLANNED = `plan_endpoint pe JOIN update_set u ON u.digest = pe.update_set_digest JOIN checklist k ON k.name = u.items -> 0 ->> 'source'
  JOIN assessment_target t ON t.endpoint_id = pe.endpoint_id AND t.checklist_id = k.id`;
const IS_PLANNED = `w.closed_at IS NULL AND w.kind IN ('failedEndpoint', 'straggler') AND pe.change_id = w.change_id AND pe.endpoint_id = w.endpoint_id`;

interface Row extends Omit<Judgeable, 'items'> {
  readonly items: readonly (Judgeable['items'][number] & { readonly code: string | null })[];
}

const judgeable = (rows: readonly Row[]): Judgeable[] =>
  rows.map((row) => ({
    ...row,
    items: row.items.map(({ code, ...item }) => ({ ...item, installed: resultOf(code ?? '') })),
  }));

/**
 * Open work of changes of this kind whose endpoints have been measured anew by the plan's checklist since; its items are the rules that were
 * planned. Of one that was rolled back, whose rules may fail again, only what somebody says is done.
 */
export async function loadPlannedRuleWork(
  db: Queryable,
  args: { readonly changeKind: string; readonly limit: number },
): Promise<Judgeable[]> {
  const { rows } = await db.query<Row>(
    `SELECT ${HEAD}, c.kind AS "changeKind", c.outcome IS NOT DISTINCT FROM 'rolledBack' AS backwards, m.order_id AS "scanId",
            (extract(epoch FROM m.assessed_at) * 1000)::float8 AS "scannedAt", true AS "auditClean",
            (SELECT jsonb_agg(jsonb_build_object('name', i.name, 'arch', i.arch, 'from', i."from", 'to', i."to", 'code', substr(m.results, r.position + 1, 1)))
               FROM jsonb_to_recordset(u.items) AS i (name text, arch text, "from" text, "to" text)
               LEFT JOIN checklist_rule r ON r.checklist_id = k.id AND r.name = i.name) AS items
       FROM work_item w JOIN change c ON c.id = w.change_id CROSS JOIN ${PLANNED}
       JOIN assessment m ON m.endpoint_id = t.endpoint_id AND m.checklist_id = t.checklist_id JOIN order_state o ON o.id = m.order_id
      WHERE ${IS_PLANNED} AND c.kind = $2 AND m.order_id IS DISTINCT FROM w.judged_scan AND o.released_at >= ${SINCE}
        AND (w.claimed_at IS NOT NULL OR c.outcome IS DISTINCT FROM 'rolledBack')
      ORDER BY w.opened_at LIMIT $1`,
    [args.limit, args.changeKind],
  );
  return judgeable(rows);
}

/** Open drift of rules that every checklist with the rule has measured anew since; its only item is the rule, at its worst. */
export async function loadDriftWork(db: Queryable, limit: number): Promise<Judgeable[]> {
  const { rows } = await db.query<Row>(
    `SELECT ${HEAD}, NULL AS "changeKind", false AS backwards, f.order_id AS "scanId",
            (extract(epoch FROM f.assessed_at) * 1000)::float8 AS "scannedAt", true AS "auditClean", f.items
       FROM work_item w CROSS JOIN LATERAL (
         SELECT bool_and(o.released_at >= ${SINCE}) AS fresh, (array_agg(m.order_id ORDER BY m.assessed_at DESC))[1] AS order_id,
                max(m.assessed_at) AS assessed_at,
                jsonb_agg(jsonb_build_object('name', r.name, 'arch', '', 'from', NULL, 'to', '', 'code', substr(m.results, r.position + 1, 1))) AS items
           FROM ${DRIFTED} LEFT JOIN assessment m ON m.endpoint_id = t.endpoint_id AND m.checklist_id = t.checklist_id
           LEFT JOIN order_state o ON o.id = m.order_id
          WHERE r.rule_id = w.evidence ->> 'rule'
         HAVING count(o.id) = count(*)) f
      WHERE ${IS_DRIFT} AND f.fresh AND f.order_id IS DISTINCT FROM w.judged_scan
      ORDER BY w.opened_at LIMIT $1`,
    [limit],
  );
  return judgeable(rows);
}

/** Asks for what claims wait for and is not on its way. Work of changes: of this kind; null: drift. */
export async function askForAssessments(
  db: Queryable,
  args: { readonly changeKind: string | null; readonly now: EpochMs },
): Promise<void> {
  const from = args.changeKind === null ? DRIFTED : PLANNED;
  const claimed = `w.state = 'claimed' AND coalesce(t.ordered_at, '-infinity') < w.claimed_at AND coalesce(t.wanted_at, '-infinity') < w.claimed_at`;
  await db.query(
    `WITH awaited AS (
       SELECT t.endpoint_id, t.checklist_id, min(w.id::text) AS work_id FROM work_item w ${
         args.changeKind === null
           ? `CROSS JOIN LATERAL (SELECT t.* FROM ${from} WHERE r.rule_id = w.evidence ->> 'rule') t WHERE ${IS_DRIFT} AND $2::text IS NULL`
           : `JOIN change c ON c.id = w.change_id CROSS JOIN ${from} WHERE ${IS_PLANNED} AND c.kind = $2`
       } AND ${claimed} GROUP BY 1, 2),
     locked AS MATERIALIZED (
       SELECT t.endpoint_id, t.checklist_id, a.work_id FROM awaited a JOIN assessment_target t USING (endpoint_id, checklist_id)
        ORDER BY 1, 2 FOR UPDATE OF t)
     UPDATE assessment_target t SET ${askedAt('to_timestamp($1 / 1000.0)')}, wanted_by = 'work/' || l.work_id
       FROM locked l WHERE t.endpoint_id = l.endpoint_id AND t.checklist_id = l.checklist_id`,
    [args.now, args.changeKind],
  );
}

/** Claims that nothing can judge any more, because no checklist that holds there has the rules: whoever said so is believed. */
export async function loadUnmeasuredClaims(
  db: Queryable,
  args: { readonly changeKind: string | null },
): Promise<readonly string[]> {
  const { rows } = await db.query<{ id: string }>(
    args.changeKind === null
      ? `SELECT w.id FROM work_item w WHERE ${IS_DRIFT} AND w.state = 'claimed' AND $1::text IS NULL
            AND NOT EXISTS (SELECT FROM ${DRIFTED} WHERE r.rule_id = w.evidence ->> 'rule') LIMIT 500`
      : `SELECT w.id FROM work_item w JOIN change c ON c.id = w.change_id
          WHERE w.closed_at IS NULL AND w.kind IN ('failedEndpoint', 'straggler') AND w.state = 'claimed' AND c.kind = $1
            AND NOT EXISTS (SELECT FROM ${PLANNED} WHERE pe.change_id = w.change_id AND pe.endpoint_id = w.endpoint_id) LIMIT 500`,
    [args.changeKind],
  );
  return rows.map((row) => row.id);
}

/**
 * Work made of what agents notice beside rules that is as it was before: what was added is gone, what went is back, what changed
 * has changed back. Or somebody closed its incident: it may stay as it is.
 */
export async function loadUndoneNotices(
  db: Queryable,
): Promise<readonly { readonly id: string; readonly reason: string }[]> {
  const { rows } = await db.query<{ id: string; reason: string }>(
    `SELECT w.id, CASE WHEN x.closed_at IS NOT NULL THEN 'accepted as it is by ' || x.closed_by
                       ELSE 'the endpoint says that it is as before, ' || to_char(n.noticed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI "UTC"') END AS reason
       FROM work_item w JOIN noticed b ON b.id = (w.evidence ->> 'noticed')::bigint
       LEFT JOIN incident x ON x.id = (w.evidence ->> 'incident')::uuid
       LEFT JOIN LATERAL (SELECT n.* FROM noticed n WHERE n.endpoint_id = b.endpoint_id AND n.kind = b.kind AND n.name = b.name AND n.id > b.id
                           ORDER BY n.id DESC LIMIT 1) n ON true
      WHERE w.closed_at IS NULL AND w.kind = 'drift' AND NOT w.evidence ? 'rule'
        AND (x.closed_at IS NOT NULL OR CASE b.action WHEN 'added' THEN n.action = 'removed' WHEN 'removed' THEN n.action = 'added'
                                         ELSE n.action = 'removed' OR n.detail -> 'after' = b.detail -> 'before' END)
      LIMIT 500`,
  );
  return rows;
}
