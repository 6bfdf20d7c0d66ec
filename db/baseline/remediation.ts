/** What planning and proving a remediation reads and asks; set-based, grouped by the database. */
import type { Mode } from '../../domain/baseline/assignment.js';
import type { Above } from '../../domain/baseline/conflicts.js';
import type { RemediableRule, RemediationGroup, System } from '../../domain/baseline/plan-remediation.js';
import { APPROVED_PACKAGES, FROZEN_PACKAGES, OPENSCAP, PACKAGE_FIXES } from '../../domain/baseline/rule-name.js';
import { exceptionsByEndpoint, splitByExceptions } from '../../domain/exception/exception.js';
import type { EpochMs } from '../../domain/time.js';
import { loadSelectables } from '../endpoints/selectable.js';
import { loadExceptions } from '../exceptions/exceptions.js';
import { wakeWithinHours } from '../orders/rows.js';
import { CLAIMS, type Claim, type Finding } from '../plan/proof.js';
import { loadGroups } from '../policy/load.js';
import type { Queryable } from '../pool.js';
import { aboveOf } from './conflicts.js';
import { declinedRules } from './declined-rules.js';
import { askedAt } from './targets.js';

/** Endpoints by each checklist that holds for them by an assignment asked for, and what was found. */
export async function loadRemediationGroups(
  db: Queryable,
  args: {
    readonly endpointIds: readonly string[];
    readonly assignments: readonly string[] | null;
    readonly now: EpochMs;
  },
): Promise<RemediationGroup[]> {
  const { rows } = await db.query<{
    endpoint_ids: string[];
    checklist: string;
    assignment: string;
    precedence: number;
    mode: Mode;
    results: string | null;
    problem: string | null;
    able: boolean;
    falsePositives: Record<string, string> | null;
    movesPackages: boolean;
    heedsApproved: boolean;
    heedsLists: boolean;
    system: System | null;
    above: Above[];
  }>(
    `WITH wrong AS (
       SELECT f.endpoint_id, f.checklist_id, jsonb_object_agg(r.rule_id, 'by ' || f.marked_by || ': ' || f.reason) AS by_rule
         FROM false_positive f JOIN checklist_rule r USING (checklist_id, position) GROUP BY 1, 2),
     held AS (
       SELECT t.endpoint_id, c.name AS checklist, a.name AS assignment, a.precedence, t.mode, nullif(m.results, '') AS results, m.problem,
              coalesce(e.agent -> 'providers' ? $3, false) AS able, coalesce(e.agent -> 'providers' ? $4, false) AS moves,
              coalesce(e.agent -> 'providers' ? $5, false) AS heeds, coalesce(e.agent -> 'providers' ? $6, false) AS lists, jsonb_build_object('codename', e.facts ->> 'codename', 'arch', d.arch) AS system,
              w.by_rule AS wrong, ${aboveOf({ target: 't', assignment: 'a' })} AS above
         FROM assessment_target t JOIN baseline_assignment a ON a.id = t.assignment_id JOIN checklist c ON c.id = t.checklist_id
         JOIN endpoint e ON e.id = t.endpoint_id
         LEFT JOIN LATERAL (SELECT p.arch FROM installed_package p WHERE p.endpoint_id = e.id AND p.name = 'dpkg' LIMIT 1) d ON true
         LEFT JOIN assessment m ON m.endpoint_id = t.endpoint_id AND m.checklist_id = t.checklist_id
         LEFT JOIN wrong w ON w.endpoint_id = t.endpoint_id AND w.checklist_id = t.checklist_id
        WHERE t.endpoint_id = ANY ($1) AND ($2::text[] IS NULL OR a.name = ANY ($2)))
     SELECT array_agg(endpoint_id ORDER BY endpoint_id) AS endpoint_ids, checklist, assignment, precedence, mode, results, problem, able,
            moves AS "movesPackages", heeds AS "heedsApproved", lists AS "heedsLists", CASE WHEN system ->> 'codename' <> '' AND system ->> 'arch' <> '' THEN system END AS system, wrong AS "falsePositives", above
       FROM held GROUP BY checklist, assignment, precedence, mode, results, problem, able, moves, heeds, lists, system, wrong, above ORDER BY min(endpoint_id::text)`,
    [args.endpointIds, args.assignments, OPENSCAP, PACKAGE_FIXES, APPROVED_PACKAGES, FROZEN_PACKAGES],
  );
  const groups = rows.map(({ endpoint_ids: endpointIds, ...rest }) => ({ ...rest, endpointIds, exceptions: [] }));
  return divideByExceptions(db, groups, args.now);
}

/** Groups divided by the rule exceptions of their endpoints. Costs one query where there are none. */
async function divideByExceptions(
  db: Queryable,
  groups: readonly RemediationGroup[],
  now: EpochMs,
): Promise<RemediationGroup[]> {
  const exceptions = (await loadExceptions(db, now)).filter(({ target }) => 'rule' in target);
  if (exceptions.length === 0) return [...groups];
  const [endpoints, named] = await Promise.all([
    loadSelectables(db, { endpointIds: [...new Set(groups.flatMap((group) => group.endpointIds))] }),
    loadGroups(db),
  ]);
  const byEndpoint = exceptionsByEndpoint({ exceptions, endpoints, groups: named, now });
  return groups.flatMap((group) =>
    splitByExceptions(group.endpointIds, byEndpoint).map((part) => ({ ...group, ...part })),
  );
}

/** Rules by checklist name, in the order of results. */
export async function loadRemediableRules(
  db: Queryable,
  checklists: readonly string[],
): Promise<Map<string, RemediableRule[]>> {
  const { rows } = await db.query(
    `SELECT c.name AS checklist, r.rule_id AS "ruleId", r.name, r.severity, r.fix_sha256 AS "fixSha256", f.size AS "fixSize",
            r.no_fix_reason AS "noFixReason", r.package_fix AS "packageFix", r.vals AS values
       FROM checklist c JOIN checklist_rule r ON r.checklist_id = c.id LEFT JOIN baseline_fix f ON f.sha256 = r.fix_sha256
      WHERE c.name = ANY ($1) ORDER BY c.name, r.position`,
    [checklists],
  );
  const found = new Map<string, RemediableRule[]>();
  for (const { checklist, ...rule } of rows) found.set(checklist, [...(found.get(checklist) ?? []), rule]);
  return found;
}

/** Asks for an assessment where there is none, or only an old one. @returns those endpoints */
export async function refreshAssessments(
  db: Queryable,
  args: {
    readonly endpointIds: readonly string[];
    readonly assignments: readonly string[] | null;
    readonly olderThan: EpochMs;
    readonly by: string;
    readonly now: EpochMs;
  },
): Promise<string[]> {
  const { rows } = await db.query<{ endpoint_id: string }>(
    `WITH old AS (
       SELECT t.endpoint_id, t.checklist_id FROM assessment_target t JOIN baseline_assignment a ON a.id = t.assignment_id
         JOIN endpoint e ON e.id = t.endpoint_id
         LEFT JOIN assessment m ON m.endpoint_id = t.endpoint_id AND m.checklist_id = t.checklist_id
        WHERE t.endpoint_id = ANY ($1) AND ($2::text[] IS NULL OR a.name = ANY ($2)) AND e.agent -> 'providers' ? $6
          AND greatest(m.assessed_at, m.problem_at, '-infinity') < to_timestamp($3 / 1000.0)),
     idle AS MATERIALIZED (
       SELECT t.endpoint_id, t.checklist_id FROM old JOIN assessment_target t USING (endpoint_id, checklist_id)
        WHERE t.wanted_at IS NULL AND t.order_id IS NULL ORDER BY 1, 2 FOR UPDATE OF t),
     asked AS (
       UPDATE assessment_target t SET ${askedAt('to_timestamp($4 / 1000.0)')}, wanted_by = $5 FROM idle
        WHERE t.endpoint_id = idle.endpoint_id AND t.checklist_id = idle.checklist_id)
     SELECT DISTINCT endpoint_id FROM old`,
    [args.endpointIds, args.assignments, args.olderThan, args.now, args.by, OPENSCAP],
  );
  return rows.map((row) => row.endpoint_id);
}

export async function loadRuleClaims(db: Queryable, changeId: string): Promise<Claim[]> {
  const { rows } = await db.query<Claim>(
    `WITH ${CLAIMS}
     SELECT c.endpoint_id AS "endpointId", e.name, coalesce(p.answered_at > c.settled_at, false) AS scanned
       FROM claims c JOIN endpoint e ON e.id = c.endpoint_id
       LEFT JOIN rule_proof p ON p.change_id = $1 AND p.endpoint_id = c.endpoint_id
      ORDER BY e.name, c.endpoint_id`,
    [changeId],
  );
  return rows;
}

/** Items of a claim's update set, less what was left out. */
const DONE = `NOT EXISTS (SELECT FROM ${declinedRules('c')} d WHERE d.name = i.name)`;

/** Asks for a scan of exactly the rules that were put right. Asked before and not answered since: stays asked. */
export async function askForRuleProof(
  db: Queryable,
  args: { readonly changeId: string; readonly endpointIds: readonly string[]; readonly now: EpochMs },
): Promise<void> {
  await db.query(
    `WITH ${CLAIMS}
     INSERT INTO rule_proof AS p (change_id, endpoint_id, checklist_id, rules, asked_at)
     SELECT $1, c.endpoint_id, k.id, array_agg(i.name ORDER BY i.name), to_timestamp($3 / 1000.0)
       FROM claims c JOIN update_set us ON us.digest = c.content_digest
      CROSS JOIN LATERAL jsonb_to_recordset(us.items) AS i (name text, source text)
       JOIN checklist k ON k.name = i.source
      WHERE c.endpoint_id = ANY ($2) AND ${DONE} GROUP BY c.endpoint_id, k.id
     ON CONFLICT (change_id, endpoint_id) DO UPDATE
       SET rules = excluded.rules, checklist_id = excluded.checklist_id, asked_at = excluded.asked_at, order_id = NULL, results = NULL,
           answered_at = NULL
       WHERE p.answered_at IS NOT NULL`,
    [args.changeId, args.endpointIds, args.now],
  );
  await wakeWithinHours(db, args.endpointIds);
}

/** What the scanner said of each rule that was put right; grouped, so that alike endpoints are one row. */
export async function loadRuleFindings(db: Queryable, changeId: string): Promise<Finding[]> {
  const { rows } = await db.query<Finding>(
    `WITH ${CLAIMS}
     SELECT i.name, i.arch, i."to", coalesce(p.results ->> r.rule_id, p.results ->> '') AS installed,
            array_agg(c.endpoint_id ORDER BY c.endpoint_id) AS "endpointIds"
       FROM claims c JOIN rule_proof p ON p.change_id = $1 AND p.endpoint_id = c.endpoint_id AND p.answered_at > c.settled_at
       JOIN update_set us ON us.digest = c.content_digest
      CROSS JOIN LATERAL jsonb_to_recordset(us.items) AS i (name text, arch text, "to" text)
       JOIN checklist_rule r ON r.checklist_id = p.checklist_id AND r.name = i.name
      WHERE ${DONE}
      GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4`,
    [changeId],
  );
  return rows;
}
