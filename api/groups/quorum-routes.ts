import { appendAudit } from '../../db/audit/append.js';
import { deleteQuorumGroup, listQuorumGroups, lockGroups, putQuorumGroup } from '../../db/groups/groups.js';
import { inTransaction } from '../../db/pool.js';
import type { ApiDeps } from '../deps.js';
import { namedReads } from '../http/named-reads.js';
import { nameParams } from '../http/paging.js';
import { notFound } from '../http/problem.js';
import { type Route, route } from '../http/route.js';
import { refuseTime, requireGroups } from './check-selector.js';
import { quorumPut, quorumReply } from './schema.js';

export function quorumRoutes({ pool }: ApiDeps): Route[] {
  return [
    ...namedReads({
      db: pool,
      path: '/v1/quorum-groups',
      one: 'quorum group',
      all: 'quorum groups',
      permission: 'group.read',
      reply: quorumReply,
      read: listQuorumGroups,
      // Members come and go by themselves.
      edited: ({ selector, maxUnavailable }) => ({ selector, maxUnavailable }),
    }),
    route({
      method: 'put',
      path: '/v1/quorum-groups/:name',
      summary: 'Say of which endpoints never more than so many may be unavailable at once',
      permission: 'quorum.edit',
      params: nameParams,
      body: quorumPut,
      responses: { 200: { description: 'The quorum group', schema: quorumReply } },
      handler: async ({ params, body, person }) => {
        const made = await inTransaction(pool, async (client) => {
          await lockGroups(client);
          await requireGroups(client, body.selector, 'selector');
          await refuseTime(client, body.selector, 'selector');
          const put = await putQuorumGroup(client, { name: params.name, ...body });
          const detail = { name: params.name, ...body };
          const subject = `quorumGroup/${put.id}`;
          await appendAudit(client, [{ actor: person.actor, action: 'quorumGroup.put', subject, detail }]);
          return put;
        });
        return { status: 200, body: { ...made, name: params.name, ...body } };
      },
    }),
    route({
      method: 'delete',
      path: '/v1/quorum-groups/:name',
      summary: 'Delete a quorum group: its endpoints may be unavailable together from now on',
      permission: 'quorum.edit',
      params: nameParams,
      responses: { 204: { description: 'Deleted' } },
      handler: async ({ params, person }) => {
        await inTransaction(pool, async (client) => {
          const id = await deleteQuorumGroup(client, params.name);
          if (id === null) throw notFound('quorum group');
          const detail = { name: params.name };
          const subject = `quorumGroup/${id}`;
          await appendAudit(client, [{ actor: person.actor, action: 'quorumGroup.deleted', subject, detail }]);
        });
        return { status: 204 };
      },
    }),
  ];
}
