/** What the page of one change shows beside its progress. */
import type { Queryable } from '../pool.js';
import type { AuditRow } from './audit.js';

export interface ChangeAbout {
  readonly kind: string;
  readonly reason: string;
  readonly priority: number;
  readonly requestedBy: string;
  readonly requestedAt: Date;
  readonly endpoints: number;
  readonly leftOut: number;
}

export interface FailedOrder {
  readonly id: string;
  readonly endpointId: string;
  readonly endpoint: string;
  readonly simulated: boolean;
  readonly ring: number;
  readonly state: string;
  readonly reason: string | null;
  readonly at: Date;
}

export interface ApprovalAbout {
  readonly id: string;
  readonly ring: number;
  readonly state: string;
  readonly openedAt: Date;
  readonly expiresAt: Date;
  readonly decisions: readonly { readonly name: string; readonly decision: string; readonly comment: string }[];
  /** Who has yet to decide. */
  readonly waitsFor: readonly string[];
}

export async function readChangeAbout(db: Queryable, id: string): Promise<ChangeAbout | null> {
  const { rows } = await db.query<ChangeAbout>(
    `SELECT c.kind, coalesce(c.spec ->> 'reason', '') AS reason, c.priority, c.requested_by AS "requestedBy",
            c.requested_at AS "requestedAt", count(p.ring)::int AS endpoints,
            count(*) FILTER (WHERE p.change_id IS NOT NULL AND p.ring IS NULL)::int AS "leftOut"
       FROM change c LEFT JOIN plan_endpoint p ON p.change_id = c.id WHERE c.id = $1 GROUP BY c.id`,
    [id],
  );
  return rows[0] ?? null;
}

/** Failures that no later attempt took the place of, newest first. */
export async function listFailed(
  db: Queryable,
  args: { changeId: string; limit: number },
): Promise<readonly FailedOrder[]> {
  const { rows } = await db.query<FailedOrder>(
    `SELECT o.id, o.endpoint_id AS "endpointId", e.name AS endpoint, e.simulated, o.ring, o.state, o.reason, o.updated_at AS at
       FROM order_state o JOIN endpoint e ON e.id = o.endpoint_id
      WHERE o.change_id = $1 AND NOT o.retried AND (o.state IN ('failed', 'stalled', 'revertFailed')
            OR o.kind <> 'revert' AND o.state IN ('reverting', 'reverted'))
      ORDER BY o.updated_at DESC, o.id LIMIT $2`,
    [args.changeId, args.limit],
  );
  return rows;
}

/** The change's requests with who decided what and who has yet to. */
export async function listChangeApprovals(db: Queryable, changeId: string): Promise<readonly ApprovalAbout[]> {
  const { rows } = await db.query<ApprovalAbout>(
    `SELECT r.id, r.ring, r.state, r.opened_at AS "openedAt", r.expires_at AS "expiresAt",
            coalesce((SELECT jsonb_agg(jsonb_build_object('name', a.name, 'decision', d.decision, 'comment', d.comment) ORDER BY d.decided_at)
               FROM approval_decision d JOIN account a ON a.id = d.account_id
              WHERE d.request_id = r.id AND d.state = 'counted'), '[]') AS decisions,
            coalesce((SELECT array_agg(a.name ORDER BY a.name) FROM approval_person p JOIN account a ON a.id = p.account_id
              WHERE p.request_id = r.id AND r.state = 'open' AND NOT EXISTS (SELECT FROM approval_decision d
                WHERE d.request_id = r.id AND d.account_id = p.account_id AND d.state = 'counted')), '{}') AS "waitsFor"
       FROM approval_request r WHERE r.change_id = $1 ORDER BY r.opened_at DESC, r.id LIMIT 50`,
    [changeId],
  );
  return rows;
}

/** What was last written about something in the audit log. */
export async function listAbout(db: Queryable, args: { subject: string; limit: number }): Promise<readonly AuditRow[]> {
  const { rows } = await db.query<AuditRow>(
    `SELECT id, at, actor, action, subject, detail, sealed, hash FROM audit_entry WHERE subject = $1 ORDER BY id DESC LIMIT $2`,
    [args.subject, args.limit],
  );
  return rows;
}

/** The endpoint of this name in the change's plan; null when there is none, or more than one. */
export async function findPlanned(db: Queryable, args: { changeId: string; name: string }): Promise<string | null> {
  const { rows } = await db.query<{ id: string }>(
    `SELECT e.id FROM plan_endpoint p JOIN endpoint e ON e.id = p.endpoint_id
      WHERE p.change_id = $1 AND e.name = $2 LIMIT 2`,
    [args.changeId, args.name.trim()],
  );
  return rows.length === 1 ? (rows[0]?.id ?? null) : null;
}
