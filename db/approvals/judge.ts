import type { PoolClient } from 'pg';
import { WRONG_CODE } from '../../domain/approval/refusal.js';
import type { EpochMs } from '../../domain/time.js';
import type { Queryable } from '../pool.js';

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
  /** Decisions of this person on this request that were refused for a wrong code. */
  readonly wrongCodes: number;
}

/** The decision under its request's lock, so that two decisions are judged one after the other. */
export async function lockDecision(client: PoolClient, decisionId: string): Promise<LockedDecision | null> {
  await client.query(
    'SELECT 1 FROM approval_request WHERE id = (SELECT request_id FROM approval_decision WHERE id = $1) FOR UPDATE',
    [decisionId],
  );
  const { rows } = await client.query<LockedDecision>(
    `SELECT d.id, d.request_id AS "requestId", d.account_id AS "accountId", a.name, d.decision, d.plan_digest AS "planDigest",
            d.proof, d.code, d.state, d.refused_reason AS "refusedReason",
            (SELECT count(*)::int FROM approval_decision w
             WHERE w.request_id = d.request_id AND w.account_id = d.account_id AND w.state = 'refused' AND w.refused_reason = $2) AS "wrongCodes"
     FROM approval_decision d JOIN account a ON a.id = d.account_id WHERE d.id = $1`,
    [decisionId, WRONG_CODE],
  );
  return rows[0] ?? null;
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
