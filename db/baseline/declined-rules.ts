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

export interface LeftOutRule {
  readonly name: string;
  readonly reason: string;
  readonly endpoints: number;
  /** The first of them, by name. */
  readonly shown: readonly { readonly id: string; readonly name: string }[];
}

const SHOWN = 5;

/** For people: rules that endpoints left out of the newest order they have, each reason by itself, those on most endpoints first; also while it is under way. */
export async function listLeftOut(
  db: Queryable,
  args: { readonly changeId: string; readonly limit: number },
): Promise<{ readonly items: readonly LeftOutRule[]; readonly more: boolean }> {
  const { rows } = await db.query<LeftOutRule>(
    `SELECT d.name, d.reason, count(*)::int AS endpoints,
            to_jsonb((array_agg(jsonb_build_object('id', e.id, 'name', e.name) ORDER BY e.name))[1:${SHOWN}]) AS shown
       FROM (SELECT DISTINCT ON (endpoint_id) * FROM order_state WHERE change_id = $1 AND kind = 'change' ORDER BY endpoint_id, attempt DESC) o
       JOIN endpoint e ON e.id = o.endpoint_id
       JOIN update_set us ON us.digest = o.content_digest
      CROSS JOIN LATERAL ${declinedRules('o')} d
      WHERE EXISTS (SELECT FROM jsonb_to_recordset(us.items) AS i (name text) WHERE i.name = d.name)
      GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2 LIMIT $2`,
    [args.changeId, args.limit + 1],
  );
  return { items: rows.slice(0, args.limit), more: rows.length > args.limit };
}
