import type { PlanRow, PlanWork, TriageNote } from '../../domain/change/kind-plan.js';
import type { PlanHeader } from '../../domain/content/index.js';
import type { EpochMs } from '../../domain/time.js';
import type { Queryable } from '../pool.js';

export type { PlanRow, PlanWork, TriageNote };

/**
 * Replaces the plan of the rings that have yet to open; rows of `keepRings` stay as they were frozen. Set-based: three
 * statements for any number of endpoints. Call it under the change row's lock.
 */
export async function writePlanRows(
  db: Queryable,
  args: {
    readonly changeId: string;
    readonly revision: number;
    readonly keepRings: readonly number[];
    readonly works: readonly PlanWork[];
    readonly rows: readonly PlanRow[];
  },
): Promise<void> {
  const { works, rows } = args;
  const sets = new Map(works.map((work) => [work.set.digest, work]));
  await db.query(
    `INSERT INTO update_set (digest, items, previous)
     SELECT * FROM unnest($1::text[], $2::jsonb[], $3::jsonb[])
     ON CONFLICT (digest) DO UPDATE SET previous = excluded.previous
      WHERE jsonb_array_length(excluded.previous) > jsonb_array_length(update_set.previous)`,
    [
      [...sets.keys()],
      [...sets.values()].map((work) => JSON.stringify(work.set.updates)),
      [...sets.values()].map((work) => JSON.stringify(work.previous)),
    ],
  );
  await db.query('DELETE FROM plan_endpoint WHERE change_id = $1 AND (ring IS NULL OR ring <> ALL ($2::smallint[]))', [
    args.changeId,
    args.keepRings,
  ]);
  await db.query(
    `INSERT INTO plan_endpoint (change_id, endpoint_id, revision, ring, wave, update_set_digest, provider, reversibility,
                                triage, policy_set_id, policy_version, policy_reason, reason, skipped_by)
     SELECT $1, r.endpoint_id, $2, r.ring, r.wave, w.digest, w.provider, w.reversibility, coalesce(w.triage, '[]'),
            r.policy_id, r.policy_version, r.policy_reason, r.reason, r.skipped_by
       FROM unnest($3::uuid[], $4::smallint[], $5::smallint[], $6::int[], $7::uuid[], $8::int[], $9::text[], $10::text[], $11::text[])
              AS r (endpoint_id, ring, wave, work, policy_id, policy_version, policy_reason, reason, skipped_by)
       LEFT JOIN unnest($12::int[], $13::text[], $14::text[], $15::text[], $16::jsonb[])
              AS w (work, digest, provider, reversibility, triage) ON w.work = r.work
     ON CONFLICT (change_id, endpoint_id) DO NOTHING`,
    [
      args.changeId,
      args.revision,
      rows.map((r) => r.endpointId),
      rows.map((r) => r.ring),
      rows.map((r) => r.wave),
      rows.map((r) => r.work),
      rows.map((r) => r.policyId),
      rows.map((r) => r.policyVersion),
      rows.map((r) => r.policyReason),
      rows.map((r) => r.reason),
      rows.map((r) => r.skippedBy),
      works.map((_, index) => index),
      works.map((w) => w.set.digest),
      works.map((w) => w.provider),
      works.map((w) => w.reversibility),
      works.map((w) => JSON.stringify(w.triage)),
    ],
  );
}

/** Makes a frozen plan the one in force. */
export async function insertPlan(
  db: Queryable,
  args: {
    readonly changeId: string;
    readonly revision: number;
    readonly digest: string;
    readonly header: PlanHeader;
    readonly totals: Readonly<Record<string, unknown>>;
    readonly reason: string;
    readonly widened: boolean;
    readonly requestKey: string | null;
    readonly now: EpochMs;
  },
): Promise<void> {
  await db.query(
    `INSERT INTO plan (change_id, revision, digest, header, totals, reason, widened, request_key, frozen_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, to_timestamp($9 / 1000.0))`,
    [
      args.changeId,
      args.revision,
      args.digest,
      JSON.stringify(args.header),
      JSON.stringify(args.totals),
      args.reason,
      args.widened,
      args.requestKey,
      args.now,
    ],
  );
  await db.query('UPDATE change SET plan_digest = $2, plan_revision = $3 WHERE id = $1', [
    args.changeId,
    args.digest,
    args.revision,
  ]);
}

/**
 * Carries approvals over to a plan that asks for nothing more. Returns the rings whose approval now stands for the new
 * digest. With `onlyOpened`, rings that have yet to open are left behind.
 */
export async function carryApprovals(
  db: Queryable,
  args: { readonly changeId: string; readonly from: string; readonly to: string; readonly onlyOpened: boolean },
): Promise<number[]> {
  const { rows } = await db.query<{ ordinal: number }>(
    `UPDATE ring SET approved_digest = $3
      WHERE change_id = $1 AND approved_digest = $2 AND (NOT $4 OR state <> 'waiting') RETURNING ordinal`,
    [args.changeId, args.from, args.to, args.onlyOpened],
  );
  return rows.map((row) => row.ordinal).sort((a, b) => a - b);
}

/** Voids what was approved, and what is being asked, for rings that have yet to open. Returns the requests' ids. */
export async function voidApprovals(
  db: Queryable,
  args: { readonly changeId: string; readonly now: EpochMs },
): Promise<string[]> {
  await db.query(`UPDATE ring SET approved_digest = NULL WHERE change_id = $1 AND state = 'waiting'`, [args.changeId]);
  const { rows } = await db.query<{ id: string }>(
    `UPDATE approval_request a SET state = 'voided', closed_at = to_timestamp($2 / 1000.0)
       FROM ring r
      WHERE a.change_id = $1 AND a.state IN ('open', 'approved')
        AND r.change_id = a.change_id AND r.ordinal = a.ring AND r.state = 'waiting'
      RETURNING a.id`,
    [args.changeId, args.now],
  );
  return rows.map((row) => row.id);
}
