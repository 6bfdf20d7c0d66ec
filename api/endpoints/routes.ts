import { z } from 'zod';
import { appendAudit } from '../../db/audit/append.js';
import { editEndpoint, readEditable, setStakeholders, wantScan } from '../../db/endpoints/edit.js';
import { readmit } from '../../db/endpoints/identity.js';
import { refreshQuorumMembers, unknownGroups } from '../../db/groups/groups.js';
import { unknownAccounts } from '../../db/identity/accounts.js';
import { inTransaction } from '../../db/pool.js';
import { listEndpoints, readEndpoint } from '../../db/read/endpoints.js';
import { listSelected } from '../../db/read/selected.js';
import { groupsNamed } from '../../domain/fleet/selector.js';
import type { ApiDeps } from '../deps.js';
import { cursorParts, idParams, pageSchema } from '../http/paging.js';
import { conflict, invalidField, notFound } from '../http/problem.js';
import { type Route, route } from '../http/route.js';
import {
  endpointDetail,
  endpointPatch,
  endpointQuery,
  endpointSummary,
  reasonBody,
  stakeholderParams,
  stakeholderPut,
} from './schema.js';

export function endpointRoutes({ pool, retireEndpoint }: ApiDeps): Route[] {
  const one = async (id: string): Promise<object> => {
    const endpoint = await readEndpoint(pool, id);
    if (endpoint === null) throw notFound('endpoint');
    return endpoint;
  };
  return [
    route({
      method: 'get',
      path: '/v1/endpoints',
      summary: 'Endpoints by name',
      permission: 'endpoint.read',
      query: endpointQuery,
      responses: { 200: { description: 'A page', schema: pageSchema(endpointSummary) } },
      handler: async ({ query }) => {
        const after = cursorParts(query.cursor, ['string', 'string']) as [string, string] | null;
        const { cursor: _, limit, group, where, offlineSince, ...rest } = query;
        const since = offlineSince === undefined ? undefined : Date.parse(offlineSince);
        const filter = { ...rest, offlineSince: since };
        if (group === undefined && where === undefined) {
          return { status: 200, body: await listEndpoints(pool, { filter, after, limit }) };
        }
        const selectors = [
          ...(group === undefined ? [] : [{ groups: [group] }]),
          ...(where === undefined ? [] : [{ where }]),
        ];
        const named = selectors.flatMap((selector) => groupsNamed(selector));
        const unknown = await unknownGroups(pool, [...new Set(named.map(({ name }) => name))]);
        if (unknown.length > 0) {
          throw invalidField(unknown[0] === group ? 'group' : 'where', `no such group: ${unknown.join(', ')}`, 'query');
        }
        return { status: 200, body: await listSelected(pool, { selectors, filter, after, limit }) };
      },
    }),
    route({
      method: 'get',
      path: '/v1/endpoints/:id',
      summary: 'One endpoint with its packages, updates and services',
      permission: 'endpoint.read',
      params: idParams,
      current: (db, { id }) => readEditable(db, id),
      responses: { 200: { description: 'The endpoint', schema: endpointDetail } },
      handler: async ({ params }) => ({ status: 200, body: await one(params.id) }),
    }),
    route({
      method: 'patch',
      path: '/v1/endpoints/:id',
      summary: 'Set labels, zone, what the survey says, or a hold',
      permission: 'endpoint.edit',
      params: idParams,
      body: endpointPatch,
      responses: { 200: { description: 'The endpoint as it is now', schema: endpointDetail } },
      handler: async ({ params, body, person, now }) => {
        const until = body.hold ? Date.parse(body.hold.until) : 0;
        if (body.hold && until <= now) throw invalidField('hold.until', 'is in the past');
        const hold = body.hold ? { until, reason: body.hold.reason } : body.hold;
        await inTransaction(pool, async (client) => {
          const found = await editEndpoint(client, params.id, { ...body, hold });
          if (!found) throw notFound('endpoint');
          // Anything a selector may ask for may move it into a quorum group or out of one.
          await refreshQuorumMembers(client, params.id);
          await appendAudit(client, [
            { actor: person.actor, action: 'endpoint.edited', subject: `endpoint/${params.id}`, detail: { ...body } },
          ]);
        });
        return { status: 200, body: await one(params.id) };
      },
    }),
    route({
      method: 'post',
      path: '/v1/endpoints/:id/scan',
      summary: 'Ask for a fresh scan',
      permission: 'endpoint.scan',
      params: idParams,
      responses: {
        202: {
          description: 'The endpoint will be asked at its next poll',
          schema: z.object({ wantsScan: z.literal(true) }),
        },
      },
      handler: async ({ params, person }) => {
        await inTransaction(pool, async (client) => {
          if (!(await wantScan(client, params.id))) {
            await one(params.id);
            throw conflict('the endpoint is quarantined or retired');
          }
          await appendAudit(client, [
            { actor: person.actor, action: 'endpoint.scanRequested', subject: `endpoint/${params.id}` },
          ]);
        });
        return { status: 202, body: { wantsScan: true } };
      },
    }),
    route({
      method: 'post',
      path: '/v1/endpoints/:id/readmit',
      summary: 'Let a quarantined endpoint back in',
      permission: 'endpoint.edit',
      params: idParams,
      body: reasonBody,
      responses: { 200: { description: 'The endpoint as it is now', schema: endpointDetail } },
      handler: async ({ params, body, person }) => {
        await one(params.id);
        await inTransaction(pool, async (client) => {
          if (!(await readmit(client, params.id))) throw conflict('the endpoint is not quarantined');
          const subject = `endpoint/${params.id}`;
          await appendAudit(client, [{ actor: person.actor, action: 'endpoint.readmitted', subject, detail: body }]);
        });
        return { status: 200, body: await one(params.id) };
      },
    }),
    route({
      method: 'post',
      path: '/v1/endpoints/:id/retire',
      summary: 'Take an endpoint out for good; what it still has open ends',
      permission: 'endpoint.edit',
      params: idParams,
      body: reasonBody,
      responses: { 200: { description: 'The endpoint as it is now', schema: endpointDetail } },
      handler: async ({ params, body, person, now }) => {
        await one(params.id);
        await inTransaction(pool, (client) =>
          retireEndpoint(client, { endpointId: params.id, by: person.actor, reason: body.reason, now }),
        );
        return { status: 200, body: await one(params.id) };
      },
    }),
    route({
      method: 'put',
      path: '/v1/endpoints/:id/stakeholders/:kind',
      summary: 'Say who has this part in the endpoint',
      permission: 'stakeholder.edit',
      params: stakeholderParams,
      body: stakeholderPut,
      responses: { 200: { description: 'Who it is now', schema: stakeholderPut } },
      handler: async ({ params, body, person }) => {
        await one(params.id);
        const unknown = await unknownAccounts(pool, body.accountIds);
        if (unknown.length > 0) throw invalidField('accountIds', `no such account: ${unknown.join(', ')}`);
        await inTransaction(pool, async (client) => {
          await setStakeholders(client, { endpointId: params.id, kind: params.kind, accountIds: body.accountIds });
          await appendAudit(client, [
            {
              actor: person.actor,
              action: 'stakeholder.set',
              subject: `endpoint/${params.id}`,
              detail: { kind: params.kind, ...body },
            },
          ]);
        });
        return { status: 200, body };
      },
    }),
  ];
}
