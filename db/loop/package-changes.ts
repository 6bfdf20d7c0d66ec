/** Compares what scans found different with the orders of that time. */
import type { Queryable } from '../pool.js';

/**
 * Judges package changes that nobody has looked at yet. One is explained when an order of a change was at work on the endpoint
 * between the two scans, and its update set names exactly that version to be installed, or to go back to; or, where a rule's fix
 * moved packages, the order said so when it began. What is explained is on record with its order, and thrown away here.
 * @returns how many were judged
 */
export async function judgePackageChanges(db: Queryable, limit: number): Promise<number> {
  const { rows } = await db.query<{ judged: number }>(
    `WITH batch AS MATERIALIZED (
       SELECT p.id, p.endpoint_id, p.name, p.arch, p.to_version, p.scan_id FROM package_change p WHERE p.at IS NULL ORDER BY p.id LIMIT $1
          FOR UPDATE SKIP LOCKED),
     scans AS MATERIALIZED (
       SELECT b.scan_id, s.endpoint_id, s.received_at, before.received_at AS since
         FROM (SELECT DISTINCT scan_id FROM batch) b JOIN scan s ON s.id = b.scan_id
         LEFT JOIN LATERAL (SELECT p.received_at FROM scan p WHERE p.endpoint_id = s.endpoint_id AND p.complete AND p.received_at < s.received_at
                             ORDER BY p.received_at DESC LIMIT 1) before ON true),
     work AS MATERIALIZED (
       SELECT s.scan_id, coalesce(d.content_digest, o.content_digest) AS digest, coalesce(d.id, o.id) AS order_id
         FROM scans s JOIN order_state o ON o.endpoint_id = s.endpoint_id AND o.kind IN ('change', 'revert') AND o.change_id IS NOT NULL
         LEFT JOIN order_state d ON d.id = o.reverts
        WHERE o.phase <> 'waiting' AND coalesce(o.started_at, o.released_at, '-infinity') <= s.received_at
          AND coalesce(o.settled_at, 'infinity') >= coalesce(s.since, '-infinity')),
     items AS MATERIALIZED (
       SELECT w.scan_id, i.name, i.arch, i."from", i."to"
         FROM (SELECT DISTINCT scan_id, digest FROM work) w JOIN update_set u ON u.digest = w.digest
        CROSS JOIN LATERAL jsonb_to_recordset(u.items) AS i (name text, arch text, "from" text, "to" text)
       UNION ALL
       -- An endpoint may tell anything: what is of another shape explains nothing.
       SELECT w.scan_id, i.value ->> 'name', i.value ->> 'arch', i.value ->> 'from', i.value ->> 'to'
         FROM (SELECT DISTINCT scan_id, order_id FROM work) w JOIN order_event v ON v.order_id = w.order_id AND v.event = 'apply'
        CROSS JOIN LATERAL jsonb_array_elements(CASE WHEN jsonb_typeof(v.detail -> 'alsoPackages') = 'array'
                                                     THEN v.detail -> 'alsoPackages' ELSE '[]' END) i),
     explained AS (
       SELECT DISTINCT b.id FROM batch b JOIN items i ON i.scan_id = b.scan_id AND i.name = b.name AND i.arch = b.arch
        WHERE i."to" IS NOT DISTINCT FROM b.to_version OR i."from" IS NOT DISTINCT FROM b.to_version),
     gone AS (DELETE FROM package_change p USING explained x WHERE p.id = x.id),
     kept AS (
       UPDATE package_change p SET at = coalesce(s.received_at, now()), since = s.since
         FROM batch b LEFT JOIN scans s ON s.scan_id = b.scan_id
        WHERE p.id = b.id AND NOT EXISTS (SELECT FROM explained x WHERE x.id = b.id))
     SELECT count(*)::int AS judged FROM batch`,
    [limit],
  );
  return rows[0]?.judged ?? 0;
}

/** A person says what a change outside of any change was. @returns how many packages that concerns */
export async function explainPackageChanges(
  client: Queryable,
  args: { readonly scanId: string; readonly by: string; readonly explanation: string; readonly now: number },
): Promise<number> {
  const { rowCount } = await client.query(
    `UPDATE package_change SET explained_by = $2, explanation = $3, explained_at = to_timestamp($4 / 1000.0) WHERE scan_id = $1 AND at IS NOT NULL`,
    [args.scanId, args.by, args.explanation, args.now],
  );
  return rowCount ?? 0;
}
