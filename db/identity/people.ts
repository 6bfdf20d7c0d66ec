/** Reads of who somebody is. */
import { createHash } from 'node:crypto';
import type { Role } from '../../domain/approval/rule.js';
import { ROLES } from '../../domain/identity/permissions.js';
import type { EpochMs } from '../../domain/time.js';
import type { Queryable } from '../pool.js';

export interface PersonRow {
  readonly accountId: string | null;
  /** The token's name; null for a session. */
  readonly tokenName: string | null;
  readonly name: string;
  readonly email: string | null;
  readonly roles: readonly Role[];
}

export function hashToken(token: string): string {
  return createHash('sha256').update(token, 'utf8').digest('hex');
}

/** The bearer of an API token that is neither revoked nor expired, nor of a disabled account; else null. */
export async function findByToken(db: Queryable, token: string, now: EpochMs): Promise<PersonRow | null> {
  const { rows } = await db.query<{
    id: string | null;
    name: string;
    account_name: string | null;
    email: string | null;
    role: Role;
    roles: Role[];
  }>(
    `SELECT a.id, t.name, a.name AS account_name, a.email, t.role,
            coalesce((SELECT array_agg(g.role) FROM role_grant g WHERE g.account_id = a.id), '{}') AS roles
       FROM api_token t LEFT JOIN account a ON a.id = t.account_id
      WHERE t.token_hash = $1 AND t.revoked_at IS NULL AND a.disabled_at IS NULL
        AND (t.expires_at IS NULL OR t.expires_at > to_timestamp($2 / 1000.0))`,
    [hashToken(token), now],
  );
  const row = rows[0];
  if (row === undefined) return null;
  return {
    accountId: row.id,
    tokenName: row.name,
    name: row.account_name ?? row.name,
    email: row.email,
    roles: row.id === null ? [row.role] : capped(row.role, row.roles),
  };
}

/** A token is never worth more than its account is now. */
function capped(token: Role, account: readonly Role[]): Role[] {
  const best = Math.min(...account.map((role) => ROLES.indexOf(role)));
  const role = ROLES[Math.max(best, ROLES.indexOf(token))];
  return account.length === 0 || role === undefined ? [] : [role];
}

/** The person of an account that is not disabled; else null. */
export async function findByAccount(db: Queryable, accountId: string): Promise<PersonRow | null> {
  const { rows } = await db.query<{ id: string; name: string; email: string; roles: Role[] }>(
    `SELECT a.id, a.name, a.email,
            coalesce((SELECT array_agg(g.role) FROM role_grant g WHERE g.account_id = a.id), '{}') AS roles
       FROM account a WHERE a.id = $1 AND a.disabled_at IS NULL`,
    [accountId],
  );
  const row = rows[0];
  if (row === undefined) return null;
  return { accountId: row.id, tokenName: null, name: row.name, email: row.email, roles: row.roles };
}

/** What a sign-in compares with; `email` is matched without regard to case. */
export async function findCredentials(
  db: Queryable,
  email: string,
): Promise<{ readonly accountId: string; readonly passwordHash: string | null } | null> {
  const { rows } = await db.query<{ id: string; password_hash: string | null }>(
    'SELECT id, password_hash FROM account WHERE email = lower($1) AND disabled_at IS NULL',
    [email],
  );
  const row = rows[0];
  return row === undefined ? null : { accountId: row.id, passwordHash: row.password_hash };
}

/** Whether a browser's session is still there: signing out, or a new password, ends it. */
export async function sessionLives(db: Queryable, sessionId: string): Promise<boolean> {
  const { rowCount } = await db.query('SELECT FROM web_session WHERE sid = $1 AND expire > now()', [sessionId]);
  return rowCount === 1;
}
