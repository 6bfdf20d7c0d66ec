/** Approval requests for people: open ones first, then the newest. Nobody's locator is ever among it. */
import type { Queryable } from '../pool.js';
import { type Page, pageOf } from './cursor.js';

export interface ApprovalSummary {
  readonly id: string;
  readonly changeId: string;
  readonly changeName: string;
  readonly ring: number;
  readonly ringName: string | null;
  readonly state: string;
  readonly highRisk: boolean;
  readonly planDigest: string;
  readonly openedAt: Date;
  readonly expiresAt: Date;
  readonly escalatedAt: Date | null;
  readonly closedAt: Date | null;
  readonly quorum: number;
  readonly approvals: number;
  /** The asking person's own word, if there is one that was not refused. */
  readonly myDecision: string | null;
  /** Whether the asking person was asked to decide. */
  readonly asked: boolean;
}

/** Of `approval_request r` and `change c`; `$1` is the account that asks, or null. */
const COLUMNS = `r.id, r.change_id AS "changeId", c.name AS "changeName", r.ring,
  (SELECT g.name FROM ring g WHERE g.change_id = r.change_id AND g.ordinal = r.ring) AS "ringName",
  r.state, r.high_risk AS "highRisk", r.plan_digest AS "planDigest", r.opened_at AS "openedAt", r.expires_at AS "expiresAt",
  r.escalated_at AS "escalatedAt", r.closed_at AS "closedAt", (r.rule ->> 'quorum')::int AS quorum,
  (SELECT count(*)::int FROM approval_decision d WHERE d.request_id = r.id AND d.state = 'counted' AND d.decision = 'approve') AS approvals,
  (SELECT d.decision FROM approval_decision d WHERE d.request_id = r.id AND d.account_id = $1::uuid AND d.state <> 'refused') AS "myDecision",
  EXISTS (SELECT FROM approval_person p WHERE p.request_id = r.id AND p.account_id = $1::uuid) AS asked`;
const PLACE = `(r.state <> 'open')::int`;
const MICROS = '(extract(epoch FROM r.opened_at) * 1000000)::bigint';

/** @param args.mine only those the account was asked to decide */
export async function listApprovals(
  db: Queryable,
  args: {
    readonly accountId: string | null;
    readonly mine: boolean;
    readonly state: string | null;
    readonly changeId: string | null;
    readonly after: readonly [number, number, string] | null;
    readonly limit: number;
  },
): Promise<Page<ApprovalSummary>> {
  const { after } = args;
  const { rows } = await db.query<ApprovalSummary & { place: number; micros: number }>(
    `SELECT ${COLUMNS}, ${PLACE} AS place, ${MICROS} AS micros FROM approval_request r JOIN change c ON c.id = r.change_id
      WHERE (NOT $2 OR EXISTS (SELECT FROM approval_person p WHERE p.request_id = r.id AND p.account_id = $1::uuid))
        AND ($3::text IS NULL OR r.state = $3) AND ($4::uuid IS NULL OR r.change_id = $4)
        AND ($5::int IS NULL OR (${PLACE}, -${MICROS}, r.id) > ($5, -($6::bigint), $7::uuid))
      ORDER BY ${PLACE}, -${MICROS}, r.id LIMIT $8`,
    [
      args.accountId,
      args.mine,
      args.state,
      args.changeId,
      after?.[0] ?? null,
      after?.[1] ?? null,
      after?.[2] ?? null,
      args.limit + 1,
    ],
  );
  const page = pageOf(rows, args.limit, (row) => [row.place, row.micros, row.id]);
  return { next: page.next, items: page.items.map(({ place: _, micros: __, ...row }) => row) };
}

/** One request with its evidence, who was asked, and what they decided; null when there is none, or it is hidden. */
export async function readApproval(
  db: Queryable,
  args: { readonly id: string; readonly accountId: string | null; readonly mine: boolean },
): Promise<object | null> {
  const [request, people, decisions] = await Promise.all([
    db.query(
      `SELECT ${COLUMNS}, r.rule, r.evidence FROM approval_request r JOIN change c ON c.id = r.change_id
        WHERE r.id = $2 AND (NOT $3 OR EXISTS (SELECT FROM approval_person p WHERE p.request_id = r.id AND p.account_id = $1::uuid))`,
      [args.accountId, args.id, args.mine],
    ),
    db.query(
      `SELECT p.account_id AS "accountId", a.name, p.via FROM approval_person p JOIN account a ON a.id = p.account_id
        WHERE p.request_id = $1 ORDER BY a.name, a.id`,
      [args.id],
    ),
    db.query(
      `SELECT d.id, d.account_id AS "accountId", a.name, d.decision, d.state, d.comment, d.proof, d.plan_digest AS "planDigest",
              d.refused_reason AS "refusedReason", d.decided_at AS "decidedAt"
         FROM approval_decision d JOIN account a ON a.id = d.account_id
        WHERE d.request_id = $1 AND (d.state = 'counted' OR d.account_id = $2::uuid) ORDER BY d.decided_at, d.id`,
      [args.id, args.accountId],
    ),
  ]);
  const row = request.rows[0] as object | undefined;
  return row === undefined ? null : { ...row, people: people.rows, decisions: decisions.rows };
}
