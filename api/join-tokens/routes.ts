import { appendAudit } from '../../db/audit/append.js';
import {
  createJoinToken,
  type JoinTokenRequest,
  listJoinTokens,
  RootKeyUnknownError,
  revokeJoinToken,
} from '../../db/endpoints/join-token.js';
import { inTransaction } from '../../db/pool.js';
import { readEndpoint } from '../../db/read/endpoints.js';
import { SECOND } from '../../domain/time.js';
import type { ApiDeps } from '../deps.js';
import { cursorParts, idParams, pageSchema } from '../http/paging.js';
import { notFound, unavailable } from '../http/problem.js';
import { type Route, route } from '../http/route.js';
import { joinTokenQuery, joinTokenReply, joinTokenRequest, joinTokenRow, reEnrolRequest } from './schema.js';

export function joinTokenRoutes({ pool }: ApiDeps): Route[] {
  const make = async (request: JoinTokenRequest) => {
    try {
      const made = await inTransaction(pool, async (client) => {
        const { id, token } = await createJoinToken(client, request);
        const { uses, scanOnly, labels, expiresAt, endpoint } = request;
        const detail = {
          uses,
          scanOnly,
          labels,
          expiresAt,
          ...(endpoint === undefined ? {} : { endpoint: endpoint.id }),
        };
        const actor = request.createdBy;
        await appendAudit(client, [{ actor, action: 'joinToken.created', subject: `joinToken/${id}`, detail }]);
        if (endpoint !== undefined) {
          const subject = `endpoint/${endpoint.id}`;
          await appendAudit(client, [
            { actor, action: 'endpoint.reEnrolAllowed', subject, detail: { joinToken: id, expiresAt } },
          ]);
        }
        return { id, token };
      });
      return { status: 201, body: { ...made, expiresAt: new Date(request.expiresAt).toISOString() } };
    } catch (error) {
      if (error instanceof RootKeyUnknownError) throw unavailable(error.message);
      throw error;
    }
  };
  return [
    route({
      method: 'get',
      path: '/v1/join-tokens',
      summary: 'Join tokens, newest first: what they are for and what is left of them, never the tokens themselves',
      permission: 'joinToken.read',
      query: joinTokenQuery,
      responses: { 200: { description: 'A page', schema: pageSchema(joinTokenRow) } },
      handler: async ({ query, now }) => {
        const after = cursorParts(query.cursor, ['number', 'string']) as [number, string] | null;
        const page = await listJoinTokens(pool, { usable: query.usable ?? null, now, after, limit: query.limit });
        return { status: 200, body: page };
      },
    }),
    route({
      method: 'post',
      path: '/v1/join-tokens',
      summary: 'Make a token that lets machines enrol; it is shown once',
      permission: 'joinToken.create',
      secretReply: true,
      body: joinTokenRequest,
      responses: { 201: { description: 'The token', schema: joinTokenReply } },
      handler: ({ body, person, now }) =>
        make({ ...body, expiresAt: now + body.expiresInSeconds * SECOND, createdBy: person.actor }),
    }),
    route({
      method: 'post',
      path: '/v1/endpoints/:id/re-enrol',
      summary:
        'Make a token for one machine that takes over this endpoint: its history, labels and stakeholders stay, its key and open orders end',
      permission: 'endpoint.reEnrol',
      secretReply: true,
      params: idParams,
      body: reEnrolRequest,
      responses: {
        201: { description: 'The token; it is void once the endpoint’s state changes', schema: joinTokenReply },
      },
      handler: async ({ params, body, person, now }) => {
        const endpoint = await readEndpoint(pool, params.id);
        if (endpoint === null) throw notFound('endpoint');
        const { id, state } = endpoint;
        const expiresAt = now + body.expiresInSeconds * SECOND;
        return make({
          labels: {},
          scanOnly: false,
          uses: 1,
          expiresAt,
          createdBy: person.actor,
          endpoint: { id, state },
        });
      },
    }),
    route({
      method: 'delete',
      path: '/v1/join-tokens/:id',
      summary: 'Revoke a join token; endpoints that enrolled with it stay',
      permission: 'joinToken.revoke',
      params: idParams,
      responses: { 204: { description: 'Nobody enrols with it any more' } },
      handler: async ({ params, person, now }) => {
        await inTransaction(pool, async (client) => {
          if (!(await revokeJoinToken(client, params.id, now))) throw notFound('join token');
          const subject = `joinToken/${params.id}`;
          await appendAudit(client, [{ actor: person.actor, action: 'joinToken.revoked', subject }]);
        });
        return { status: 204 };
      },
    }),
  ];
}
