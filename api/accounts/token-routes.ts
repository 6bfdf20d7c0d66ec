import { z } from 'zod';
import { appendAudit } from '../../db/audit/append.js';
import { createApiToken, listTokens, readAccounts, revokeToken } from '../../db/identity/accounts.js';
import { inTransaction } from '../../db/pool.js';
import { SECOND } from '../../domain/time.js';
import type { ApiDeps } from '../deps.js';
import { idParams } from '../http/paging.js';
import { notFound } from '../http/problem.js';
import { type Route, route } from '../http/route.js';
import { requireGrantable, requireNotAbove } from './granting.js';
import { tokenListReply, tokenParams, tokenPost, tokenReply } from './schema.js';

export function tokenRoutes({ pool }: ApiDeps): Route[] {
  const requireAccount = async (id: string): Promise<void> => {
    if ((await readAccounts(pool, id)).length === 0) throw notFound('account');
  };
  return [
    route({
      method: 'get',
      path: '/v1/accounts/:id/tokens',
      summary: 'API tokens of an account, newest first; never their text',
      permission: 'account.edit',
      params: idParams,
      responses: { 200: { description: 'All of them', schema: z.object({ items: z.array(tokenListReply) }) } },
      handler: async ({ params }) => {
        await requireAccount(params.id);
        return { status: 200, body: { items: await listTokens(pool, params.id) } };
      },
    }),
    route({
      method: 'post',
      path: '/v1/accounts/:id/tokens',
      summary: 'Make an API token for an account; it is shown once',
      permission: 'account.edit',
      secretReply: true,
      params: idParams,
      body: tokenPost,
      responses: { 201: { description: 'The token', schema: tokenReply } },
      handler: async ({ params, body, person, now }) => {
        await requireAccount(params.id);
        const { name, role, scopes } = body;
        const expiresAt = body.expiresInSeconds === null ? null : now + body.expiresInSeconds * SECOND;
        const made = await inTransaction(pool, async (client) => {
          await requireGrantable(client, { person, roles: [role], field: 'role' });
          await requireNotAbove(client, { person, accountId: params.id });
          const token = await createApiToken(client, { name, accountId: params.id, role, scopes, expiresAt });
          const subject = `account/${params.id}`;
          const detail = { tokenId: token.id, name, role, scopes, expiresAt };
          await appendAudit(client, [{ actor: person.actor, action: 'token.created', subject, detail }]);
          return token;
        });
        return { status: 201, body: made };
      },
    }),
    route({
      method: 'delete',
      path: '/v1/accounts/:id/tokens/:tokenId',
      summary: 'Revoke an API token, at once',
      permission: 'account.edit',
      params: tokenParams,
      responses: { 204: { description: 'Revoked' } },
      handler: async ({ params, person, now }) => {
        await inTransaction(pool, async (client) => {
          const found = await revokeToken(client, { accountId: params.id, tokenId: params.tokenId, now });
          if (!found) throw notFound('token in force');
          const subject = `account/${params.id}`;
          const detail = { tokenId: params.tokenId };
          await appendAudit(client, [{ actor: person.actor, action: 'token.revoked', subject, detail }]);
        });
        return { status: 204 };
      },
    }),
  ];
}
