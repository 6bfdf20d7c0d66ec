/** Decisions that people write in tickets. */
import type { PoolClient } from 'pg';
import type { Queryable } from '../pool.js';

/** An open request of a change that names this plan, as a person is asked by it. */
export interface OpenRequest {
  readonly requestId: string;
  readonly ring: number;
  readonly planDigest: string;
  readonly invited: boolean;
  readonly decided: boolean;
  readonly requester: boolean;
}

export async function openRequestsFor(
  db: Queryable,
  args: { readonly changeId: string; readonly accountId: string },
): Promise<readonly OpenRequest[]> {
  const { rows } = await db.query<OpenRequest>(
    `SELECT r.id AS "requestId", r.ring, r.plan_digest AS "planDigest",
            EXISTS (SELECT FROM approval_person p WHERE p.request_id = r.id AND p.account_id = $2) AS invited,
            EXISTS (SELECT FROM approval_decision d WHERE d.request_id = r.id AND d.account_id = $2 AND d.state <> 'refused') AS decided,
            c.requested_by = $2::text AS requester
       FROM approval_request r JOIN change c ON c.id = r.change_id WHERE r.change_id = $1 AND r.state = 'open' ORDER BY r.ring, r.opened_at`,
    [args.changeId, args.accountId],
  );
  return rows;
}

/** Ties a decision to the comment it was read from. */
export async function noteDecision(
  client: PoolClient,
  args: { readonly decisionId: string; readonly eventId: number },
): Promise<void> {
  await client.query(
    'INSERT INTO ticket_decision (decision_id, event_id) VALUES ($1, $2) ON CONFLICT (decision_id) DO NOTHING',
    [args.decisionId, args.eventId],
  );
}

/**
 * Whether a decision really was made in a ticket of its change, by somebody the tracker vouches for and the system's policy, as
 * it is now, maps to that account. Looked at when the decision is judged, like every other right.
 */
export async function countsInTicket(db: Queryable, decisionId: string): Promise<boolean> {
  const { rowCount } = await db.query(
    `SELECT FROM approval_decision d
       JOIN ticket_decision td ON td.decision_id = d.id JOIN ticket_event e ON e.id = td.event_id
       JOIN approval_request r ON r.id = d.request_id
       JOIN ticket t ON t.system_id = e.system_id AND t.key = e.ticket_key AND t.change_id = r.change_id
       JOIN ticket_system s ON s.id = e.system_id
      WHERE d.id = $1 AND e.vouched AND s.active AND s.retired_at IS NULL AND s.policy->>'approvals' = 'inTicket'
        AND s.policy->'people' @> jsonb_build_array(jsonb_build_object('author', e.author, 'accountId', d.account_id))`,
    [decisionId],
  );
  return (rowCount ?? 0) > 0;
}
