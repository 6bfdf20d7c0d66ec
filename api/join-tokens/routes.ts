import { appendAudit } from '../../db/audit/append.js';
import { createJoinToken, RootKeyUnknownError } from '../../db/endpoints/join-token.js';
import { inTransaction } from '../../db/pool.js';
import { SECOND } from '../../domain/time.js';
import type { ApiDeps } from '../deps.js';
import { unavailable } from '../http/problem.js';
import { type Route, route } from '../http/route.js';
import { joinTokenReply, joinTokenRequest } from './schema.js';

export function joinTokenRoutes(deps: ApiDeps): Route[] {
  return [
    route({
      method: 'post',
      path: '/v1/join-tokens',
      summary: 'Make a token that lets machines enrol; it is shown once',
      permission: 'joinToken.create',
      body: joinTokenRequest,
      responses: { 201: { description: 'The token', schema: joinTokenReply } },
      handler: async ({ body, person, now }) => {
        const expiresAt = now + body.expiresInSeconds * SECOND;
        try {
          const made = await inTransaction(deps.pool, async (client) => {
            const { id, token } = await createJoinToken(client, { ...body, expiresAt, createdBy: person.actor });
            const detail = { uses: body.uses, scanOnly: body.scanOnly, labels: body.labels, expiresAt };
            await appendAudit(client, [
              { actor: person.actor, action: 'joinToken.created', subject: `joinToken/${id}`, detail },
            ]);
            return { id, token };
          });
          return { status: 201, body: { ...made, expiresAt: new Date(expiresAt).toISOString() } };
        } catch (error) {
          if (error instanceof RootKeyUnknownError) throw unavailable(error.message);
          throw error;
        }
      },
    }),
  ];
}
