import { randomUUID } from 'node:crypto';
import type { PoolClient } from 'pg';
import type { EpochMs } from '../../domain/time.js';
import { appendAudit } from '../audit/append.js';
import type { Queryable } from '../pool.js';
import { currentTrace } from '../trace.js';
import type { ApprovalRequest, CodeWay, RequestState } from './request.js';
import { findRequest } from './request.js';

/** A request as one of the people asked sees it. */
export interface Located {
  readonly request: ApprovalRequest;
  readonly accountId: string;
  readonly name: string;
  readonly zone: string;
  readonly via: string;
  readonly codeWay: CodeWay | null;
  readonly decisions: readonly {
    readonly mine: boolean;
    readonly name: string;
    readonly decision: 'approve' | 'reject';
    readonly state: 'submitted' | 'counted' | 'refused';
    readonly comment: string;
    readonly refusedReason: string | null;
    readonly decidedAt: EpochMs;
  }[];
}

/** What the locator of a mailed link finds: that person's view of the request. */
export async function locate(db: Queryable, locator: string): Promise<Located | null> {
  return locatedBy(db, { sql: 'p.locator = $1', values: [locator] });
}

/** The request as this person sees it, who was asked; null for anybody else. */
export async function locateFor(
  db: Queryable,
  args: { readonly requestId: string; readonly accountId: string },
): Promise<Located | null> {
  return locatedBy(db, { sql: 'p.request_id = $1 AND p.account_id = $2', values: [args.requestId, args.accountId] });
}

async function locatedBy(db: Queryable, who: { sql: string; values: readonly string[] }): Promise<Located | null> {
  const { rows } = await db.query(
    `SELECT p.request_id, p.account_id, p.via, a.name, a.zone, p.code_way
     FROM approval_person p JOIN account a ON a.id = p.account_id WHERE ${who.sql} AND a.disabled_at IS NULL`,
    [...who.values],
  );
  const person = rows[0];
  if (person === undefined) return null;
  const request = await findRequest(db, person.request_id);
  if (request === null) return null;
  const { rows: decisions } = await db.query(
    `SELECT d.account_id = $2 AS mine, a.name, d.decision, d.state, d.comment, d.refused_reason AS "refusedReason",
            (extract(epoch FROM d.decided_at) * 1000)::float8 AS "decidedAt"
     FROM approval_decision d JOIN account a ON a.id = d.account_id
     WHERE d.request_id = $1 AND (d.state = 'counted' OR d.account_id = $2) ORDER BY d.decided_at`,
    [request.id, person.account_id],
  );
  return {
    request,
    accountId: person.account_id,
    name: person.name,
    zone: person.zone,
    via: person.via,
    codeWay: person.code_way,
    decisions,
  };
}

export interface NewDecision {
  readonly requestId: string;
  /** Of the request's `approval` workflow. */
  readonly workflowId: string;
  readonly accountId: string;
  readonly decision: 'approve' | 'reject';
  readonly comment: string;
  readonly planDigest: string;
  readonly proof: 'session' | 'code' | 'ticket';
  readonly code: string | null;
  readonly now: EpochMs;
}

/**
 * Writes down what a person decided, with the outbox entry that takes it to the workflow: one transaction, the caller's.
 * @throws the database's unique violation when this person's decision is there already.
 */
export async function submitDecision(client: PoolClient, decision: NewDecision): Promise<string> {
  const id = randomUUID();
  await client.query(
    `INSERT INTO approval_decision (id, request_id, account_id, decision, comment, plan_digest, proof, code, decided_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, to_timestamp($9 / 1000.0))`,
    [
      id,
      decision.requestId,
      decision.accountId,
      decision.decision,
      decision.comment,
      decision.planDigest,
      decision.proof,
      decision.code,
      decision.now,
    ],
  );
  await client.query(
    `INSERT INTO outbox (id, topic, workflow_id, payload, trace) VALUES ($1, 'decision', $2, $3, $4)`,
    [id, decision.workflowId, JSON.stringify({ decisionId: id, planDigest: decision.planDigest }), currentTrace()],
  );
  await appendAudit(client, [
    {
      actor: decision.accountId,
      action: 'approval.decisionSubmitted',
      subject: `approval/${decision.requestId}`,
      detail: { decision: decision.decision, planDigest: decision.planDigest, proof: decision.proof, decisionId: id },
    },
  ]);
  await client.query(`SELECT pg_notify('rm_outbox', '')`);
  return id;
}

export interface JudgedDecision {
  readonly state: 'submitted' | 'counted' | 'refused';
  readonly refusedReason: string | null;
  /** Of its request, as it is now. */
  readonly requestState: RequestState;
  readonly planInForce: string | null;
}

export async function decisionState(db: Queryable, decisionId: string): Promise<JudgedDecision | null> {
  const { rows } = await db.query<JudgedDecision>(
    `SELECT d.state, d.refused_reason AS "refusedReason", r.state AS "requestState", c.plan_digest AS "planInForce"
       FROM approval_decision d JOIN approval_request r ON r.id = d.request_id JOIN change c ON c.id = r.change_id WHERE d.id = $1`,
    [decisionId],
  );
  return rows[0] ?? null;
}
