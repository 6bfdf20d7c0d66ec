/** Full results on demand: asked for, handed over by the endpoint, kept until they are asked for again. */
import type { PoolClient } from 'pg';
import { LARGEST_ARF } from '../../domain/baseline/results.js';
import type { EpochMs } from '../../domain/time.js';
import type { Queryable } from '../pool.js';

export type ArfRequested =
  | { readonly kind: 'requested' | 'none' }
  /** It would never come. */
  | { readonly kind: 'tooLarge'; readonly size: number };

/** Asks the endpoint for the full results of its newest assessment by this checklist, in place of what was asked for before. */
export async function requestArf(
  client: PoolClient,
  args: { readonly endpointId: string; readonly checklistId: number; readonly by: string; readonly now: EpochMs },
): Promise<ArfRequested> {
  const { rows } = await client.query<{ size: number; sha256: string }>(
    `SELECT arf_size::float8 AS size, arf_sha256 AS sha256 FROM assessment WHERE endpoint_id = $1 AND checklist_id = $2 AND arf_sha256 IS NOT NULL`,
    [args.endpointId, args.checklistId],
  );
  const [found] = rows;
  if (found === undefined) return { kind: 'none' };
  if (found.size > LARGEST_ARF) return { kind: 'tooLarge', size: found.size };
  await client.query(
    `INSERT INTO arf_copy (endpoint_id, checklist_id, requested_by, requested_at, expected_sha256)
     VALUES ($1, $2, $3, to_timestamp($4 / 1000.0), $5)
     ON CONFLICT (endpoint_id, checklist_id) DO UPDATE
       SET requested_by = excluded.requested_by, requested_at = excluded.requested_at, expected_sha256 = excluded.expected_sha256,
           order_id = NULL, bytes = NULL, sha256 = NULL, fetched_at = NULL, problem = NULL`,
    [args.endpointId, args.checklistId, args.by, args.now, found.sha256],
  );
  return { kind: 'requested' };
}

export type ArfCopy =
  | { readonly kind: 'here'; readonly bytes: Buffer; readonly sha256: string }
  | { readonly kind: 'waiting' }
  /** The endpoint has answered that it has none, or never answered: nothing comes any more. */
  | { readonly kind: 'gone'; readonly reason: string }
  /** What came is not what was recorded at the scan. */
  | { readonly kind: 'differs'; readonly reason: string };

/** Null: nobody has asked for it. */
export async function readArf(
  db: Queryable,
  args: { readonly endpointId: string; readonly checklistId: number },
): Promise<ArfCopy | null> {
  const { rows } = await db.query<{
    bytes: Buffer | null;
    sha256: string | null;
    problem: string | null;
    ended: boolean;
    state: string | null;
    said: string | null;
  }>(
    `SELECT a.bytes, a.sha256, a.problem, coalesce(o.phase = 'done', false) AS ended, o.state,
            (SELECT left(coalesce(v.detail ->> 'problem', v.detail ->> 'reason'), 500) FROM order_event v
              WHERE v.order_id = a.order_id AND coalesce(v.detail ->> 'problem', v.detail ->> 'reason') IS NOT NULL ORDER BY v.id DESC LIMIT 1) AS said
       FROM arf_copy a LEFT JOIN order_state o ON o.id = a.order_id WHERE a.endpoint_id = $1 AND a.checklist_id = $2`,
    [args.endpointId, args.checklistId],
  );
  const [row] = rows;
  if (row === undefined) return null;
  if (row.bytes !== null && row.sha256 !== null) return { kind: 'here', bytes: row.bytes, sha256: row.sha256 };
  if (row.problem !== null) return { kind: 'differs', reason: row.problem };
  if (!row.ended) return { kind: 'waiting' };
  const silent = row.state === 'expired' ? 'it never fetched the order in time' : `its order ended as ${row.state}`;
  return { kind: 'gone', reason: row.said ?? silent };
}

export type ArfStored = 'kept' | 'differs' | 'notAsked';

/**
 * Keeps what an endpoint hands over, if it is what was recorded at a scan: at the newest one when it was asked for, or at a newer one since. Else
 * it says so in its place.
 */
export async function storeArf(
  db: Queryable,
  args: {
    readonly endpointId: string;
    readonly orderId: string;
    readonly bytes: Buffer;
    readonly sha256: string;
    readonly now: EpochMs;
  },
): Promise<ArfStored> {
  const { rows } = await db.query<{ kept: boolean }>(
    `UPDATE arf_copy a
        SET bytes = CASE WHEN x.same THEN $3::bytea END, sha256 = $4, fetched_at = to_timestamp($5 / 1000.0),
            problem = CASE WHEN NOT x.same THEN 'what the endpoint handed over has SHA-256 ' || $4 || ', and at the scan it recorded '
                                                || coalesce(x.recorded, 'none') END
       FROM (SELECT c.checklist_id, coalesce(m.arf_sha256, c.expected_sha256) AS recorded,
                    coalesce($4 IN (c.expected_sha256, m.arf_sha256), false) AS same
               FROM arf_copy c LEFT JOIN assessment m USING (endpoint_id, checklist_id) WHERE c.endpoint_id = $1 AND c.order_id = $2) x
      WHERE a.endpoint_id = $1 AND a.order_id = $2 AND a.checklist_id = x.checklist_id RETURNING a.bytes IS NOT NULL AS kept`,
    [args.endpointId, args.orderId, args.bytes, args.sha256, args.now],
  );
  const [row] = rows;
  return row === undefined ? 'notAsked' : row.kept ? 'kept' : 'differs';
}
