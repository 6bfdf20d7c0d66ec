import type { Approvers } from '../../domain/approval/rule.js';
import type { Queryable } from '../pool.js';

export interface Approver {
  readonly accountId: string;
  readonly name: string;
  readonly email: string;
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

/** Who may decide now: enabled accounts that the rule names, never the requester. */
export async function findApprovers(
  db: Queryable,
  args: { readonly approvers: Approvers; readonly changeId: string; readonly ring: number },
): Promise<readonly Approver[]> {
  const columns = `a.id AS "accountId", a.name, a.email, a.second_channel AS "secondChannel", a.zone`;
  const able = `a.disabled_at IS NULL AND a.id::text <> (SELECT requested_by FROM change WHERE id = $1)`;
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
