/** Findings: which rule fails where, and since when. */
import type { PackageMove } from '../../domain/baseline/package-fix.js';
import type { Queryable } from '../pool.js';
import { type Page, pageOf } from './cursor.js';

/** A result `f` as a byte, so that one character of a long text is read without walking it. */
const FAILS = 102;
/** From the worst; what is not known is last. */
const SEVERITY = `array_position(ARRAY['high', 'medium', 'low', 'info', 'unknown'], r.severity)`;
/** SQL: since when endpoint `m` has the result it has for a position; without a change of it, since it was first measured. */
const sinceOf = (position: string): string =>
  `coalesce((SELECT max(x.at) FROM rule_change x WHERE x.endpoint_id = m.endpoint_id AND x.checklist_id = m.checklist_id
     AND x.position = ${position}), m.first_at)`;
const notWrong = (position: string): string =>
  `NOT EXISTS (SELECT FROM false_positive f WHERE f.checklist_id = m.checklist_id AND f.position = ${position} AND f.endpoint_id = m.endpoint_id)`;

/**
 * For rules of a checklist by position, since when the endpoint has failed it that has done so longest. Those that fail nowhere are left out.
 * It began with a change of the result, or was so when first measured: each is walked from the oldest, and the first that still holds ends it
 * (a materialized query keeps the order it was read in).
 */
export async function longestFailing(
  db: Queryable,
  args: { readonly checklistId: number; readonly positions: readonly number[] },
): Promise<Map<number, Date>> {
  const { rows } = await db.query<{ position: number; since: Date | null }>(
    `WITH m AS MATERIALIZED (
       SELECT endpoint_id, m.checklist_id, m.first_at, convert_to(m.results, 'UTF8') AS results
         FROM assessment_target t JOIN assessment m USING (endpoint_id, checklist_id) WHERE t.checklist_id = $1 AND m.failed > 0 ORDER BY m.first_at)
     SELECT p.position, least(
              (SELECT m.at FROM rule_change m
                WHERE m.checklist_id = $1 AND m.position = p.position AND m.after = 'f' AND ${notWrong('p.position')}
                  AND EXISTS (SELECT FROM assessment_target t WHERE t.endpoint_id = m.endpoint_id AND t.checklist_id = m.checklist_id)
                  AND NOT EXISTS (SELECT FROM rule_change x WHERE x.endpoint_id = m.endpoint_id AND x.checklist_id = m.checklist_id
                                     AND x.position = p.position AND (x.at, x.id) > (m.at, m.id))
                ORDER BY m.at LIMIT 1),
              (SELECT m.first_at FROM m
                WHERE get_byte(m.results, p.position) = ${FAILS} AND ${notWrong('p.position')}
                  AND NOT EXISTS (SELECT FROM rule_change x WHERE x.endpoint_id = m.endpoint_id AND x.checklist_id = m.checklist_id
                                     AND x.position = p.position) LIMIT 1)) AS since
       FROM unnest($2::smallint[]) AS p (position)`,
    [args.checklistId, args.positions],
  );
  return new Map(rows.flatMap(({ position, since }) => (since === null ? [] : [[position, since] as const])));
}

export interface FailingEndpoint {
  readonly id: string;
  readonly name: string;
  readonly simulated: boolean;
  readonly mode: string;
  readonly since: Date;
  readonly assessedAt: Date;
}

/** Endpoints on which a rule fails, by name; findings marked as wrong left out. */
export async function listFailingEndpoints(
  db: Queryable,
  args: {
    readonly checklistId: number;
    readonly position: number;
    readonly after: readonly [string, string] | null;
    readonly limit: number;
  },
): Promise<Page<FailingEndpoint>> {
  const { rows } = await db.query<FailingEndpoint>(
    `SELECT e.id, e.name, e.simulated, t.mode, ${sinceOf('$2::smallint')} AS since, m.assessed_at AS "assessedAt"
       FROM assessment_target t JOIN assessment m USING (endpoint_id, checklist_id) JOIN endpoint e ON e.id = m.endpoint_id
      WHERE t.checklist_id = $1 AND m.failed > 0 AND substr(m.results, $2::int + 1, 1) = 'f' AND ${notWrong('$2::smallint')}
        AND ($3::text IS NULL OR (e.name, e.id) > ($3, $4::uuid))
      ORDER BY e.name, e.id LIMIT $5`,
    [args.checklistId, args.position, args.after?.[0] ?? null, args.after?.[1] ?? null, args.limit + 1],
  );
  return pageOf(rows, args.limit, (row) => [row.name, row.id]);
}

export interface OwnFinding {
  readonly checklist: string;
  readonly name: string;
  readonly title: string;
  readonly severity: string;
  readonly since: Date;
  readonly packageFix: PackageMove | null;
  readonly noFixReason: string | null;
}

/** The worst rules that fail on an endpoint, so many at most of each checklist that holds for it; findings marked as wrong left out. */
export async function listOwnFindings(
  db: Queryable,
  args: { readonly endpointId: string; readonly limit: number },
): Promise<OwnFinding[]> {
  const { rows } = await db.query<OwnFinding>(
    `SELECT checklist, name, title, severity, "packageFix", "noFixReason", since FROM (
       SELECT c.name AS checklist, r.name, r.title, r.severity, r.package_fix AS "packageFix", r.no_fix_reason AS "noFixReason",
              ${sinceOf('r.position')} AS since, row_number() OVER (PARTITION BY c.id ORDER BY ${SEVERITY}, r.position) AS place
         FROM assessment_target t JOIN assessment m USING (endpoint_id, checklist_id) JOIN checklist c ON c.id = t.checklist_id
         JOIN checklist_rule r ON r.checklist_id = c.id
        WHERE t.endpoint_id = $1 AND m.failed > 0 AND substr(m.results, r.position + 1, 1) = 'f' AND ${notWrong('r.position')}) found
      WHERE place <= $2 ORDER BY checklist, place`,
    [args.endpointId, args.limit],
  );
  return rows;
}

export interface WrongFinding {
  readonly endpointId: string;
  readonly endpoint: string;
  readonly rule: string;
  readonly ruleId: string;
  readonly reason: string;
  readonly by: string;
  readonly at: Date;
}

/** Findings of a checklist that people say are wrong, newest first. @param args.position of one rule only */
export async function listFalsePositives(
  db: Queryable,
  args: {
    readonly checklistId: number;
    readonly position: number | null;
    readonly after: readonly [number, string, string] | null;
    readonly limit: number;
  },
): Promise<Page<WrongFinding>> {
  const { rows } = await db.query<WrongFinding & { micros: number }>(
    `SELECT e.id AS "endpointId", e.name AS endpoint, r.name AS rule, r.rule_id AS "ruleId", f.reason, f.marked_by AS by, f.marked_at AS at,
            (extract(epoch FROM f.marked_at) * 1000000)::bigint AS micros
       FROM false_positive f JOIN endpoint e ON e.id = f.endpoint_id
       JOIN checklist_rule r ON r.checklist_id = f.checklist_id AND r.position = f.position
      WHERE f.checklist_id = $1 AND ($2::smallint IS NULL OR f.position = $2)
        AND ($3::bigint IS NULL OR ((extract(epoch FROM f.marked_at) * 1000000)::bigint, e.id, r.name) < ($3, $4::uuid, $5))
      ORDER BY micros DESC, e.id DESC, r.name DESC LIMIT $6`,
    [
      args.checklistId,
      args.position,
      args.after?.[0] ?? null,
      args.after?.[1] ?? null,
      args.after?.[2] ?? null,
      args.limit + 1,
    ],
  );
  const page = pageOf(rows, args.limit, (row) => [row.micros, row.endpointId, row.rule]);
  return { next: page.next, items: page.items.map(({ micros: _, ...row }) => row) };
}
