import type { Approvers } from '../../domain/approval/rule.js';
import type { Queryable } from '../pool.js';

export interface Approver {
  readonly accountId: string;
  readonly name: string;
  readonly email: string;
  /** Null also when it is the mailbox that gets the link: a second address that is no second way. */
  readonly secondChannel: string | null;
  readonly zone: string;
  /** "role Manager", "IT owner of web-1 and 3 more". */
  readonly via: string;
}

const STAKEHOLDER_WORDS = {
  itOwner: 'IT owner',
  user: 'user',
  management: 'management',
  businessOwner: 'business owner',
} as const;

/** The account's second address, unless it is the first one again. */
export const SECOND_CHANNEL = `CASE WHEN lower(trim(a.second_channel)) NOT IN ('', lower(a.email)) THEN a.second_channel END`;

/** Who a change (as `c`) is asked for by: for a scheduled one, whoever made the schedule. */
export const REQUESTER = `coalesce((SELECT s.created_by FROM schedule s WHERE c.requested_by = 'schedule/' || s.id), c.requested_by)`;

/** Who may decide now: enabled accounts that the rule names, never the requester. */
export async function findApprovers(
  db: Queryable,
  args: { readonly approvers: Approvers; readonly changeId: string; readonly ring: number },
): Promise<readonly Approver[]> {
  const columns = `a.id AS "accountId", a.name, a.email, ${SECOND_CHANNEL} AS "secondChannel", a.zone`;
  const able = `a.disabled_at IS NULL AND a.id::text <> (SELECT ${REQUESTER} FROM change c WHERE c.id = $1)`;
  const { approvers, changeId } = args;
  if ('role' in approvers) {
    const { rows } = await db.query(
      `SELECT ${columns}, 'role ' || g.role AS via FROM account a JOIN role_grant g ON g.account_id = a.id
       WHERE ${able} AND g.role = $2 ORDER BY a.name`,
      [changeId, approvers.role],
    );
    return rows;
  }
  if ('accounts' in approvers) {
    const { rows } = await db.query(
      `SELECT ${columns}, 'named' AS via FROM account a WHERE ${able} AND (a.id::text = ANY ($2) OR a.email = ANY ($2)) ORDER BY a.name`,
      [changeId, approvers.accounts],
    );
    return rows;
  }
  const { rows } = await db.query(
    `SELECT ${columns}, $4 || ' of ' || min(e.name) || CASE WHEN count(*) > 1 THEN ' and ' || count(*) - 1 || ' more' ELSE '' END AS via
     FROM plan_endpoint p JOIN endpoint e ON e.id = p.endpoint_id
     JOIN stakeholder s ON s.endpoint_id = e.id AND s.kind = $3 JOIN account a ON a.id = s.account_id
     WHERE p.change_id = $1 AND p.ring = $2 AND ${able} GROUP BY a.id ORDER BY a.name`,
    [changeId, args.ring, approvers.stakeholder, STAKEHOLDER_WORDS[approvers.stakeholder]],
  );
  return rows;
}
