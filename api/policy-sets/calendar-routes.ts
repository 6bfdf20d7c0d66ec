import { z } from 'zod';
import { appendAudit } from '../../db/audit/append.js';
import {
  deleteFreezeCalendar,
  listFreezeCalendars,
  policySetsOfCalendar,
  putFreezeCalendar,
  readFreezeCalendar,
} from '../../db/policy/put.js';
import { inTransaction } from '../../db/pool.js';
import { freezesBetween, parseFreezeCalendar } from '../../domain/schedule/index.js';
import { DAY, type EpochMs } from '../../domain/time.js';
import type { ApiDeps } from '../deps.js';
import { nameParams } from '../http/paging.js';
import { conflict, invalidField, notFound } from '../http/problem.js';
import { type Route, route } from '../http/route.js';
import { calendarDetail, calendarListReply, calendarQuery } from './schema.js';

/** How far ahead, and how many freezes, a calendar shows. */
const AHEAD_DAYS = 366;
const SHOWN = 50;

/** What the calendar holds, and when it freezes next in the zone. */
function contentsOf(icalendar: string, args: { readonly zone: string; readonly now: EpochMs }): object {
  const parsed = parseFreezeCalendar(icalendar);
  if (!parsed.ok)
    throw new Error(`a stored calendar can't be read: line ${parsed.problem.line}: ${parsed.problem.reason}`);
  const { zone, now } = args;
  const found = freezesBetween({ calendars: [parsed.calendar], zone, from: now, to: now + AHEAD_DAYS * DAY });
  return {
    events: parsed.calendar.events.map(({ line, label, allDay, rule }) => ({
      line,
      label,
      allDay,
      recurring: rule !== undefined,
    })),
    zone,
    next: !found.ok
      ? []
      : found.freezes.freezes.slice(0, SHOWN).map((freeze) => ({
          label: freeze.label ?? '',
          from: new Date(freeze.from).toISOString(),
          to: new Date(freeze.to).toISOString(),
        })),
    problem: found.ok ? null : `line ${found.problem.line}: ${found.problem.reason}`,
  };
}

export function freezeCalendarRoutes({ pool }: ApiDeps): Route[] {
  return [
    route({
      method: 'get',
      path: '/v1/freeze-calendars',
      summary: 'Freeze calendars',
      permission: 'policy.read',
      responses: { 200: { description: 'All calendars', schema: z.object({ items: z.array(calendarListReply) }) } },
      handler: async () => ({ status: 200, body: { items: await listFreezeCalendars(pool) } }),
    }),
    route({
      method: 'put',
      path: '/v1/freeze-calendars/:name',
      summary: 'Import a calendar of freezes (iCalendar); what can’t be understood is refused by line',
      permission: 'policy.edit',
      params: nameParams,
      body: z.string().min(1).max(1_000_000),
      bodyType: 'text/calendar',
      responses: {
        200: { description: 'The calendar', schema: z.object({ id: z.uuid(), name: z.string(), events: z.number() }) },
      },
      handler: async ({ params, body, person, now }) => {
        const parsed = parseFreezeCalendar(body);
        if (!parsed.ok)
          throw invalidField(`line ${parsed.problem.line}: ${parsed.problem.place}`, parsed.problem.reason);
        const id = await inTransaction(pool, async (client) => {
          const made = await putFreezeCalendar(client, {
            name: params.name,
            icalendar: body,
            importedBy: person.actor,
            now,
          });
          const detail = { name: params.name, events: parsed.calendar.events.length };
          await appendAudit(client, [
            { actor: person.actor, action: 'freezeCalendar.put', subject: `freezeCalendar/${made}`, detail },
          ]);
          return made;
        });
        return { status: 200, body: { id, name: params.name, events: parsed.calendar.events.length } };
      },
    }),
    route({
      method: 'get',
      path: '/v1/freeze-calendars/:name',
      summary: 'One calendar: its events, and when it freezes next in a zone',
      permission: 'policy.read',
      params: nameParams,
      query: calendarQuery,
      current: (db, { name }) => readFreezeCalendar(db, name),
      responses: { 200: { description: 'The calendar', schema: calendarDetail } },
      handler: async ({ params, query, now }) => {
        const calendar = await readFreezeCalendar(pool, params.name);
        if (calendar === null) throw notFound('freeze calendar');
        const { icalendar, ...row } = calendar;
        const usedBy = await policySetsOfCalendar(pool, params.name);
        return {
          status: 200,
          body: { ...row, icalendar, usedBy, ...contentsOf(icalendar, { zone: query.zone, now }) },
        };
      },
    }),
    route({
      method: 'delete',
      path: '/v1/freeze-calendars/:name',
      summary: 'Delete a calendar that no policy set obeys',
      permission: 'policy.edit',
      params: nameParams,
      responses: {
        204: { description: 'Deleted' },
        409: { description: 'Policy sets still obey it; `detail` names them' },
      },
      handler: async ({ params, person }) => {
        await inTransaction(pool, async (client) => {
          const id = await deleteFreezeCalendar(client, params.name);
          if (id === null) throw notFound('freeze calendar');
          const users = await policySetsOfCalendar(client, params.name);
          if (users.length > 0) throw conflict(`the calendar is obeyed by policy sets ${users.join(', ')}`);
          const detail = { name: params.name };
          const subject = `freezeCalendar/${id}`;
          await appendAudit(client, [{ actor: person.actor, action: 'freezeCalendar.deleted', subject, detail }]);
        });
        return { status: 204 };
      },
    }),
  ];
}
