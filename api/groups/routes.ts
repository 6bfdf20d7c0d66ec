import { z } from 'zod';
import { appendAudit } from '../../db/audit/append.js';
import {
  deleteGroup,
  listGroups,
  lockGroups,
  putGroup,
  refreshQuorumMembers,
  usersOfGroup,
} from '../../db/groups/groups.js';
import { loadGroups } from '../../db/policy/load.js';
import { inTransaction } from '../../db/pool.js';
import { listSelected, previewSelector } from '../../db/read/selected.js';
import { requireTrialsOfGroup } from '../baselines/require-trial.js';
import type { ApiDeps } from '../deps.js';
import { endpointSummary } from '../endpoints/schema.js';
import { namedReads } from '../http/named-reads.js';
import { cursorParts, nameParams, pageSchema, paging } from '../http/paging.js';
import { conflict, invalidField, notFound } from '../http/problem.js';
import { type Route, route } from '../http/route.js';
import { requireGroups, requireSoundGroups } from './check-selector.js';
import { groupPut, groupReply, previewPost, previewReply } from './schema.js';

/** How many users of a group a refusal names. */
const NAMED = 20;

export function groupRoutes({ pool }: ApiDeps): Route[] {
  return [
    ...namedReads({
      db: pool,
      path: '/v1/groups',
      one: 'group',
      all: 'groups',
      permission: 'group.read',
      reply: groupReply,
      read: listGroups,
    }),
    route({
      method: 'get',
      path: '/v1/groups/:name/members',
      summary: 'Endpoints that are in the group now, by name',
      permission: 'group.read',
      params: nameParams,
      query: z.strictObject(paging),
      responses: { 200: { description: 'A page', schema: pageSchema(endpointSummary) } },
      handler: async ({ params, query }) => {
        const after = cursorParts(query.cursor, ['string', 'string']) as [string, string] | null;
        const [group] = await listGroups(pool, params.name);
        if (group === undefined) throw notFound('group');
        const selectors = [{ groups: [params.name] }];
        return { status: 200, body: await listSelected(pool, { selectors, after, limit: query.limit }) };
      },
    }),
    route({
      method: 'put',
      path: '/v1/groups/:name',
      summary: 'Make a group, or change its selector',
      permission: 'group.edit',
      params: nameParams,
      body: groupPut,
      responses: {
        200: { description: 'The group', schema: groupReply },
        409: { description: 'It would raise a baseline’s mode for more than a trial; `detail` says what to do first' },
      },
      handler: async ({ params, body, person }) => {
        const { name } = params;
        if (body.selector.groups?.includes(name)) throw invalidField('selector.groups', 'a group can’t select itself');
        const id = await inTransaction(pool, async (client) => {
          await lockGroups(client);
          const groupsBefore = await loadGroups(client);
          const made = await putGroup(client, { name, selector: body.selector });
          await requireGroups(client, body.selector, 'selector');
          await requireSoundGroups(client, name);
          const override = body.override ?? null;
          const widened = await requireTrialsOfGroup(client, { group: name, groupsBefore, override, person });
          await refreshQuorumMembers(client);
          const detail = { name, ...body };
          await appendAudit(client, [
            { actor: person.actor, action: 'group.put', subject: `group/${made}`, detail },
            ...widened.map((one) => ({ actor: person.actor, ...one })),
          ]);
          return made;
        });
        return { status: 200, body: { id, name, selector: body.selector } };
      },
    }),
    route({
      method: 'delete',
      path: '/v1/groups/:name',
      summary: 'Delete a group that nothing uses',
      permission: 'group.edit',
      params: nameParams,
      responses: {
        204: { description: 'Deleted' },
        409: { description: 'Something still uses it; `detail` says what' },
      },
      handler: async ({ params, person }) => {
        await inTransaction(pool, async (client) => {
          await lockGroups(client);
          const id = await deleteGroup(client, params.name);
          if (id === null) throw notFound('group');
          const users = await usersOfGroup(client, params.name);
          if (users.length > 0) {
            const named = users.slice(0, NAMED).map(({ what, name }) => `${what} ${name}`);
            const more = users.length > NAMED ? ` and ${users.length - NAMED} more` : '';
            throw conflict(`the group is used by ${named.join(', ')}${more}`);
          }
          const detail = { name: params.name };
          await appendAudit(client, [{ actor: person.actor, action: 'group.deleted', subject: `group/${id}`, detail }]);
        });
        return { status: 204 };
      },
    }),
    route({
      method: 'post',
      path: '/v1/selectors/preview',
      summary: 'What a selector matches now: how many endpoints, and the first page of them',
      permission: 'group.read',
      body: previewPost,
      responses: { 200: { description: 'What it matches', schema: previewReply } },
      handler: async ({ body }) => {
        await requireGroups(pool, body.selector, 'selector');
        return { status: 200, body: await previewSelector(pool, body) };
      },
    }),
  ];
}
