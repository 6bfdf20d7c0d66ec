/** What people say about endpoints. Each in the caller's transaction, beside its audit entry. */
import type { PoolClient } from 'pg';
import type { StakeholderKind } from '../../domain/approval/rule.js';
import type { Level } from '../../domain/fleet/selector-condition.js';
import type { EpochMs } from '../../domain/time.js';
import { wakeWithinHours } from '../orders/rows.js';
import type { Queryable } from '../pool.js';

export interface EndpointEdit {
  readonly labels?: Readonly<Record<string, string>> | undefined;
  readonly zone?: string | undefined;
  /** Null: not known any more. */
  readonly function?: string | null | undefined;
  readonly sensitivity?: Level | null | undefined;
  readonly attackLikelihood?: Level | null | undefined;
  /** Null lifts the hold. */
  readonly hold?: { readonly until: EpochMs; readonly reason: string } | null | undefined;
}

/** @returns false when there is no such endpoint. What is not given stays. */
export async function editEndpoint(client: PoolClient, id: string, edit: EndpointEdit): Promise<boolean> {
  const { rowCount } = await client.query(
    `UPDATE endpoint SET labels = coalesce($2::jsonb, labels), zone = coalesce($3, zone),
            hold_until = CASE WHEN $4 THEN to_timestamp($5::float8 / 1000.0) ELSE hold_until END,
            hold_reason = CASE WHEN $4 THEN $6 ELSE hold_reason END,
            function = CASE WHEN $7 THEN $8 ELSE function END,
            sensitivity = CASE WHEN $9 THEN $10 ELSE sensitivity END,
            attack_likelihood = CASE WHEN $11 THEN $12 ELSE attack_likelihood END
      WHERE id = $1`,
    [
      id,
      edit.labels === undefined ? null : JSON.stringify(edit.labels),
      edit.zone ?? null,
      edit.hold !== undefined,
      edit.hold?.until ?? null,
      edit.hold?.reason ?? null,
      edit.function !== undefined,
      edit.function ?? null,
      edit.sensitivity !== undefined,
      edit.sensitivity ?? null,
      edit.attackLikelihood !== undefined,
      edit.attackLikelihood ?? null,
    ],
  );
  return rowCount === 1;
}

/** All that `editEndpoint` can change, and whether it still can; null when there is no such endpoint. */
export async function readEditable(db: Queryable, id: string): Promise<object | null> {
  const { rows } = await db.query<object>(
    `SELECT labels, zone, hold_until AS "holdUntil", hold_reason AS "holdReason", function, sensitivity,
            attack_likelihood AS "attackLikelihood", state FROM endpoint WHERE id = $1`,
    [id],
  );
  return rows[0] ?? null;
}

/** Asks for a scan that has yet to begin, at the endpoint's next poll, and hints to it that polling now is worth it. */
export async function wantScan(client: PoolClient, id: string): Promise<boolean> {
  const { rowCount } = await client.query(
    `UPDATE endpoint SET wants_scan = true, scan_wanted_at = now() WHERE id = $1 AND state = 'active'`,
    [id],
  );
  await wakeWithinHours(client, [id]);
  return rowCount === 1;
}

/** Replaces who has this part in the endpoint. */
export async function setStakeholders(
  client: PoolClient,
  args: { endpointId: string; kind: StakeholderKind; accountIds: readonly string[] },
): Promise<void> {
  await client.query('DELETE FROM stakeholder WHERE endpoint_id = $1 AND kind = $2 AND NOT account_id = ANY($3)', [
    args.endpointId,
    args.kind,
    args.accountIds,
  ]);
  await client.query(
    `INSERT INTO stakeholder (endpoint_id, kind, account_id) SELECT $1, $2, unnest($3::uuid[]) ON CONFLICT DO NOTHING`,
    [args.endpointId, args.kind, args.accountIds],
  );
}
