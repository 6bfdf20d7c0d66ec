/** Ticket systems as rows: how each is set up (the web tier's), and how it has been doing (the worker's). */
import type { PoolClient } from 'pg';
import type { TicketPolicy } from '../../domain/ticket/policy.js';
import type { EpochMs } from '../../domain/time.js';
import type { Queryable } from '../pool.js';

/** A system as its worker needs it. */
export interface WorkingSystem {
  readonly id: string;
  readonly name: string;
  readonly provider: string;
  readonly settings: unknown;
  readonly policy: TicketPolicy;
  /** Sealed; null: none was given. */
  readonly secret: string | null;
  readonly version: number;
  readonly checkedVersion: number | null;
  readonly problem: string | null;
  readonly checkedAt: EpochMs | null;
  readonly failures: number;
  readonly pausedUntil: EpochMs | null;
  readonly heardUntil: EpochMs | null;
}

const ACTIVE = 's.active AND s.retired_at IS NULL';

/** SQL: there is a system to work with. */
export const ANY_SYSTEM = `EXISTS (SELECT FROM ticket_system s WHERE ${ACTIVE})`;

/** Systems to work with: neither retired nor switched off. */
export async function loadActiveSystems(db: Queryable): Promise<readonly WorkingSystem[]> {
  const { rows } = await db.query<WorkingSystem>(
    `SELECT s.id, s.name, s.provider, s.settings, s.policy, s.secret, s.version, t.checked_version AS "checkedVersion", t.problem,
            (extract(epoch FROM t.checked_at) * 1000)::float8 AS "checkedAt",
            coalesce(t.failures, 0) AS failures, (extract(epoch FROM t.paused_until) * 1000)::float8 AS "pausedUntil",
            (extract(epoch FROM t.heard_until) * 1000)::float8 AS "heardUntil"
       FROM ticket_system s LEFT JOIN ticket_system_state t ON t.system_id = s.id
      WHERE ${ACTIVE} ORDER BY s.created_at`,
  );
  return rows;
}

/** The system could not be reached: it is left alone until then. */
export async function noteAway(
  db: Queryable,
  args: { readonly systemId: string; readonly error: string; readonly until: EpochMs; readonly now: EpochMs },
): Promise<void> {
  await db.query(
    `INSERT INTO ticket_system_state AS s (system_id, failures, failing_since, last_error, paused_until)
     VALUES ($1, 1, to_timestamp($4 / 1000.0), $2, to_timestamp($3 / 1000.0))
     ON CONFLICT (system_id) DO UPDATE SET failures = s.failures + 1, failing_since = coalesce(s.failing_since, excluded.failing_since),
       last_error = excluded.last_error, paused_until = excluded.paused_until`,
    [args.systemId, args.error.slice(0, 1_000), args.until, args.now],
  );
}

/** It answered. Writes only when that is news. */
export async function noteBack(db: Queryable, systemId: string): Promise<void> {
  await db.query(
    `UPDATE ticket_system_state SET failures = 0, failing_since = NULL, paused_until = NULL WHERE system_id = $1 AND failures > 0`,
    [systemId],
  );
}

/** What was found when looking whether a version of its set-up works. @param args.problem null: nothing is wrong */
export async function noteChecked(
  db: Queryable,
  args: { readonly systemId: string; readonly version: number; readonly problem: string | null; readonly now: EpochMs },
): Promise<void> {
  await db.query(
    `INSERT INTO ticket_system_state AS s (system_id, checked_version, checked_at, problem) VALUES ($1, $2, to_timestamp($4 / 1000.0), $3)
     ON CONFLICT (system_id) DO UPDATE SET checked_version = excluded.checked_version, checked_at = excluded.checked_at, problem = excluded.problem`,
    [args.systemId, args.version, args.problem?.slice(0, 1_000) ?? null, args.now],
  );
}

/** Whether it is time to ask a system what people did; who is told so does it, and nobody else until `nextAt`. */
export async function claimHearing(
  db: Queryable,
  args: { readonly systemId: string; readonly now: EpochMs; readonly nextAt: EpochMs },
): Promise<boolean> {
  const { rowCount } = await db.query(
    `INSERT INTO ticket_system_state AS s (system_id, hear_after) VALUES ($1, to_timestamp($3 / 1000.0))
     ON CONFLICT (system_id) DO UPDATE SET hear_after = excluded.hear_after
       WHERE s.hear_after IS NULL OR s.hear_after <= to_timestamp($2 / 1000.0)`,
    [args.systemId, args.now, args.nextAt],
  );
  return rowCount === 1;
}

export async function noteHeard(
  client: Queryable,
  args: { readonly systemId: string; readonly until: EpochMs },
): Promise<void> {
  await client.query(
    `INSERT INTO ticket_system_state AS s (system_id, heard_until) VALUES ($1, to_timestamp($2 / 1000.0))
     ON CONFLICT (system_id) DO UPDATE SET heard_until = greatest(s.heard_until, excluded.heard_until)`,
    [args.systemId, args.until],
  );
}

export interface NewSystem {
  readonly id: string;
  readonly name: string;
  readonly provider: string;
  readonly settings: unknown;
  readonly policy: TicketPolicy;
  readonly secret: string | null;
  readonly hookSecret: string | null;
  readonly active: boolean;
  readonly createdBy: string;
  readonly now: EpochMs;
}

export async function insertSystem(client: PoolClient, system: NewSystem): Promise<void> {
  await client.query(
    `INSERT INTO ticket_system (id, name, provider, settings, policy, secret, hook_secret, active, created_by, created_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, to_timestamp($10 / 1000.0))`,
    [
      system.id,
      system.name,
      system.provider,
      JSON.stringify(system.settings),
      JSON.stringify(system.policy),
      system.secret,
      system.hookSecret,
      system.active,
      system.createdBy,
      system.now,
    ],
  );
}

export interface SystemEdit {
  readonly id: string;
  readonly name?: string | undefined;
  readonly settings?: unknown;
  readonly policy?: TicketPolicy | undefined;
  readonly active?: boolean | undefined;
  /** Sealed. */
  readonly secret?: string | undefined;
  /** Encrypted; the one before stays good for a day. */
  readonly hookSecret?: string | undefined;
  readonly hookSecretBeforeUntil: EpochMs;
}

/** What is not given stays. Each edit is a version, so that the worker looks whether it works. */
export async function editSystem(client: PoolClient, edit: SystemEdit): Promise<void> {
  await client.query(
    `UPDATE ticket_system SET name = coalesce($2, name), settings = coalesce($3, settings), policy = coalesce($4, policy),
            active = coalesce($5, active), version = version + 1,
            hook_secret_before = CASE WHEN $6::text IS NULL THEN hook_secret_before ELSE hook_secret END,
            hook_secret_before_until = CASE WHEN $6::text IS NULL THEN hook_secret_before_until ELSE to_timestamp($7 / 1000.0) END,
            hook_secret = coalesce($6, hook_secret)
      WHERE id = $1`,
    [
      edit.id,
      edit.name ?? null,
      edit.settings === undefined ? null : JSON.stringify(edit.settings),
      edit.policy === undefined ? null : JSON.stringify(edit.policy),
      edit.active ?? null,
      edit.hookSecret ?? null,
      edit.hookSecretBeforeUntil,
    ],
  );
  // On its own: the web tier may write this column and not read it, so it can't be kept by coalesce.
  if (edit.secret !== undefined)
    await client.query('UPDATE ticket_system SET secret = $2 WHERE id = $1', [edit.id, edit.secret]);
}

export async function retireSystem(
  client: PoolClient,
  args: { readonly id: string; readonly now: EpochMs },
): Promise<void> {
  await client.query(`UPDATE ticket_system SET retired_at = to_timestamp($2 / 1000.0), active = false WHERE id = $1`, [
    args.id,
    args.now,
  ]);
}

/** The key that secrets are sealed with for the worker; null before a worker has started. */
export const SEALING_KEY_SETTING = 'ticketSealingKey';

export async function publishSealingKey(db: Queryable, publicKey: string): Promise<void> {
  await db.query(
    `INSERT INTO setting (key, value) VALUES ($1, to_jsonb($2::text)) ON CONFLICT (key) DO UPDATE SET value = excluded.value
      WHERE setting.value <> excluded.value`,
    [SEALING_KEY_SETTING, publicKey],
  );
}
