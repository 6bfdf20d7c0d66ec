import { z } from 'zod';
import { appendAudit } from '../../db/audit/append.js';
import { listGroups, putGroup, putQuorumGroup, refreshQuorumMembers, unknownGroups } from '../../db/groups/groups.js';
import { inTransaction } from '../../db/pool.js';
import type { ApiDeps } from '../deps.js';
import { nameParams } from '../http/paging.js';
import { invalidField, notFound } from '../http/problem.js';
import { type Route, route } from '../http/route.js';
import { groupPut, groupReply, quorumPut } from './schema.js';

export function groupRoutes({ pool }: ApiDeps): Route[] {
  const requireGroups = async (names: readonly string[], field: string, own?: string): Promise<void> => {
    const unknown = (await unknownGroups(pool, names)).filter((name) => name !== own);
    if (unknown.length > 0) throw invalidField(field, `no such group: ${unknown.join(', ')}`);
  };
  return [
    route({
      method: 'get',
      path: '/v1/groups',
      summary: 'Groups',
      permission: 'group.read',
      responses: { 200: { description: 'All groups', schema: z.object({ items: z.array(groupReply) }) } },
      handler: async () => ({ status: 200, body: { items: await listGroups(pool) } }),
    }),
    route({
      method: 'get',
      path: '/v1/groups/:name',
      summary: 'One group',
      permission: 'group.read',
      params: nameParams,
      responses: { 200: { description: 'The group', schema: groupReply } },
      handler: async ({ params }) => {
        const [group] = await listGroups(pool, params.name);
        if (group === undefined) throw notFound('group');
        return { status: 200, body: group };
      },
    }),
    route({
      method: 'put',
      path: '/v1/groups/:name',
      summary: 'Make a group, or change its selector',
      permission: 'group.edit',
      params: nameParams,
      body: groupPut,
      responses: { 200: { description: 'The group', schema: groupReply } },
      handler: async ({ params, body, person }) => {
        if (body.selector.groups?.includes(params.name))
          throw invalidField('selector.groups', 'a group can’t select itself');
        await requireGroups(body.selector.groups ?? [], 'selector.groups');
        const id = await inTransaction(pool, async (client) => {
          const made = await putGroup(client, { name: params.name, selector: body.selector });
          await refreshQuorumMembers(client);
          await appendAudit(client, [
            {
              actor: person.actor,
              action: 'group.put',
              subject: `group/${made}`,
              detail: { name: params.name, ...body },
            },
          ]);
          return made;
        });
        return { status: 200, body: { id, name: params.name, selector: body.selector } };
      },
    }),
    route({
      method: 'put',
      path: '/v1/quorum-groups/:name',
      summary: 'Say of which endpoints never more than so many may be unavailable at once',
      permission: 'quorum.edit',
      params: nameParams,
      body: quorumPut,
      responses: {
        200: {
          description: 'The quorum group',
          schema: z.object({ id: z.uuid(), name: z.string(), members: z.number(), ...quorumPut.shape }),
        },
      },
      handler: async ({ params, body, person }) => {
        await requireGroups(body.selector.groups ?? [], 'selector.groups');
        const made = await inTransaction(pool, async (client) => {
          const put = await putQuorumGroup(client, { name: params.name, ...body });
          await appendAudit(client, [
            {
              actor: person.actor,
              action: 'quorumGroup.put',
              subject: `quorumGroup/${put.id}`,
              detail: { name: params.name, ...body },
            },
          ]);
          return put;
        });
        return { status: 200, body: { ...made, name: params.name, ...body } };
      },
    }),
  ];
}
