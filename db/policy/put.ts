import { randomUUID } from 'node:crypto';
import type { PoolClient } from 'pg';
import type { PolicyDocument } from '../../domain/policy/policy-set.js';
import type { EpochMs } from '../../domain/time.js';
import type { Queryable } from '../pool.js';

/** Stores a new version of the policy set of this name; earlier ones stay, for the plans made under them. */
export async function putPolicySet(
  client: PoolClient,
  args: { name: string; precedence: number; document: PolicyDocument; createdBy: string; now: EpochMs },
): Promise<{ id: string; version: number }> {
  await lockPolicyName(client, args.name);
  const { rows } = await client.query<{ id: string; version: number }>(
    `UPDATE policy_set SET retired_at = to_timestamp($2 / 1000.0) WHERE name = $1 AND retired_at IS NULL RETURNING id, version`,
    [args.name, args.now],
  );
  const id = rows[0]?.id ?? randomUUID();
  const version = (rows[0]?.version ?? 0) + 1;
  await client.query(
    `INSERT INTO policy_set (id, version, name, precedence, document, created_by) VALUES ($1, $2, $3, $4, $5, $6)`,
    [id, version, args.name, args.precedence, JSON.stringify(args.document), args.createdBy],
  );
  return { id, version };
}

/** Policy sets in force. */
export async function listPolicySets(db: Queryable, name: string | null = null): Promise<object[]> {
  const { rows } = await db.query<object>(
    `SELECT id, version, name, precedence, document, created_by AS "createdBy", created_at AS "createdAt" FROM policy_set
      WHERE retired_at IS NULL AND ($1::text IS NULL OR name = $1) ORDER BY precedence DESC, name`,
    [name],
  );
  return rows;
}

/** Every version ever in force under the name, newest first; one that was retired and made anew begins again at 1. */
export async function listPolicyVersions(db: Queryable, name: string): Promise<object[]> {
  const { rows } = await db.query<object>(
    `SELECT id, version, name, precedence, document, created_by AS "createdBy", created_at AS "createdAt",
            retired_at AS "retiredAt"
       FROM policy_set WHERE name = $1 ORDER BY created_at DESC, version DESC`,
    [name],
  );
  return rows;
}

/** Takes the policy set out of force; its versions stay. @returns its id, or null when none of that name is in force */
export async function retirePolicySet(client: PoolClient, name: string, now: EpochMs): Promise<string | null> {
  await lockPolicyName(client, name);
  const { rows } = await client.query<{ id: string }>(
    'UPDATE policy_set SET retired_at = to_timestamp($2 / 1000.0) WHERE name = $1 AND retired_at IS NULL RETURNING id',
    [name, now],
  );
  return rows[0]?.id ?? null;
}

/** One writer per name at a time, also for a name that is not there yet. */
async function lockPolicyName(client: PoolClient, name: string): Promise<void> {
  await client.query(`SELECT pg_advisory_xact_lock(hashtextextended('policy_set/' || $1, 0))`, [name]);
}

export interface FreezeCalendarRow {
  readonly id: string;
  readonly name: string;
  readonly icalendar: string;
  readonly importedBy: string;
  readonly importedAt: Date;
}

export async function readFreezeCalendar(db: Queryable, name: string): Promise<FreezeCalendarRow | null> {
  const { rows } = await db.query<FreezeCalendarRow>(
    `SELECT id, name, icalendar, imported_by AS "importedBy", imported_at AS "importedAt" FROM freeze_calendar WHERE name = $1`,
    [name],
  );
  return rows[0] ?? null;
}

/** Policy sets in force that obey the calendar. */
export async function policySetsOfCalendar(db: Queryable, name: string): Promise<string[]> {
  const { rows } = await db.query<{ name: string }>(
    `SELECT name FROM policy_set WHERE retired_at IS NULL AND document -> 'freezeCalendars' ? $1 ORDER BY name`,
    [name],
  );
  return rows.map((row) => row.name);
}

/** @returns its id; null when there is none of that name */
export async function deleteFreezeCalendar(client: PoolClient, name: string): Promise<string | null> {
  const { rows } = await client.query<{ id: string }>('DELETE FROM freeze_calendar WHERE name = $1 RETURNING id', [
    name,
  ]);
  return rows[0]?.id ?? null;
}

/** Which of the names no freeze calendar has. */
export async function unknownCalendars(db: Queryable, names: readonly string[]): Promise<string[]> {
  if (names.length === 0) return [];
  const { rows } = await db.query<{ name: string }>(
    'SELECT wanted AS name FROM unnest($1::text[]) AS wanted WHERE NOT EXISTS (SELECT FROM freeze_calendar WHERE name = wanted)',
    [names],
  );
  return rows.map((row) => row.name);
}

export async function putFreezeCalendar(
  client: PoolClient,
  args: { name: string; icalendar: string; importedBy: string; now: EpochMs },
): Promise<string> {
  const { rows } = await client.query<{ id: string }>(
    `INSERT INTO freeze_calendar (id, name, icalendar, imported_by, imported_at) VALUES ($1, $2, $3, $4, to_timestamp($5 / 1000.0))
     ON CONFLICT (name) DO UPDATE SET icalendar = excluded.icalendar, imported_by = excluded.imported_by,
       imported_at = excluded.imported_at
     RETURNING id`,
    [randomUUID(), args.name, args.icalendar, args.importedBy, args.now],
  );
  return rows[0]?.id ?? '';
}

export async function listFreezeCalendars(db: Queryable): Promise<object[]> {
  const { rows } = await db.query<object>(
    `SELECT id, name, imported_by AS "importedBy", imported_at AS "importedAt", length(icalendar) AS characters
       FROM freeze_calendar ORDER BY name`,
  );
  return rows;
}
