import type { PoolClient } from 'pg';
import { z } from 'zod';
import { appendAudit } from '../../db/audit/append.js';
import { insertAccount, readAccounts, setDisabled, setPassword, setRoles } from '../../db/identity/accounts.js';
import { inTransaction } from '../../db/pool.js';
import { hashPassword } from '../auth/passwords.js';
import type { Person } from '../auth/person.js';
import type { ApiDeps } from '../deps.js';
import { idParams } from '../http/paging.js';
import { conflict, notFound } from '../http/problem.js';
import { type Route, route } from '../http/route.js';
import { requireGrantable, requireNotAbove } from './granting.js';
import { accountPost, accountReply, disabledPut, passwordPut, rolesPut } from './schema.js';

export function accountRoutes({ pool }: ApiDeps): Route[] {
  const one = async (id: string): Promise<object> => {
    const [account] = await readAccounts(pool, id);
    if (account === undefined) throw notFound('account');
    return account;
  };
  /** One effect on an account with its audit entry. */
  const change = async (
    args: { id: string; person: Person; action: string; detail?: Record<string, unknown> },
    effect: (client: PoolClient) => Promise<unknown>,
  ): Promise<object> => {
    await one(args.id);
    await inTransaction(pool, async (client) => {
      await requireNotAbove(client, { person: args.person, accountId: args.id });
      await effect(client);
      const subject = `account/${args.id}`;
      await appendAudit(client, [
        { actor: args.person.actor, action: args.action, subject, detail: args.detail ?? {} },
      ]);
    });
    return one(args.id);
  };
  return [
    route({
      method: 'get',
      path: '/v1/accounts',
      summary: 'Accounts',
      permission: 'account.edit',
      responses: { 200: { description: 'All accounts', schema: z.object({ items: z.array(accountReply) }) } },
      handler: async () => ({ status: 200, body: { items: await readAccounts(pool) } }),
    }),
    route({
      method: 'get',
      path: '/v1/accounts/:id',
      summary: 'One account',
      permission: 'account.edit',
      params: idParams,
      responses: { 200: { description: 'The account', schema: accountReply } },
      handler: async ({ params }) => ({ status: 200, body: await one(params.id) }),
    }),
    route({
      method: 'post',
      path: '/v1/accounts',
      summary: 'Make an account',
      permission: 'account.edit',
      body: accountPost,
      responses: { 201: { description: 'The account', schema: accountReply } },
      handler: async ({ body, person }) => {
        const passwordHash = body.password === undefined ? null : await hashPassword(body.password);
        const id = await inTransaction(pool, async (client) => {
          await requireGrantable(client, { person, roles: body.roles, field: 'roles' });
          const made = await insertAccount(client, { ...body, passwordHash });
          if (made === null) throw conflict('an account with this e-mail address exists already');
          const detail = { email: body.email, roles: body.roles };
          await appendAudit(client, [
            { actor: person.actor, action: 'account.created', subject: `account/${made}`, detail },
          ]);
          return made;
        });
        return { status: 201, body: await one(id), headers: { location: `/v1/accounts/${id}` } };
      },
    }),
    route({
      method: 'put',
      path: '/v1/accounts/:id/roles',
      summary: 'Set an account’s roles',
      permission: 'account.edit',
      params: idParams,
      body: rolesPut,
      responses: { 200: { description: 'The account', schema: accountReply } },
      handler: async ({ params, body, person }) => ({
        status: 200,
        body: await change({ id: params.id, person, action: 'account.rolesSet', detail: body }, async (client) => {
          await requireGrantable(client, { person, roles: body.roles, field: 'roles' });
          await setRoles(client, params.id, body.roles);
        }),
      }),
    }),
    route({
      method: 'put',
      path: '/v1/accounts/:id/password',
      summary: 'Set an account’s password; ends its sessions',
      permission: 'account.edit',
      params: idParams,
      body: passwordPut,
      responses: { 200: { description: 'The account', schema: accountReply } },
      handler: async ({ params, body, person }) => {
        const hash = await hashPassword(body.password);
        const account = await change({ id: params.id, person, action: 'account.passwordSet' }, (client) =>
          setPassword(client, params.id, hash),
        );
        return { status: 200, body: account };
      },
    }),
    route({
      method: 'put',
      path: '/v1/accounts/:id/disabled',
      summary: 'Shut an account out, or let it in again',
      permission: 'account.edit',
      params: idParams,
      body: disabledPut,
      responses: { 200: { description: 'The account', schema: accountReply } },
      handler: async ({ params, body, person, now }) => ({
        status: 200,
        body: await change({ id: params.id, person, action: 'account.disabledSet', detail: body }, (client) =>
          setDisabled(client, params.id, body.disabled ? now : null),
        ),
      }),
    }),
  ];
}
