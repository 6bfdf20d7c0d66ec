import type { ScopeEndpoint } from '../../domain/change/scope.js';
import { SELECTABLE_COLUMNS, toSelectable } from '../endpoints/selectable.js';
import { wakeWithinHours } from '../orders/rows.js';
import type { Queryable } from '../pool.js';

/** Every endpoint but the retired ones nobody scans any more, with what planning needs to know of it. */
export async function loadScopeEndpoints(
  db: Queryable,
  args: { readonly endpointIds?: readonly string[] } = {},
): Promise<ScopeEndpoint[]> {
  const { rows } = await db.query(
    `SELECT ${SELECTABLE_COLUMNS}, e.state_reason, e.hold_until, e.hold_reason,
            CASE WHEN last.complete THEN last.received_at ELSE done.received_at END AS scanned_at,
            CASE WHEN last.complete THEN last.provider ELSE done.provider END AS provider,
            CASE WHEN NOT last.complete THEN coalesce(last.incomplete_reason, 'no reason given') END AS incomplete_reason
       FROM endpoint e
       LEFT JOIN LATERAL (SELECT complete, incomplete_reason, received_at, provider FROM scan s
                           WHERE s.endpoint_id = e.id AND s.received_at >= coalesce(e.identity_since, '-infinity')
                          ORDER BY received_at DESC LIMIT 1) last ON true
       -- Looked for only where the last one is not it.
       LEFT JOIN LATERAL (SELECT received_at, provider FROM scan s
                           WHERE NOT last.complete AND s.endpoint_id = e.id AND complete
                             AND s.received_at >= coalesce(e.identity_since, '-infinity')
                          ORDER BY received_at DESC LIMIT 1) done ON true
      WHERE $1::uuid[] IS NULL OR e.id = ANY ($1)
      ORDER BY e.id`,
    [args.endpointIds ?? null],
  );
  return rows.map((row) => ({
    ...toSelectable(row),
    state: row.state,
    stateReason: row.state_reason,
    scanOnly: row.scan_only,
    simulated: row.simulated,
    holdUntil: row.hold_until?.getTime() ?? null,
    holdReason: row.hold_reason,
    scannedAt: row.scanned_at?.getTime() ?? null,
    incompleteReason: row.incomplete_reason,
    provider: row.provider,
  }));
}

/** Asks these endpoints for a scan that has yet to begin, at their next poll, and wakes those that listen. */
export async function askForScans(db: Queryable, endpointIds: readonly string[]): Promise<void> {
  if (endpointIds.length === 0) return;
  // In the order in which everybody locks endpoints: scans come in meanwhile.
  await db.query(
    `WITH asked AS MATERIALIZED (SELECT id FROM endpoint WHERE id = ANY ($1::uuid[]) ORDER BY id FOR NO KEY UPDATE)
     UPDATE endpoint e SET wants_scan = true, scan_wanted_at = now() FROM asked a WHERE e.id = a.id`,
    [endpointIds],
  );
  await wakeWithinHours(db, endpointIds);
}
