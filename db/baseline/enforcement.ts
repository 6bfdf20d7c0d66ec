/** Which enforced baselines are due a change of their own. */
import type { PoolClient } from 'pg';
import { type Enforcement, enforcementName, enforcementSchema } from '../../domain/baseline/enforcement.js';
import type { Selector } from '../../domain/fleet/selector.js';
import type { EpochMs } from '../../domain/time.js';

export interface DueEnforcement {
  readonly assignment: string;
  readonly scope: Selector;
  readonly enforcement: Enforcement;
}

/**
 * Assignments with a failing rule that has a fix on an endpoint where they are enforced, no change of theirs open, and none begun
 * within their pause. Their rows stay locked, so that two workers make one change.
 */
export async function takeDueEnforcements(client: PoolClient, now: EpochMs): Promise<DueEnforcement[]> {
  const { rows } = await client.query<{ name: string; applies_to: Selector; enforcement: unknown }>(
    `SELECT a.name, a.applies_to, a.enforcement FROM baseline_assignment a
      WHERE a.enforcement IS NOT NULL
        AND EXISTS (SELECT FROM assessment_target t JOIN assessment m USING (endpoint_id, checklist_id)
                      JOIN checklist_rule r ON r.checklist_id = t.checklist_id
                     WHERE t.assignment_id = a.id AND t.mode = 'enforce' AND m.failed > 0 AND r.fix_sha256 IS NOT NULL
                       AND substr(m.results, r.position + 1, 1) = 'f')
      ORDER BY a.name FOR UPDATE OF a SKIP LOCKED`,
  );
  const due: DueEnforcement[] = [];
  for (const row of rows) {
    const read = enforcementSchema.safeParse(row.enforcement);
    if (!read.success) continue;
    const { rowCount } = await client.query(
      `SELECT FROM change WHERE kind = 'remediation' AND name = $1
          AND (closed_at IS NULL OR requested_at > to_timestamp(($2::float8 - $3::float8 * 60000) / 1000.0)) LIMIT 1`,
      [enforcementName(row.name), now, read.data.everyMinutes],
    );
    if (rowCount === 0) due.push({ assignment: row.name, scope: row.applies_to, enforcement: read.data });
  }
  return due;
}
