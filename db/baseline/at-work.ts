/** What may explain that results of rules changed on an endpoint: the orders of that time, and who had moved those rules before. */
import type { OrderAtWork, RuleMove } from '../../domain/baseline/rule-change-explained.js';
import type { Queryable } from '../pool.js';

/** Orders of changes that were at work there after `since`, the latest first. What an endpoint tells of packages may have any shape. */
export async function loadOrdersAtWork(
  db: Queryable,
  args: { readonly endpointId: string; readonly since: Date | null },
): Promise<OrderAtWork[]> {
  const { rows } = await db.query<OrderAtWork>(
    `SELECT o.change_id AS "changeId", o.kind = 'revert' OR o.state IN ('failed', 'reverting', 'reverted', 'revertFailed') AS back,
            coalesce((SELECT array_agg(i.name) FROM update_set u CROSS JOIN LATERAL jsonb_to_recordset(u.items) AS i (name text, source text)
                        JOIN checklist k ON k.name = i.source WHERE u.digest = coalesce(d.content_digest, o.content_digest)), '{}') AS rules,
            EXISTS (SELECT FROM order_event v WHERE v.order_id = coalesce(d.id, o.id) AND v.event = 'apply'
                       AND v.detail -> 'alsoPackages' -> 0 IS NOT NULL) AS "movedPackages"
       FROM order_state o LEFT JOIN order_state d ON d.id = o.reverts
      WHERE o.endpoint_id = $1 AND o.kind IN ('change', 'revert') AND o.change_id IS NOT NULL AND o.started_at IS NOT NULL
        AND coalesce(o.settled_at, 'infinity') > coalesce($2::timestamptz, '-infinity')
      ORDER BY o.started_at DESC`,
    [args.endpointId, args.since],
  );
  return rows;
}

/** The rules at these positions, each with what explains its last move. */
export async function loadMovedRules(
  db: Queryable,
  args: { readonly endpointId: string; readonly checklistId: number; readonly positions: readonly number[] },
): Promise<ReadonlyMap<number, Pick<RuleMove, 'name' | 'movedBy'>>> {
  const { rows } = await db.query<{ position: number } & Pick<RuleMove, 'name' | 'movedBy'>>(
    `SELECT r.position, r.name,
            (SELECT m.change_id FROM rule_change m WHERE m.endpoint_id = $1 AND m.checklist_id = $2 AND m.position = r.position
              ORDER BY m.at DESC, m.id DESC LIMIT 1) AS "movedBy"
       FROM checklist_rule r WHERE r.checklist_id = $2 AND r.position = ANY ($3::smallint[])`,
    [args.endpointId, args.checklistId, args.positions],
  );
  return new Map(rows.map(({ position, ...rule }) => [position, rule]));
}
