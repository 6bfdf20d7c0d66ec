/** Rules that endpoints left out of their orders, each with the reason: as they said when they began, or when they declined the whole order. */
import type { Finding } from '../plan/proof.js';
import type { Queryable } from '../pool.js';

export interface DeclinedFinding extends Finding {
  readonly reason: string;
}

/**
 * SQL, for LATERAL: the rules left out of an order, as `name` and `reason`. What an endpoint tells may have any shape: what is not as it should be
 * is not there, and the rule then counts as done, which only the scanner can confirm.
 * @param order alias of the order; it has id
 */
export const declinedRules = (order: string): string => `
  (SELECT DISTINCT ON (1) left(d.value ->> 'name', 200) AS name, left(coalesce(d.value ->> 'reason', 'without a reason'), 500) AS reason
     FROM order_event v
    CROSS JOIN LATERAL jsonb_array_elements(CASE WHEN jsonb_typeof(v.detail -> 'declined') = 'array' THEN v.detail -> 'declined' ELSE '[]' END) d
    WHERE v.order_id = ${order}.id AND v.event IN ('apply', 'decline') AND jsonb_typeof(d.value -> 'name') = 'string'
    ORDER BY 1, v.id DESC)`;

/** Of the last change order of each endpoint that was not rolled back; alike endpoints are one row. */
export async function loadDeclinedRules(db: Queryable, changeId: string): Promise<DeclinedFinding[]> {
  const { rows } = await db.query(
    `SELECT i.name, i.arch, i."to", d.reason, array_agg(o.endpoint_id ORDER BY o.endpoint_id) AS "endpointIds"
       FROM (SELECT DISTINCT ON (endpoint_id) * FROM order_state WHERE change_id = $1 AND kind = 'change' ORDER BY endpoint_id, attempt DESC) o
       JOIN update_set us ON us.digest = o.content_digest
      CROSS JOIN LATERAL jsonb_to_recordset(us.items) AS i (name text, arch text, "to" text)
      CROSS JOIN LATERAL ${declinedRules('o')} d
      WHERE o.state IN ('succeeded', 'skipped') AND d.name = i.name
        AND NOT EXISTS (SELECT FROM order_state r WHERE r.reverts = o.id AND r.state IN ('reverted', 'reverting'))
      GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4`,
    [changeId],
  );
  return rows.map((row) => ({ ...row, installed: null }));
}
