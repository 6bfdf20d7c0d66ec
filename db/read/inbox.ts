import type { Queryable } from '../pool.js';

export interface InboxItem {
  readonly locator: string;
  readonly changeId: string;
  readonly change: string;
  readonly ring: number;
  readonly ringName: string;
  readonly endpoints: number;
  readonly via: string;
  readonly highRisk: boolean;
  readonly openedAt: Date;
  readonly expiresAt: Date;
}

export interface DecidedItem {
  readonly locator: string;
  readonly change: string;
  readonly ring: number;
  readonly decision: 'approve' | 'reject';
  readonly state: 'submitted' | 'counted' | 'refused';
  readonly refusedReason: string | null;
  readonly requestState: string;
  readonly decidedAt: Date;
}

/** Open requests that wait for this person, the soonest to expire first. */
export async function listWaiting(
  db: Queryable,
  args: { accountId: string; limit: number },
): Promise<readonly InboxItem[]> {
  const { rows } = await db.query<InboxItem>(
    `SELECT p.locator, r.change_id AS "changeId", c.name AS change, r.ring, r.evidence -> 'ring' ->> 'name' AS "ringName",
            coalesce((r.evidence -> 'ring' ->> 'endpoints')::int, 0) AS endpoints, p.via, r.high_risk AS "highRisk",
            r.opened_at AS "openedAt", r.expires_at AS "expiresAt"
       FROM approval_request r
       JOIN approval_person p ON p.request_id = r.id AND p.account_id = $1
       JOIN change c ON c.id = r.change_id
      WHERE r.state = 'open'
        AND NOT EXISTS (SELECT FROM approval_decision d
                         WHERE d.request_id = r.id AND d.account_id = $1 AND d.state <> 'refused')
      ORDER BY r.expires_at, r.id LIMIT $2`,
    [args.accountId, args.limit],
  );
  return rows;
}

/** What this person decided, newest first. */
export async function listDecided(
  db: Queryable,
  args: { accountId: string; limit: number },
): Promise<readonly DecidedItem[]> {
  const { rows } = await db.query<DecidedItem>(
    `SELECT p.locator, c.name AS change, r.ring, d.decision, d.state, d.refused_reason AS "refusedReason",
            r.state AS "requestState", d.decided_at AS "decidedAt"
       FROM approval_decision d
       JOIN approval_request r ON r.id = d.request_id
       JOIN approval_person p ON p.request_id = r.id AND p.account_id = d.account_id
       JOIN change c ON c.id = r.change_id
      WHERE d.account_id = $1 ORDER BY d.decided_at DESC LIMIT $2`,
    [args.accountId, args.limit],
  );
  return rows;
}
