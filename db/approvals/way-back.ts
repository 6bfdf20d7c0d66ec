import { SNAPSHOT_HOOK } from '../../domain/change/way-back.js';
import { NO_WAY_BACK } from '../../domain/content/index.js';
import type { Queryable } from '../pool.js';

/** What a ring asks, and how many of its endpoints would get what can't be undone without a snapshot taken before. */
export async function readWithoutNet(
  db: Queryable,
  args: { readonly changeId: string; readonly ring: number },
): Promise<{ readonly rules: number; readonly withoutNet: number }> {
  const { rows } = await db.query<{ rules: number; withoutNet: number }>(
    `SELECT jsonb_array_length(coalesce(r.spec -> 'approvals', '[]')) AS rules,
            (SELECT count(*)::int FROM plan_endpoint p
               LEFT JOIN policy_set s ON s.id = p.policy_set_id AND s.version = p.policy_version
              WHERE p.change_id = r.change_id AND p.ring = r.ordinal AND p.skipped_by IS NULL
                AND EXISTS (SELECT FROM jsonb_array_elements(p.triage) t
                             WHERE t ->> 'outcome' = 'included' AND t ->> 'rule' = ANY ($3))
                AND NOT EXISTS (SELECT FROM jsonb_array_elements(coalesce(s.document -> 'hooks', '[]')) h
                                 WHERE (h ->> 'name' = $4 OR h ->> 'name' LIKE $4 || '-%')
                                   AND h ->> 'when' = 'before' AND h ->> 'onFailure' = 'fail')) AS "withoutNet"
       FROM ring r WHERE r.change_id = $1 AND r.ordinal = $2`,
    [args.changeId, args.ring, NO_WAY_BACK, SNAPSHOT_HOOK],
  );
  return rows[0] ?? { rules: 0, withoutNet: 0 };
}
