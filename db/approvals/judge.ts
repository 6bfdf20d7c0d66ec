import type { PoolClient } from 'pg';
import { WRONG_CODE } from '../../domain/approval/refusal.js';
import type { EpochMs } from '../../domain/time.js';
import type { Queryable } from '../pool.js';
import type { ApprovalRequest } from './request.js';

export interface LockedDecision {
  readonly id: string;
  readonly requestId: string;
  readonly accountId: string;
  readonly name: string;
  readonly decision: 'approve' | 'reject';
  readonly planDigest: string;
  readonly proof: 'session' | 'code' | 'ticket';
  readonly code: string | null;
  readonly state: 'submitted' | 'counted' | 'refused';
  readonly refusedReason: string | null;
  /** Decisions of this person on this request, with the same proof, that were refused for a wrong code. */
  readonly wrongCodes: number;
}

/** The decision under the lock of every request of its ring, so that two decisions are judged one after the other. */
export async function lockDecision(client: PoolClient, decisionId: string): Promise<LockedDecision | null> {
  await client.query(
    `SELECT 1 FROM approval_request WHERE (change_id, ring) = (
       SELECT r.change_id, r.ring FROM approval_request r JOIN approval_decision d ON d.request_id = r.id WHERE d.id = $1)
      ORDER BY id FOR UPDATE`,
    [decisionId],
  );
  const { rows } = await client.query<LockedDecision>(
    `SELECT d.id, d.request_id AS "requestId", d.account_id AS "accountId", a.name, d.decision, d.plan_digest AS "planDigest",
            d.proof, d.code, d.state, d.refused_reason AS "refusedReason",
            (SELECT count(*)::int FROM approval_decision w
             WHERE w.request_id = d.request_id AND w.account_id = d.account_id AND w.proof = d.proof
               AND w.state = 'refused' AND w.refused_reason = $2) AS "wrongCodes"
     FROM approval_decision d JOIN account a ON a.id = d.account_id WHERE d.id = $1`,
    [decisionId, WRONG_CODE],
  );
  return rows[0] ?? null;
}

/**
 * Whether this person's approval of the same ring and plan counts for another rule already, and one of the two wants distinct
 * people. What was asked before some request of the ring came to nothing was another round: then all were asked anew.
 */
export async function approvedByOtherRule(
  client: PoolClient,
  { request, decision }: { readonly request: ApprovalRequest; readonly decision: LockedDecision },
): Promise<boolean> {
  const { rows } = await client.query(
    `SELECT 1 FROM approval_request r JOIN approval_decision d ON d.request_id = r.id
      WHERE r.change_id = $1 AND r.ring = $2 AND r.plan_digest = $3 AND r.id <> $4 AND r.state IN ('open', 'approved')
        AND d.account_id = $5 AND d.state = 'counted' AND d.decision = 'approve'
        AND ($6 OR (r.rule -> 'distinctPeople') = 'true')
        AND NOT EXISTS (
          SELECT FROM approval_request q WHERE q.change_id = r.change_id AND q.ring = r.ring AND q.state NOT IN ('open', 'approved')
             AND q.closed_at >= r.opened_at AND q.closed_at <= to_timestamp($7 / 1000.0)) LIMIT 1`,
    [
      request.changeId,
      request.ring,
      request.planDigest,
      request.id,
      decision.accountId,
      request.rule.distinctPeople === true,
      request.openedAt,
    ],
  );
  return rows.length > 0;
}

/** Writes the verdict; the code as typed is gone from then on. */
export async function judge(
  client: PoolClient,
  args: {
    readonly decisionId: string;
    readonly state: 'counted' | 'refused';
    readonly reason: string | null;
    readonly now: EpochMs;
  },
): Promise<void> {
  await client.query(
    `UPDATE approval_decision SET state = $2, refused_reason = $3, code = NULL, judged_at = to_timestamp($4 / 1000.0)
     WHERE id = $1 AND state = 'submitted'`,
    [args.decisionId, args.state, args.reason, args.now],
  );
}

/** Returns whether this call is the first to say so. */
export async function markEscalated(
  db: Queryable,
  args: { readonly requestId: string; readonly now: EpochMs },
): Promise<boolean> {
  const { rowCount } = await db.query(
    `UPDATE approval_request SET escalated_at = to_timestamp($2 / 1000.0) WHERE id = $1 AND escalated_at IS NULL`,
    [args.requestId, args.now],
  );
  return rowCount === 1;
}
