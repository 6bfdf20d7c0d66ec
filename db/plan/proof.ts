import type { EpochMs } from '../../domain/time.js';
import type { Queryable } from '../pool.js';

/** An endpoint whose change order says it succeeded, and what has been heard of it since. */
export interface Claim {
  readonly endpointId: string;
  readonly name: string;
  /** A complete scan was received after the order settled. */
  readonly scanned: boolean;
}

/** The same finding at all these endpoints. */
export interface Finding {
  readonly name: string;
  readonly arch: string;
  /** The version planned. */
  readonly to: string;
  /** What the scan since found; null: nothing. */
  readonly installed: string | null;
  readonly endpointIds: readonly string[];
}

/** The last change order of each endpoint that succeeded and was not rolled back; `$1` is the change. */
export const CLAIMS = `
  claims AS MATERIALIZED (
    SELECT o.id, o.endpoint_id, o.content_digest, o.settled_at
      FROM (SELECT DISTINCT ON (endpoint_id) * FROM order_state WHERE change_id = $1 AND kind = 'change'
             ORDER BY endpoint_id, attempt DESC) o
     WHERE o.state = 'succeeded'
       AND NOT EXISTS (SELECT FROM order_state r WHERE r.reverts = o.id AND r.state IN ('reverted', 'reverting')))`;

/** Those of them that a scan has been heard of since. */
const SCANNED = `${CLAIMS},
  scanned AS MATERIALIZED (
    SELECT c.*, s.received_at FROM claims c
      JOIN LATERAL (SELECT received_at FROM scan s WHERE s.endpoint_id = c.endpoint_id AND s.complete
                     ORDER BY received_at DESC LIMIT 1) s ON s.received_at > c.settled_at)`;

/** Endpoints that claim success. */
export async function loadClaims(db: Queryable, changeId: string): Promise<Claim[]> {
  const { rows } = await db.query<Claim>(
    `WITH ${CLAIMS}
     SELECT c.endpoint_id AS "endpointId", e.name,
            EXISTS (SELECT FROM scan s WHERE s.endpoint_id = c.endpoint_id AND s.complete AND s.received_at > c.settled_at) AS scanned
       FROM claims c JOIN endpoint e ON e.id = c.endpoint_id
      ORDER BY e.name, c.endpoint_id`,
    [changeId],
  );
  return rows;
}

/** What fresh scans found where success is claimed; grouped, so that a fleet of alike hosts is a few rows. */
export async function loadFindings(db: Queryable, changeId: string): Promise<Finding[]> {
  const { rows } = await db.query<Finding>(
    `WITH ${SCANNED},
     items AS MATERIALIZED (
       SELECT us.digest, i.name, i.arch, i."to" FROM update_set us
        CROSS JOIN LATERAL jsonb_to_recordset(us.items) AS i (name text, arch text, "to" text)
        WHERE us.digest IN (SELECT content_digest FROM scanned))
     SELECT i.name, i.arch, i."to", p.version AS installed, array_agg(s.endpoint_id ORDER BY s.endpoint_id) AS "endpointIds"
       FROM scanned s JOIN items i ON i.digest = s.content_digest
       LEFT JOIN installed_package p ON p.endpoint_id = s.endpoint_id AND p.name = i.name AND p.arch = i.arch
      GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4`,
    [changeId],
  );
  return rows;
}

/**
 * Writes down which updates a fresh scan proves.
 * @param args.unproven findings the kind refused; everything else that was scanned counts as proven.
 * @returns endpoint × update pairs that are proven now.
 */
export async function recordProof(
  db: Queryable,
  args: { readonly changeId: string; readonly unproven: readonly Finding[] },
): Promise<number> {
  const bad = args.unproven.flatMap((finding) => finding.endpointIds.map((endpointId) => ({ ...finding, endpointId })));
  const { rowCount } = await db.query(
    `WITH ${SCANNED},
     items AS MATERIALIZED (
       SELECT us.digest, i.name, i.arch, i."to" FROM update_set us
        CROSS JOIN LATERAL jsonb_to_recordset(us.items) AS i (name text, arch text, "to" text)
        WHERE us.digest IN (SELECT content_digest FROM scanned))
     UPDATE update_fact f SET confirmed_at = s.received_at
       FROM scanned s JOIN items i ON i.digest = s.content_digest
      WHERE f.endpoint_id = s.endpoint_id AND f.name = i.name AND f.arch = i.arch AND f.version = i."to"
        AND f.confirmed_at IS NULL
        AND NOT EXISTS (SELECT FROM unnest($2::uuid[], $3::text[], $4::text[]) AS bad (endpoint_id, name, arch)
                         WHERE bad.endpoint_id = f.endpoint_id AND bad.name = f.name AND bad.arch = f.arch)`,
    [args.changeId, bad.map((b) => b.endpointId), bad.map((b) => b.name), bad.map((b) => b.arch)],
  );
  return rowCount ?? 0;
}

/** Writes down how each planned update ended, as far as its order says (design §12). */
export async function recordOutcomes(
  db: Queryable,
  args: { readonly changeId: string; readonly now: EpochMs },
): Promise<void> {
  await db.query(
    `WITH last AS MATERIALIZED (
       SELECT DISTINCT ON (o.endpoint_id) o.endpoint_id, o.id, o.state, o.content_digest, o.started_at, o.settled_at, o.next_open,
              o.next_close, rolled.state AS rolled
         FROM order_state o LEFT JOIN order_state rolled ON rolled.reverts = o.id AND rolled.state = 'reverted'
        WHERE o.change_id = $1 AND o.kind = 'change' ORDER BY o.endpoint_id, o.attempt DESC),
     items AS MATERIALIZED (
       SELECT us.digest, i.name, i.arch, i."to" FROM update_set us
        CROSS JOIN LATERAL jsonb_to_recordset(us.items) AS i (name text, arch text, "to" text)
        WHERE us.digest IN (SELECT content_digest FROM last))
     UPDATE update_fact f
        SET order_id = l.id, change_id = $1, outcome = coalesce(l.rolled, l.state),
            applied_at = CASE WHEN l.state = 'succeeded' AND l.rolled IS NULL THEN coalesce(l.started_at, l.settled_at) END,
            window_opens = l.next_open, window_closes = l.next_close,
            window_kept = CASE WHEN l.started_at IS NOT NULL AND l.next_open IS NOT NULL
                               THEN l.started_at >= l.next_open AND l.started_at <= coalesce(l.next_close, 'infinity') END
       FROM last l JOIN items i ON i.digest = l.content_digest
      WHERE f.endpoint_id = l.endpoint_id AND f.name = i.name AND f.arch = i.arch AND f.version = i."to"
        AND f.first_missing_at <= to_timestamp($2 / 1000.0)`,
    [args.changeId, args.now],
  );
}
