import { z } from 'zod';
import { appendAudit } from '../../db/audit/append.js';
import { inTransaction } from '../../db/pool.js';
import { changeSchedule, createSchedule, listSchedules, retireSchedule } from '../../db/schedules/schedules.js';
import { type Cadence, nextScheduledStart } from '../../domain/schedule/index.js';
import type { EpochMs } from '../../domain/time.js';
import { checkSpec } from '../changes/check-spec.js';
import type { ApiDeps } from '../deps.js';
import { idParams } from '../http/paging.js';
import { conflict, invalidField, notFound } from '../http/problem.js';
import { type Route, route } from '../http/route.js';
import { scheduleDetail, schedulePost, schedulePut, scheduleReply } from './schema.js';

/** The next three starts, for people to see that it is what they meant; fewer when it ends. */
function nextStarts(cadence: Cadence, now: EpochMs): { readonly starts: string[]; readonly never: string | null } {
  const starts: string[] = [];
  for (let after = now; starts.length < 3; ) {
    const next = nextScheduledStart({ cadence, after });
    if (!('at' in next)) return { starts, never: next.never };
    starts.push(new Date(next.at).toISOString());
    after = next.at;
  }
  return { starts, never: null };
}

export function scheduleRoutes(deps: ApiDeps): Route[] {
  const { pool } = deps;
  return [
    route({
      method: 'get',
      path: '/v1/schedules',
      summary: 'Schedules',
      permission: 'schedule.read',
      responses: {
        200: { description: 'All schedules', schema: z.object({ items: z.array(scheduleDetail) }) },
      },
      handler: async ({ now }) => {
        const items = (await listSchedules(pool)).map((row) => ({
          ...row,
          nextStarts: nextStarts(row.calendar, now).starts,
        }));
        return { status: 200, body: { items } };
      },
    }),
    route({
      method: 'get',
      path: '/v1/schedules/:id',
      summary: 'One schedule, and when it starts next',
      permission: 'schedule.read',
      params: idParams,
      current: async (db, { id }) => {
        const [row] = await listSchedules(db, id);
        if (row === undefined) return null;
        // Whether the worker has taken it up is not for a client to change.
        const { applied: _, ...edited } = row;
        return edited;
      },
      responses: { 200: { description: 'The schedule', schema: scheduleDetail } },
      handler: async ({ params, now }) => {
        const [row] = await listSchedules(pool, params.id);
        if (row === undefined) throw notFound('schedule');
        return { status: 200, body: { ...row, nextStarts: nextStarts(row.calendar, now).starts } };
      },
    }),
    route({
      method: 'post',
      path: '/v1/schedules',
      summary: 'Start a change by the calendar, again and again',
      permission: 'schedule.edit',
      body: schedulePost,
      responses: { 201: { description: 'The schedule', schema: scheduleReply } },
      handler: async ({ body, person, now }) => {
        await checkSpec(deps, body.spec, 'spec.');
        const { starts, never } = nextStarts(body.calendar, now);
        if (starts.length === 0) throw invalidField('calendar', never ?? 'never starts');
        const id = await inTransaction(pool, async (client) => {
          // The unique index decides; asking first would only race with it.
          const made = await createSchedule(client, { ...body, createdBy: person.actor }).catch(
            (error: { code?: string }) => {
              if (error.code === '23505') throw conflict('a schedule with this name exists already');
              throw error;
            },
          );
          const detail = { name: body.name, calendar: body.calendar, overlap: body.overlap };
          await appendAudit(client, [
            { actor: person.actor, action: 'schedule.created', subject: `schedule/${made}`, detail },
          ]);
          return made;
        });
        return { status: 201, body: { id, name: body.name, nextStarts: starts } };
      },
    }),
    route({
      method: 'put',
      path: '/v1/schedules/:id',
      summary: 'Change what a schedule starts, and when',
      permission: 'schedule.edit',
      params: idParams,
      body: schedulePut,
      responses: { 200: { description: 'The schedule', schema: scheduleReply } },
      handler: async ({ params, body, person, now }) => {
        await checkSpec(deps, body.spec, 'spec.');
        const { starts, never } = nextStarts(body.calendar, now);
        if (starts.length === 0) throw invalidField('calendar', never ?? 'never starts');
        const name = await inTransaction(pool, async (client) => {
          const changed = await changeSchedule(client, { id: params.id, ...body });
          if (changed === null) throw notFound('schedule');
          const detail = { name: changed, calendar: body.calendar, overlap: body.overlap };
          await appendAudit(client, [
            { actor: person.actor, action: 'schedule.changed', subject: `schedule/${params.id}`, detail },
          ]);
          return changed;
        });
        return { status: 200, body: { id: params.id, name, nextStarts: starts } };
      },
    }),
    route({
      method: 'delete',
      path: '/v1/schedules/:id',
      summary: 'Retire a schedule; changes it started go on',
      permission: 'schedule.edit',
      params: idParams,
      responses: { 204: { description: 'Retired' } },
      handler: async ({ params, person, now }) => {
        await inTransaction(pool, async (client) => {
          if (!(await retireSchedule(client, params.id, now))) throw notFound('schedule');
          await appendAudit(client, [
            { actor: person.actor, action: 'schedule.retired', subject: `schedule/${params.id}` },
          ]);
        });
        return { status: 204 };
      },
    }),
  ];
}
