/** Accounts, their roles and their API tokens. */
import { randomBytes, randomUUID } from 'node:crypto';
import type { PoolClient } from 'pg';
import { isRole } from '../../domain/identity/grants.js';
import type { EpochMs } from '../../domain/time.js';
import type { Queryable } from '../pool.js';
import { hashToken, type TokenRow } from './people.js';

export interface AccountRow {
  readonly id: string;
  readonly name: string;
  readonly email: string;
  readonly zone: string;
  /** Built-in, then custom. */
  readonly roles: readonly string[];
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
    roles: readonly string[];
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

/** Replaces the account's roles, built-in and custom; custom ones exist (`unknownRoles`). */
export async function setRoles(client: PoolClient, accountId: string, roles: readonly string[]): Promise<void> {
  const [builtIn, custom] = [roles.filter(isRole), roles.filter((role) => !isRole(role))];
  await client.query('DELETE FROM role_grant WHERE account_id = $1 AND NOT role = ANY($2)', [accountId, builtIn]);
  await client.query('INSERT INTO role_grant (account_id, role) SELECT $1, unnest($2::text[]) ON CONFLICT DO NOTHING', [
    accountId,
    builtIn,
  ]);
  await client.query('DELETE FROM account_custom_role WHERE account_id = $1 AND NOT role = ANY($2)', [
    accountId,
    custom,
  ]);
  await client.query(
    'INSERT INTO account_custom_role (account_id, role) SELECT $1, unnest($2::text[]) ON CONFLICT DO NOTHING',
    [accountId, custom],
  );
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
            coalesce((SELECT array_agg(g.role ORDER BY g.role) FROM role_grant g WHERE g.account_id = a.id), '{}') ||
            coalesce((SELECT array_agg(c.role ORDER BY c.role) FROM account_custom_role c WHERE c.account_id = a.id), '{}') AS roles
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

export interface NewToken {
  readonly name: string;
  readonly accountId: string | null;
  /** Built-in or custom. */
  readonly role: string;
  readonly scopes: readonly string[];
  readonly expiresAt: EpochMs | null;
}

/** A new token; its text is returned once and only its hash is stored. */
export async function createApiToken(client: PoolClient, token: NewToken): Promise<{ id: string; token: string }> {
  const id = randomUUID();
  const text = `rmt_${randomBytes(32).toString('base64url')}`;
  const [role, custom] = isRole(token.role) ? [token.role, null] : [null, token.role];
  await client.query(
    `INSERT INTO api_token (id, token_hash, name, account_id, role, custom_role, scopes, expires_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, to_timestamp($8::float8 / 1000.0))`,
    [id, hashToken(text), token.name, token.accountId, role, custom, token.scopes, token.expiresAt],
  );
  return { id, token: text };
}

export interface TokenListRow extends TokenRow {
  readonly createdAt: Date;
  readonly revokedAt: Date | null;
}

/** The account's tokens, newest first; revoked ones stay to be seen. */
export async function listTokens(db: Queryable, accountId: string): Promise<TokenListRow[]> {
  const { rows } = await db.query<TokenListRow>(
    `SELECT id, name, coalesce(role, custom_role) AS role, scopes, expires_at AS "expiresAt", created_at AS "createdAt",
            revoked_at AS "revokedAt"
       FROM api_token WHERE account_id = $1 ORDER BY created_at DESC, id LIMIT 1000`,
    [accountId],
  );
  return rows;
}

/** @returns false when the account has no such token, or it is revoked already */
export async function revokeToken(
  client: PoolClient,
  args: { readonly accountId: string; readonly tokenId: string; readonly now: EpochMs },
): Promise<boolean> {
  const { rowCount } = await client.query(
    `UPDATE api_token SET revoked_at = to_timestamp($3::float8 / 1000.0)
      WHERE account_id = $1 AND id = $2 AND revoked_at IS NULL`,
    [args.accountId, args.tokenId, args.now],
  );
  return rowCount === 1;
}
