/** Roles of the installation's own: a name and the permissions it stands for. */
import type { PoolClient } from 'pg';
import { isRole, permissionsOf } from '../../domain/identity/grants.js';
import type { Permission } from '../../domain/identity/permissions.js';
import type { Queryable } from '../pool.js';

export interface RoleRow {
  readonly name: string;
  readonly permissions: readonly string[];
  readonly accounts: number;
  readonly tokens: number;
}

/** Whoever changes who may do what takes turns: what is checked before a grant still holds at its commit. */
export async function lockIdentity(client: PoolClient): Promise<void> {
  await client.query(`SELECT pg_advisory_xact_lock(hashtextextended('identity', 0))`);
}

export async function listRoles(db: Queryable, name: string | null = null): Promise<RoleRow[]> {
  const { rows } = await db.query<RoleRow>(
    `SELECT r.name, r.permissions,
            (SELECT count(*) FROM account_custom_role a WHERE a.role = r.name) AS accounts,
            (SELECT count(*) FROM api_token t WHERE t.custom_role = r.name AND t.revoked_at IS NULL) AS tokens
       FROM custom_role r WHERE $1::text IS NULL OR r.name = $1 ORDER BY r.name`,
    [name],
  );
  return rows;
}

export async function putRole(
  client: PoolClient,
  role: { name: string; permissions: readonly string[] },
): Promise<void> {
  await client.query(
    'INSERT INTO custom_role (name, permissions) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET permissions = excluded.permissions',
    [role.name, role.permissions],
  );
}

/** Deletes a role that nobody holds; tokens that were revoked forget it with themselves. @returns false when there is none */
export async function deleteRole(client: PoolClient, name: string): Promise<boolean> {
  await client.query('DELETE FROM api_token WHERE custom_role = $1 AND revoked_at IS NOT NULL', [name]);
  return (await client.query('DELETE FROM custom_role WHERE name = $1', [name])).rowCount === 1;
}

/** What roles, built-in and custom, allow together; and which of them nobody knows. */
export async function resolveRoles(
  db: Queryable,
  roles: readonly string[],
): Promise<{ readonly permissions: ReadonlySet<Permission>; readonly unknown: readonly string[] }> {
  const custom = roles.filter((role) => !isRole(role));
  const { rows } = await db.query<{ name: string; permissions: string[] }>(
    'SELECT name, permissions FROM custom_role WHERE name = ANY ($1)',
    [custom],
  );
  const known = new Set(rows.map(({ name }) => name));
  return {
    permissions: permissionsOf(
      roles.filter(isRole),
      rows.flatMap(({ permissions }) => permissions),
    ),
    unknown: custom.filter((name) => !known.has(name)),
  };
}
