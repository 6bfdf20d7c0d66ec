/**
 * What an order of ours explains of what was noticed. Whatever else happens while one is at work is noticed as at any other time: an
 * update is a good moment to hide in.
 */

/** What an order names was done while it was at work, and may be found a little after it has ended. */
const FOUND_WITHIN = "interval '2 minutes'";
/** An agent looks every 15 s. */
const SEEN_WITHIN = "interval '30 seconds'";

/**
 * SQL: the change that explains an item `i` (kind, action, name, detail, seen_at), or null. `seen_at` is when the endpoint says it saw it, and
 * no later than when that was heard: its clock may be wrong.
 *
 * - A package: an order names it with exactly this version, in its update set or in what it said its fixes move (`alsoPackages`).
 * - A rule: an order names it.
 * - A service: while an order is at work that moves a package of its name; or it is back, having gone since the order began.
 * - A listener: it went while an order that moves packages is at work; or it is back, having gone since the order began.
 * - A privileged user: nothing explains one. No order of ours makes any.
 *
 * @param of SQL of the endpoint's id
 * @param news SQL of the relation of all items that came at once: what went may have come together with what is back
 */
export const explainedBy = ({ of, news }: { readonly of: string; readonly news: string }): string => `(
  SELECT o.change_id FROM order_state o LEFT JOIN order_state d ON d.id = o.reverts
   CROSS JOIN LATERAL (
     SELECT n.name, n.arch, n."from", n."to", k.id AS checklist_id FROM update_set u
      CROSS JOIN LATERAL jsonb_to_recordset(u.items) AS n (name text, arch text, "from" text, "to" text, source text)
       LEFT JOIN checklist k ON k.name = n.source
      WHERE u.digest = coalesce(d.content_digest, o.content_digest)
     UNION ALL
     -- An endpoint may tell anything: what is of another shape explains nothing.
     SELECT v.value ->> 'name', v.value ->> 'arch', v.value ->> 'from', v.value ->> 'to', NULL FROM order_event e
      CROSS JOIN LATERAL jsonb_array_elements(CASE WHEN jsonb_typeof(e.detail -> 'alsoPackages') = 'array'
                                                   THEN e.detail -> 'alsoPackages' ELSE '[]' END) v
      WHERE e.order_id = coalesce(d.id, o.id) AND e.event = 'apply') n
  WHERE o.endpoint_id = ${of} AND o.kind IN ('change', 'revert') AND o.change_id IS NOT NULL AND o.started_at <= i.seen_at
    AND coalesce(o.settled_at, 'infinity') + CASE WHEN i.kind IN ('package', 'rule') THEN ${FOUND_WITHIN} ELSE ${SEEN_WITHIN} END >= i.seen_at
    AND CASE
      WHEN i.kind = 'privilegedUser' THEN false
      WHEN i.kind = 'rule' THEN EXISTS (SELECT FROM checklist_rule r
                                         WHERE r.checklist_id = n.checklist_id AND r.name = n.name AND r.rule_id = i.name)
      WHEN n.checklist_id IS NOT NULL THEN false
      WHEN i.kind = 'package' THEN i.name = n.name || ':' || n.arch
        AND (n."to" IS NOT DISTINCT FROM i.detail ->> 'after' OR n."from" IS NOT DISTINCT FROM i.detail ->> 'after')
      WHEN i.kind = 'listener' AND i.action = 'removed' THEN true
      WHEN i.kind = 'service' AND (regexp_replace(i.name, '(@.*)?[.]service$', '') = n.name
                                   OR starts_with(n.name, regexp_replace(i.name, '(@.*)?[.]service$', '') || '-')) THEN true
      ELSE i.action = 'added' AND EXISTS (
        SELECT FROM (SELECT b.kind, b.name, b.action, b.noticed_at AS seen_at FROM noticed b WHERE b.endpoint_id = ${of} AND b.name = i.name
                      UNION ALL SELECT b.kind, b.name, b.action, b.seen_at FROM ${news} b) b
         WHERE b.kind = i.kind AND b.name = i.name AND b.action = 'removed' AND b.seen_at BETWEEN o.started_at AND i.seen_at)
      END
  ORDER BY o.started_at DESC LIMIT 1)`;
