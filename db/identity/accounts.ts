/** Accounts, their roles and their API tokens. */
import { randomBytes, randomUUID } from 'node:crypto';
import type { PoolClient } from 'pg';
import type { Role } from '../../domain/approval/rule.js';
import type { EpochMs } from '../../domain/time.js';
import type { Queryable } from '../pool.js';
import { hashToken } from './people.js';

export interface AccountRow {
  readonly id: string;
  readonly name: string;
  readonly email: string;
  readonly zone: string;
  readonly roles: readonly Role[];
  readonly canSignIn: boolean;
  readonly disabled: boolean;
}

/** @returns the account's id; null when the e-mail address is taken (stored in lower case). */
export async function insertAccount(
  client: PoolClient,
  account: {
    name: string;
    email: string;
    zone: string;
    secondChannel: string | null;
    passwordHash: string | null;
    roles: readonly Role[];
  },
): Promise<string | null> {
  const id = randomUUID();
  const { rowCount } = await client.query(
    `INSERT INTO account (id, name, email, zone, second_channel, password_hash) VALUES ($1, $2, lower($3), $4, $5, $6)
     ON CONFLICT (email) DO NOTHING`,
    [id, account.name, account.email, account.zone, account.secondChannel, account.passwordHash],
  );
  if (rowCount === 0) return null;
  await setRoles(client, id, account.roles);
  return id;
}

/** Replaces the account's roles. */
export async function setRoles(client: PoolClient, accountId: string, roles: readonly Role[]): Promise<void> {
  await client.query('DELETE FROM role_grant WHERE account_id = $1 AND NOT role = ANY($2)', [accountId, roles]);
  await client.query('INSERT INTO role_grant (account_id, role) SELECT $1, unnest($2::text[]) ON CONFLICT DO NOTHING', [
    accountId,
    roles,
  ]);
}

/** @returns false when there is no such account. Ends the account's sessions: whoever knew the old password is out. */
export async function setPassword(client: PoolClient, accountId: string, passwordHash: string): Promise<boolean> {
  const { rowCount } = await client.query('UPDATE account SET password_hash = $2 WHERE id = $1', [
    accountId,
    passwordHash,
  ]);
  await client.query(`DELETE FROM web_session WHERE sess ->> 'accountId' = $1`, [accountId]);
  return rowCount === 1;
}

/** Disabling ends sessions at once, too: every request reads the account. */
export async function setDisabled(client: PoolClient, accountId: string, at: EpochMs | null): Promise<boolean> {
  const { rowCount } = await client.query(
    'UPDATE account SET disabled_at = to_timestamp($2::float8 / 1000.0) WHERE id = $1',
    [accountId, at],
  );
  return rowCount === 1;
}

export async function readAccounts(db: Queryable, id: string | null = null): Promise<AccountRow[]> {
  const { rows } = await db.query<AccountRow>(
    `SELECT a.id, a.name, a.email, a.zone, a.password_hash IS NOT NULL AS "canSignIn", a.disabled_at IS NOT NULL AS disabled,
            coalesce((SELECT array_agg(g.role ORDER BY g.role) FROM role_grant g WHERE g.account_id = a.id), '{}') AS roles
       FROM account a WHERE $1::uuid IS NULL OR a.id = $1 ORDER BY a.email LIMIT 1000`,
    [id],
  );
  return rows;
}

/** Which of the accounts named do not exist. */
export async function unknownAccounts(db: Queryable, ids: readonly string[]): Promise<string[]> {
  const { rows } = await db.query<{ id: string }>(
    'SELECT wanted AS id FROM unnest($1::uuid[]) AS wanted WHERE NOT EXISTS (SELECT FROM account WHERE id = wanted)',
    [ids],
  );
  return rows.map((row) => row.id);
}

/** A new token; its text is returned once and only its hash is stored. */
export async function createApiToken(
  client: PoolClient,
  token: { name: string; accountId: string | null; role: Role; expiresAt: EpochMs | null },
): Promise<{ id: string; token: string }> {
  const id = randomUUID();
  const text = `rmt_${randomBytes(32).toString('base64url')}`;
  await client.query(
    `INSERT INTO api_token (id, token_hash, name, account_id, role, expires_at)
     VALUES ($1, $2, $3, $4, $5, to_timestamp($6::float8 / 1000.0))`,
    [id, hashToken(text), token.name, token.accountId, token.role, token.expiresAt],
  );
  return { id, token: text };
}
