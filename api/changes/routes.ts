import { createChange } from '../../db/change/create.js';
import { inTransaction } from '../../db/pool.js';
import { listChanges, readChange } from '../../db/read/changes.js';
import { listOrders } from '../../db/read/orders.js';
import { changeWorkflowId } from '../../workflows/ids.js';
import type { ApiDeps } from '../deps.js';
import { cursorParts, idParams, pageSchema } from '../http/paging.js';
import { notFound } from '../http/problem.js';
import { type Route, route } from '../http/route.js';
import { orderSummary } from '../orders/schema.js';
import { checkSpec } from './check-spec.js';
import { changeDetail, changePost, changeQuery, changeSummary, orderQuery } from './schema.js';

export function changeRoutes(deps: ApiDeps): Route[] {
  const { pool } = deps;
  const one = async (id: string): Promise<object> => {
    const change = await readChange(pool, id);
    if (change === null) throw notFound('change');
    return change;
  };
  return [
    route({
      method: 'post',
      path: '/v1/changes',
      summary: 'Ask for a change',
      permission: 'change.create',
      body: changePost,
      responses: {
        201: {
          description: 'The change; its workflow starts as soon as Temporal can be reached',
          schema: changeDetail,
        },
      },
      handler: async ({ body, person, now }) => {
        await checkSpec(deps, body);
        const id = await inTransaction(pool, (client) =>
          createChange(client, { spec: body, requestedBy: person.actor, now, workflowId: changeWorkflowId }),
        );
        return { status: 201, body: await one(id), headers: { location: `/v1/changes/${id}` } };
      },
    }),
    route({
      method: 'get',
      path: '/v1/changes',
      summary: 'Changes, newest first',
      permission: 'change.read',
      query: changeQuery,
      responses: { 200: { description: 'A page', schema: pageSchema(changeSummary) } },
      handler: async ({ query }) => {
        const after = cursorParts(query.cursor, ['number', 'string']) as [number, string] | null;
        return { status: 200, body: await listChanges(pool, { open: query.open ?? null, after, limit: query.limit }) };
      },
    }),
    route({
      method: 'get',
      path: '/v1/changes/:id',
      summary: 'One change: its rings, what they count, what it waits for',
      permission: 'change.read',
      params: idParams,
      responses: { 200: { description: 'The change', schema: changeDetail } },
      handler: async ({ params }) => ({ status: 200, body: await one(params.id) }),
    }),
    route({
      method: 'get',
      path: '/v1/changes/:id/orders',
      summary: 'A change’s orders',
      permission: 'order.read',
      params: idParams,
      query: orderQuery,
      responses: { 200: { description: 'A page', schema: pageSchema(orderSummary) } },
      handler: async ({ params, query }) => {
        const after = (cursorParts(query.cursor, ['string'])?.[0] ?? null) as string | null;
        const filter = { changeId: params.id, ring: query.ring, state: query.state };
        return { status: 200, body: await listOrders(pool, { filter, after, limit: query.limit }) };
      },
    }),
  ];
}
