import { z } from 'zod';
import { endpointExists } from '../../db/read/endpoints.js';
import { listOrders, readOrder } from '../../db/read/orders.js';
import { readTimeline, type TimelinePlace } from '../../db/read/timeline.js';
import type { ApiDeps } from '../deps.js';
import { cursorParts, idParams, pageSchema, paging } from '../http/paging.js';
import { notFound } from '../http/problem.js';
import { type Route, route } from '../http/route.js';
import { endpointOrdersQuery, orderDetail, orderListQuery, orderSummary, timelineEntry } from './schema.js';

export function orderRoutes({ pool }: ApiDeps): Route[] {
  const requireEndpoint = async (id: string): Promise<void> => {
    if (!(await endpointExists(pool, id))) throw notFound('endpoint');
  };
  const afterOf = (cursor: string | undefined) => (cursorParts(cursor, ['string'])?.[0] ?? null) as string | null;
  return [
    route({
      method: 'get',
      path: '/v1/orders',
      summary: 'Orders in their present state',
      permission: 'order.read',
      query: orderListQuery,
      responses: { 200: { description: 'A page', schema: pageSchema(orderSummary) } },
      handler: async ({ query }) => {
        const { change: changeId, endpoint: endpointId, state, kind, limit } = query;
        const filter = { changeId, endpointId, state, kind };
        return { status: 200, body: await listOrders(pool, { filter, after: afterOf(query.cursor), limit }) };
      },
    }),
    route({
      method: 'get',
      path: '/v1/orders/:id',
      summary: 'One order with everything that happened to it',
      permission: 'order.read',
      params: idParams,
      responses: { 200: { description: 'The order', schema: orderDetail } },
      handler: async ({ params }) => {
        const order = await readOrder(pool, params.id);
        if (order === null) throw notFound('order');
        return { status: 200, body: order };
      },
    }),
    route({
      method: 'get',
      path: '/v1/endpoints/:id/orders',
      summary: 'One endpoint’s orders, of every change',
      permission: 'order.read',
      params: idParams,
      query: endpointOrdersQuery,
      responses: { 200: { description: 'A page', schema: pageSchema(orderSummary) } },
      handler: async ({ params, query }) => {
        const after = afterOf(query.cursor);
        await requireEndpoint(params.id);
        const filter = { endpointId: params.id, state: query.state, kind: query.kind };
        return { status: 200, body: await listOrders(pool, { filter, after, limit: query.limit }) };
      },
    }),
    route({
      method: 'get',
      path: '/v1/endpoints/:id/timeline',
      summary: 'What happened to an endpoint, newest first: enrolment, scans, its orders’ events, and what people did',
      permission: 'order.read',
      params: idParams,
      query: z.strictObject(paging),
      responses: { 200: { description: 'A page', schema: pageSchema(timelineEntry) } },
      handler: async ({ params, query }) => {
        const after = cursorParts(query.cursor, ['number', 'string', 'string']) as TimelinePlace | null;
        await requireEndpoint(params.id);
        return { status: 200, body: await readTimeline(pool, { endpointId: params.id, after, limit: query.limit }) };
      },
    }),
  ];
}
