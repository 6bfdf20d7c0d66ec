import { z } from 'zod';
import { changeState } from '../../db/change/open.js';
import { listTickets, listWork } from '../../db/read/tickets.js';
import type { ApiDeps } from '../deps.js';
import { cursorParts, idParams, pageSchema, paging } from '../http/paging.js';
import { notFound } from '../http/problem.js';
import { type Route, route } from '../http/route.js';
import { states, ticketReply, workReply } from './schema.js';

export function ticketRoutes({ pool }: ApiDeps): Route[] {
  const afterOf = (cursor: string | undefined) => cursorParts(cursor, ['number', 'string']) as [number, string] | null;
  return [
    route({
      method: 'get',
      path: '/v1/tickets',
      summary:
        'Tickets of changes and of work, newest first; `attention=true`: not as they were set, such as closed, opened again or moved by hand',
      permission: 'ticket.read',
      query: z.strictObject({
        ...paging,
        system: z.uuid().optional(),
        change: z.uuid().optional(),
        state: z.enum(states).optional(),
        attention: z.stringbool().optional(),
      }),
      responses: { 200: { description: 'A page', schema: pageSchema(ticketReply) } },
      handler: async ({ query }) => {
        const { system: systemId, change: changeId, state, attention, limit } = query;
        const filter = { systemId, changeId, state, attention };
        return { status: 200, body: await listTickets(pool, { filter, after: afterOf(query.cursor), limit }) };
      },
    }),
    route({
      method: 'get',
      path: '/v1/changes/:id/tickets',
      summary: 'Tickets of a change: its own, and those of work that came out of it',
      permission: 'ticket.read',
      params: idParams,
      query: z.strictObject(paging),
      responses: { 200: { description: 'A page', schema: pageSchema(ticketReply) } },
      handler: async ({ params, query }) => {
        if ((await changeState(pool, params.id)) === 'unknown') throw notFound('change');
        const args = { filter: { changeId: params.id }, after: afterOf(query.cursor), limit: query.limit };
        return { status: 200, body: await listTickets(pool, args) };
      },
    }),
    route({
      method: 'get',
      path: '/v1/work',
      summary: 'What people must do: failed endpoints, stragglers past due, critical drift; newest first',
      permission: 'ticket.read',
      query: z.strictObject({
        ...paging,
        state: z.enum(['open', 'claimed', 'closed']).optional(),
        kind: z.enum(['failedEndpoint', 'straggler', 'drift']).optional(),
        endpoint: z.uuid().optional(),
        change: z.uuid().optional(),
      }),
      responses: { 200: { description: 'A page', schema: pageSchema(workReply) } },
      handler: async ({ query }) => {
        const { state, kind, endpoint: endpointId, change: changeId, limit } = query;
        const filter = { state, kind, endpointId, changeId };
        return { status: 200, body: await listWork(pool, { filter, after: afterOf(query.cursor), limit }) };
      },
    }),
  ];
}
