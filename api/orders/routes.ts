import { z } from 'zod';
import { readOrder } from '../../db/read/orders.js';
import type { ApiDeps } from '../deps.js';
import { idParams } from '../http/paging.js';
import { notFound } from '../http/problem.js';
import { type Route, route } from '../http/route.js';

const orderReply = z.object({
  id: z.uuid(),
  changeId: z.uuid().nullable(),
  endpointId: z.uuid(),
  endpointName: z.string(),
  kind: z.string(),
  state: z.string(),
  reason: z.string().nullable(),
  events: z.array(
    z.object({
      id: z.number(),
      at: z.iso.datetime(),
      actor: z.string(),
      event: z.string(),
      seq: z.number().nullable(),
      from: z.string(),
      to: z.string(),
      detail: z.record(z.string(), z.unknown()),
    }),
  ),
});

export function orderRoutes({ pool }: ApiDeps): Route[] {
  return [
    route({
      method: 'get',
      path: '/v1/orders/:id',
      summary: 'One order with everything that happened to it',
      permission: 'order.read',
      params: idParams,
      responses: { 200: { description: 'The order', schema: orderReply } },
      handler: async ({ params }) => {
        const order = await readOrder(pool, params.id);
        if (order === null) throw notFound('order');
        return { status: 200, body: order };
      },
    }),
  ];
}
