/** Full results on demand: asked for, handed over by the endpoint, kept until they are asked for again. */
import type { PoolClient } from 'pg';
import type { EpochMs } from '../../domain/time.js';
import type { Queryable } from '../pool.js';

/** @returns whether the endpoint has full results of this checklist to hand over */
export async function requestArf(
  client: PoolClient,
  args: { readonly endpointId: string; readonly checklistId: number; readonly by: string; readonly now: EpochMs },
): Promise<boolean> {
  const { rowCount } = await client.query(
    `INSERT INTO arf_copy (endpoint_id, checklist_id, requested_by, requested_at)
     SELECT endpoint_id, checklist_id, $3, to_timestamp($4 / 1000.0) FROM assessment
      WHERE endpoint_id = $1 AND checklist_id = $2 AND arf_sha256 IS NOT NULL
     ON CONFLICT (endpoint_id, checklist_id) DO UPDATE
       SET requested_by = excluded.requested_by, requested_at = excluded.requested_at, order_id = NULL, bytes = NULL, sha256 = NULL,
           fetched_at = NULL`,
    [args.endpointId, args.checklistId, args.by, args.now],
  );
  return rowCount === 1;
}

export interface ArfCopy {
  readonly bytes: Buffer | null;
  readonly fetchedAt: Date | null;
}

export async function readArf(
  db: Queryable,
  args: { readonly endpointId: string; readonly checklistId: number },
): Promise<ArfCopy | null> {
  const { rows } = await db.query<ArfCopy>(
    'SELECT bytes, fetched_at AS "fetchedAt" FROM arf_copy WHERE endpoint_id = $1 AND checklist_id = $2',
    [args.endpointId, args.checklistId],
  );
  return rows[0] ?? null;
}

/** @returns whether this endpoint was asked for it by this order */
export async function storeArf(
  db: Queryable,
  args: {
    readonly endpointId: string;
    readonly orderId: string;
    readonly bytes: Buffer;
    readonly sha256: string;
    readonly now: EpochMs;
  },
): Promise<boolean> {
  const { rowCount } = await db.query(
    `UPDATE arf_copy SET bytes = $3, sha256 = $4, fetched_at = to_timestamp($5 / 1000.0) WHERE endpoint_id = $1 AND order_id = $2`,
    [args.endpointId, args.orderId, args.bytes, args.sha256, args.now],
  );
  return rowCount === 1;
}
