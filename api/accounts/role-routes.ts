import { appendAudit } from '../../db/audit/append.js';
import { deleteRole, listRoles, lockIdentity, putRole } from '../../db/identity/roles.js';
import { inTransaction } from '../../db/pool.js';
import { isRole, permissionsOf } from '../../domain/identity/grants.js';
import type { ApiDeps } from '../deps.js';
import { namedReads } from '../http/named-reads.js';
import { nameParams } from '../http/paging.js';
import { conflict, notFound } from '../http/problem.js';
import { type Route, route } from '../http/route.js';
import { requireNotBeyond } from './granting.js';
import { rolePut, roleReply } from './schema.js';

export function roleRoutes({ pool }: ApiDeps): Route[] {
  return [
    ...namedReads({
      db: pool,
      path: '/v1/roles',
      one: 'custom role',
      all: 'custom roles',
      summary: 'Roles of this installation’s own, beside the built-in ones',
      permission: 'account.edit',
      reply: roleReply,
      read: listRoles,
      edited: ({ permissions }) => permissions,
    }),
    route({
      method: 'put',
      path: '/v1/roles/:name',
      summary: 'Make a role, or change what it allows; takes effect at once for all who hold it',
      permission: 'account.edit',
      params: nameParams,
      body: rolePut,
      responses: { 200: { description: 'The role', schema: roleReply } },
      handler: async ({ params, body, person }) => {
        if (isRole(params.name)) throw conflict('built-in roles can’t be changed');
        const role = { name: params.name, permissions: [...new Set(body.permissions)].sort() };
        const made = await inTransaction(pool, async (client) => {
          await lockIdentity(client);
          const [before] = await listRoles(client, role.name);
          requireNotBeyond(person, permissionsOf([], before?.permissions), 'the role allows');
          requireNotBeyond(person, permissionsOf([], role.permissions), 'that would give');
          await putRole(client, role);
          const subject = `role/${role.name}`;
          const detail = { permissions: role.permissions, before: before?.permissions ?? null };
          await appendAudit(client, [{ actor: person.actor, action: 'role.put', subject, detail }]);
          return { accounts: 0, tokens: 0, ...before, ...role };
        });
        return { status: 200, body: made };
      },
    }),
    route({
      method: 'delete',
      path: '/v1/roles/:name',
      summary: 'Delete a custom role that nobody holds',
      permission: 'account.edit',
      params: nameParams,
      responses: {
        204: { description: 'Deleted' },
        409: { description: 'Accounts or tokens still hold it; `detail` says how many' },
      },
      handler: async ({ params, person }) => {
        await inTransaction(pool, async (client) => {
          await lockIdentity(client);
          const [role] = await listRoles(client, params.name);
          if (role === undefined) throw notFound('role');
          if (role.accounts + role.tokens > 0) {
            throw conflict(`${role.accounts} accounts and ${role.tokens} tokens hold the role`);
          }
          await deleteRole(client, params.name);
          const subject = `role/${params.name}`;
          await appendAudit(client, [{ actor: person.actor, action: 'role.deleted', subject }]);
        });
        return { status: 204 };
      },
    }),
  ];
}
