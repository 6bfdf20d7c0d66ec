import { z } from 'zod';
import { appendAudit } from '../../db/audit/append.js';
import { unknownGroups } from '../../db/groups/groups.js';
import {
  listFreezeCalendars,
  listPolicySets,
  putFreezeCalendar,
  putPolicySet,
  unknownCalendars,
} from '../../db/policy/put.js';
import { inTransaction } from '../../db/pool.js';
import { groupsNamed } from '../../domain/fleet/selector.js';
import { parseFreezeCalendar } from '../../domain/schedule/index.js';
import type { ApiDeps } from '../deps.js';
import { nameParams } from '../http/paging.js';
import { invalidField, notFound } from '../http/problem.js';
import { type Route, route } from '../http/route.js';
import { calendarReply, policyPut, policyReply } from './schema.js';

export function policySetRoutes({ pool }: ApiDeps): Route[] {
  return [
    route({
      method: 'get',
      path: '/v1/policy-sets',
      summary: 'Policy sets in force, the one that wins first',
      permission: 'policy.read',
      responses: { 200: { description: 'All policy sets', schema: z.object({ items: z.array(policyReply) }) } },
      handler: async () => ({ status: 200, body: { items: await listPolicySets(pool) } }),
    }),
    route({
      method: 'get',
      path: '/v1/policy-sets/:name',
      summary: 'One policy set',
      permission: 'policy.read',
      params: nameParams,
      responses: { 200: { description: 'The policy set', schema: policyReply } },
      handler: async ({ params }) => {
        const [policy] = await listPolicySets(pool, params.name);
        if (policy === undefined) throw notFound('policy set');
        return { status: 200, body: policy };
      },
    }),
    route({
      method: 'put',
      path: '/v1/policy-sets/:name',
      summary: 'Store a new version of a policy set',
      permission: 'policy.edit',
      params: nameParams,
      body: policyPut,
      responses: { 200: { description: 'The version in force now', schema: policyReply } },
      handler: async ({ params, body, person, now }) => {
        const { document, precedence } = body;
        const [groups, calendars] = await Promise.all([
          unknownGroups(
            pool,
            groupsNamed(document.appliesTo).map(({ name }) => name),
          ),
          unknownCalendars(pool, document.freezeCalendars),
        ]);
        const unknown = groupsNamed(document.appliesTo).find(({ name }) => groups.includes(name));
        if (unknown !== undefined) {
          const field = `document.appliesTo.${unknown.field.replace(/\[.*/, '')}`;
          throw invalidField(field, `no such group: ${groups.join(', ')}`);
        }
        // A freeze nobody has imported would keep nothing shut.
        if (calendars.length > 0)
          throw invalidField('document.freezeCalendars', `no such calendar: ${calendars.join(', ')}`);
        const made = await inTransaction(pool, async (client) => {
          const put = await putPolicySet(client, {
            name: params.name,
            precedence,
            document,
            createdBy: person.actor,
            now,
          });
          const detail = { name: params.name, version: put.version, precedence };
          await appendAudit(client, [
            { actor: person.actor, action: 'policySet.put', subject: `policySet/${put.id}`, detail },
          ]);
          return put;
        });
        return { status: 200, body: { ...made, name: params.name, precedence, document } };
      },
    }),
    route({
      method: 'get',
      path: '/v1/freeze-calendars',
      summary: 'Freeze calendars',
      permission: 'policy.read',
      responses: { 200: { description: 'All calendars', schema: z.object({ items: z.array(calendarReply) }) } },
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
  ];
}
