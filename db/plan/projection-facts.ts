import type { EpochMs } from '../../domain/time.js';
import type { Queryable } from '../pool.js';

/** What decides when endpoints can be worked on, besides their policy. */
export interface ProjectionFacts {
  readonly endpoints: ReadonlyMap<
    string,
    { readonly zone: string; readonly lastSeen: EpochMs | null; readonly quorums: readonly string[] }
  >;
  /** How many members may be unavailable at once, by the quorum group's id. */
  readonly quorums: ReadonlyMap<string, number>;
}

/** Reads it for these endpoints in two queries. */
export async function loadProjectionFacts(db: Queryable, endpointIds: readonly string[]): Promise<ProjectionFacts> {
  const [endpoints, quorums] = await Promise.all([
    db.query(
      // One that was told to come when its hours of communication open is there, though silent.
      `SELECT e.id, e.zone, q.ids,
              CASE WHEN w.endpoint_id IS NOT NULL AND e.next_poll_at > now() THEN now() ELSE e.last_seen END AS last_seen
         FROM endpoint e LEFT JOIN communication_window w ON w.endpoint_id = e.id
         LEFT JOIN (SELECT endpoint_id, array_agg(quorum_id) AS ids FROM quorum_member GROUP BY endpoint_id) q
           ON q.endpoint_id = e.id
        WHERE e.id = ANY ($1)`,
      [endpointIds],
    ),
    db.query('SELECT id, max_unavailable FROM quorum_group'),
  ]);
  return {
    endpoints: new Map(
      endpoints.rows.map((row) => [
        row.id,
        { zone: row.zone, lastSeen: row.last_seen?.getTime() ?? null, quorums: row.ids ?? [] },
      ]),
    ),
    quorums: new Map(quorums.rows.map((row) => [row.id, row.max_unavailable])),
  };
}
