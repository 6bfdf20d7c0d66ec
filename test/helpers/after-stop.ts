/** "Nothing is let out once a stop has been answered", read from the rows of any test's database. */
import type { Pool } from 'pg';

/**
 * Orders let out, handed out or permitted by a transaction that committed after a pause, an abort or a stop of all, and before
 * somebody let the change go on; what a rollback undoes may go on from its own beginning. A stop writes its audit entry under
 * the rings' locks, so what had them before has committed before that moment, and what gets them later must have seen the stop.
 *
 * @param changeIds left out: of every change.
 * @returns each as a sentence.
 */
export async function letOutAfterStop(pool: Pool, changeIds: readonly string[] | null = null): Promise<string[]> {
  const { rows } = await pool.query(
    `WITH given AS MATERIALIZED (
       SELECT e.event, o.id, o.kind, 'change/' || o.change_id AS subject, pg_xact_commit_timestamp(e.xmin) AS at
         FROM order_event e JOIN order_state o ON o.id = e.order_id
        WHERE e.event IN ('release', 'offer', 'permit') AND o.change_id IS NOT NULL
          AND ($1::uuid[] IS NULL OR o.change_id = ANY ($1)))
     SELECT g.event, g.id, g.kind, s.action, s.at AS stopped_at, g.at
       FROM audit_entry s JOIN given g ON g.subject = s.subject AND g.at > s.at
      WHERE s.action IN ('change.pause', 'change.abort', 'change.stopAll')
        AND NOT EXISTS (SELECT FROM audit_entry f WHERE f.subject = s.subject AND f.at > s.at AND f.at < g.at
                           AND (f.action = 'change.resumed' OR f.action = 'ring.rollback' AND g.kind = 'revert'))
      ORDER BY g.at`,
    [changeIds],
  );
  return rows.map(
    (row) =>
      `${row.event} of ${row.kind} order ${row.id} at ${row.at.toISOString()}, after ${row.action} at ${row.stopped_at.toISOString()}`,
  );
}
