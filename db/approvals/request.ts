import { randomBytes } from 'node:crypto';
import type { Evidence } from '../../domain/approval/evidence.js';
import type { Decision } from '../../domain/approval/quorum.js';
import type { ApprovalRule } from '../../domain/approval/rule.js';
import type { EpochMs } from '../../domain/time.js';
import type { Queryable } from '../pool.js';
import { type Approver, REQUESTER, SECOND_CHANNEL } from './people.js';

export type RequestState = 'open' | 'approved' | 'rejected' | 'expired' | 'voided';

export interface ApprovalRequest {
  readonly id: string;
  readonly changeId: string;
  readonly ring: number;
  readonly rule: ApprovalRule;
  readonly planDigest: string;
  readonly highRisk: boolean;
  readonly evidence: Evidence;
  readonly state: RequestState;
  readonly openedAt: EpochMs;
  readonly expiresAt: EpochMs;
  /** The change's requester, who never counts. */
  readonly requester: string;
  /** The digest of the change's plan as it is now; another one than `planDigest` once it was made anew. */
  readonly planInForce: string | null;
}

const COLUMNS = `r.id, r.change_id AS "changeId", r.ring, r.rule, r.plan_digest AS "planDigest", r.high_risk AS "highRisk", r.evidence, r.state,
  (extract(epoch FROM r.opened_at) * 1000)::float8 AS "openedAt", (extract(epoch FROM r.expires_at) * 1000)::float8 AS "expiresAt",
  ${REQUESTER} AS requester, c.plan_digest AS "planInForce"`;

export async function findRequest(db: Queryable, requestId: string): Promise<ApprovalRequest | null> {
  const { rows } = await db.query<ApprovalRequest>(
    `SELECT ${COLUMNS} FROM approval_request r JOIN change c ON c.id = r.change_id WHERE r.id = $1`,
    [requestId],
  );
  return rows[0] ?? null;
}

/** Opens a request once; a retry finds the one that is there, with the evidence first frozen. */
export async function insertRequest(
  db: Queryable,
  request: Omit<ApprovalRequest, 'state' | 'requester' | 'planInForce'>,
): Promise<void> {
  await db.query(
    `INSERT INTO approval_request (id, change_id, ring, rule, plan_digest, high_risk, evidence, opened_at, expires_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, to_timestamp($8 / 1000.0), to_timestamp($9 / 1000.0)) ON CONFLICT (id) DO NOTHING`,
    [
      request.id,
      request.changeId,
      request.ring,
      JSON.stringify(request.rule),
      request.planDigest,
      request.highRisk,
      JSON.stringify(request.evidence),
      request.openedAt,
      request.expiresAt,
    ],
  );
}

export interface Invited extends Approver {
  /** In the mailed link: finds the page, decides nothing. */
  readonly locator: string;
  readonly codeWay: CodeWay | null;
}

/** How a person's one-time code travels. Settled when the person is asked: a channel that changes later changes nothing. */
export type CodeWay = 'secondChannel' | 'mailbox';

/** Adds people to a request; who is on it keeps the link mailed first. Returns everyone on it. */
export async function invite(
  db: Queryable,
  requestId: string,
  approvers: readonly (Approver & { readonly codeWay: CodeWay | null })[],
): Promise<readonly Invited[]> {
  await db.query(
    `INSERT INTO approval_person (request_id, account_id, via, locator, code_way)
     SELECT $1, * FROM unnest($2::uuid[], $3::text[], $4::text[], $5::text[]) ON CONFLICT (request_id, account_id) DO NOTHING`,
    [
      requestId,
      approvers.map((a) => a.accountId),
      approvers.map((a) => a.via),
      approvers.map(() => randomBytes(16).toString('hex')),
      approvers.map((a) => a.codeWay),
    ],
  );
  return invited(db, requestId);
}

export async function invited(db: Queryable, requestId: string): Promise<readonly Invited[]> {
  const { rows } = await db.query<Invited>(
    `SELECT a.id AS "accountId", a.name, a.email, ${SECOND_CHANNEL} AS "secondChannel", a.zone, p.via, p.locator, p.code_way AS "codeWay"
     FROM approval_person p JOIN account a ON a.id = p.account_id WHERE p.request_id = $1 AND a.disabled_at IS NULL ORDER BY a.name`,
    [requestId],
  );
  return rows;
}

export async function countedDecisions(db: Queryable, requestId: string): Promise<readonly Decision[]> {
  const { rows } = await db.query<Decision>(
    `SELECT account_id AS "accountId", decision FROM approval_decision WHERE request_id = $1 AND state = 'counted'`,
    [requestId],
  );
  return rows;
}

/** Ends an open request; an ended one stays as it is. Returns whether this call ended it. */
export async function closeRequest(
  db: Queryable,
  args: { readonly requestId: string; readonly state: RequestState; readonly now: EpochMs },
): Promise<boolean> {
  const { rowCount } = await db.query(
    `UPDATE approval_request SET state = $2, closed_at = to_timestamp($3 / 1000.0) WHERE id = $1 AND state = 'open'`,
    [args.requestId, args.state, args.now],
  );
  return rowCount === 1;
}
