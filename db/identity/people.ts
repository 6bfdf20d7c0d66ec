/** Reads of who somebody is. */
import { createHash } from 'node:crypto';
import type { Role } from '../../domain/approval/rule.js';
import { permissionsOf, tokenPermissions } from '../../domain/identity/grants.js';
import type { Permission } from '../../domain/identity/permissions.js';
import type { EpochMs } from '../../domain/time.js';
import type { Queryable } from '../pool.js';

/** A bearer's token, as far as anybody may know of it. */
export interface TokenRow {
  readonly id: string;
  readonly name: string;
  /** Built-in or custom. */
  readonly role: string;
  readonly scopes: readonly string[];
  readonly expiresAt: Date | null;
}

export interface PersonRow {
  readonly accountId: string | null;
  /** Null for a session. */
  readonly token: TokenRow | null;
  readonly name: string;
  readonly email: string | null;
  /** Names of what the account holds, built-in and custom; of the token, when it belongs to nobody. */
  readonly roles: readonly string[];
  /** All that may be done this way: never more than token and account both may. */
  readonly permissions: ReadonlySet<Permission>;
}

export type Bearer =
  | { readonly state: 'valid'; readonly person: PersonRow }
  | { readonly state: 'unknown' | 'expired' | 'revoked' | 'disabled' };

export function hashToken(token: string): string {
  return createHash('sha256').update(token, 'utf8').digest('hex');
}

/** Roles of the account `a`: the built-in ones, the custom ones, and what the latter list. */
const HELD = `
  coalesce((SELECT array_agg(g.role ORDER BY g.role) FROM role_grant g WHERE g.account_id = a.id), '{}') AS roles,
  coalesce((SELECT array_agg(c.role ORDER BY c.role) FROM account_custom_role c WHERE c.account_id = a.id), '{}') AS "customRoles",
  coalesce((SELECT array_agg(DISTINCT p) FROM account_custom_role c JOIN custom_role r ON r.name = c.role, unnest(r.permissions) p
             WHERE c.account_id = a.id), '{}') AS custom`;

interface Held {
  readonly roles: readonly Role[];
  readonly customRoles: readonly string[];
  readonly custom: readonly string[];
}

/** Whose token it is, or why it is nobody's any more. */
export async function findBearer(db: Queryable, token: string, now: EpochMs): Promise<Bearer> {
  const { rows } = await db.query<
    Held & {
      id: string | null;
      accountName: string | null;
      email: string | null;
      disabled: boolean;
      revoked: boolean;
      tokenId: string;
      tokenName: string;
      role: Role | null;
      customRole: string | null;
      rolePermissions: string[] | null;
      scopes: string[];
      expiresAt: Date | null;
    }
  >(
    `SELECT a.id, a.name AS "accountName", a.email, a.disabled_at IS NOT NULL AS disabled, t.revoked_at IS NOT NULL AS revoked,
            t.id AS "tokenId", t.name AS "tokenName", t.role, t.custom_role AS "customRole",
            (SELECT permissions FROM custom_role r WHERE r.name = t.custom_role) AS "rolePermissions",
            t.scopes, t.expires_at AS "expiresAt", ${HELD}
       FROM api_token t LEFT JOIN account a ON a.id = t.account_id WHERE t.token_hash = $1`,
    [hashToken(token)],
  );
  const row = rows[0];
  if (row === undefined) return { state: 'unknown' };
  if (row.revoked) return { state: 'revoked' };
  if (row.expiresAt !== null && row.expiresAt.getTime() <= now) return { state: 'expired' };
  if (row.disabled) return { state: 'disabled' };
  const { tokenId: id, tokenName: name, scopes, expiresAt } = row;
  const role = row.role ?? row.customRole ?? '';
  const permissions = tokenPermissions({
    role: permissionsOf(row.role === null ? [] : [row.role], row.rolePermissions ?? []),
    account: row.id === null ? null : permissionsOf(row.roles, row.custom),
    scopes,
  });
  return {
    state: 'valid',
    person: {
      accountId: row.id,
      token: { id, name, role, scopes, expiresAt },
      name: row.accountName ?? name,
      email: row.email,
      roles: row.id === null ? [role] : [...row.roles, ...row.customRoles],
      permissions,
    },
  };
}

/** The person of an account that is not disabled; else null. */
export async function findByAccount(db: Queryable, accountId: string): Promise<PersonRow | null> {
  const { rows } = await db.query<Held & { id: string; name: string; email: string }>(
    `SELECT a.id, a.name, a.email, ${HELD} FROM account a WHERE a.id = $1 AND a.disabled_at IS NULL`,
    [accountId],
  );
  const row = rows[0];
  if (row === undefined) return null;
  return {
    accountId: row.id,
    token: null,
    name: row.name,
    email: row.email,
    roles: [...row.roles, ...row.customRoles],
    permissions: permissionsOf(row.roles, row.custom),
  };
}

/** What the account may do, disabled or not: who gives it something, or takes it over, must be able to do as much. */
export async function accountPermissions(db: Queryable, accountId: string): Promise<ReadonlySet<Permission>> {
  const { rows } = await db.query<Held>(`SELECT ${HELD} FROM account a WHERE a.id = $1`, [accountId]);
  return permissionsOf(rows[0]?.roles ?? [], rows[0]?.custom ?? []);
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
