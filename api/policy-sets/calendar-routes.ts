import { z } from 'zod';
import { readFreezeCalendar } from '../../db/policy/put.js';
import type { ApiDeps } from '../deps.js';
import { nameParams } from '../http/paging.js';
import { notFound } from '../http/problem.js';
import { type Route, route } from '../http/route.js';
import { calendarReply } from './schema.js';

export function calendarRoutes({ pool }: ApiDeps): Route[] {
  return [
    route({
      method: 'get',
      path: '/v1/freeze-calendars/:name',
      summary: 'One freeze calendar with its text as imported',
      permission: 'policy.read',
      params: nameParams,
      responses: { 200: { description: 'The calendar', schema: calendarReply.extend({ icalendar: z.string() }) } },
      handler: async ({ params }) => {
        const calendar = await readFreezeCalendar(pool, params.name);
        if (calendar === null) throw notFound('freeze calendar');
        return { status: 200, body: calendar };
      },
    }),
  ];
}
