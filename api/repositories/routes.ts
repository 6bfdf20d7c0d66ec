import { z } from 'zod';
import { appendAudit } from '../../db/audit/append.js';
import { inTransaction } from '../../db/pool.js';
import { listRepositories, putRepository, requestSync } from '../../db/repositories/repositories.js';
import type { ApiDeps } from '../deps.js';
import { idParams, nameParams } from '../http/paging.js';
import { notFound } from '../http/problem.js';
import { type Route, route } from '../http/route.js';
import { repositoryPut, repositoryReply } from './schema.js';

export function repositoryRoutes({ pool }: ApiDeps): Route[] {
  return [
    route({
      method: 'get',
      path: '/v1/repositories',
      summary: 'Repositories and how their last sync went',
      permission: 'repository.read',
      responses: { 200: { description: 'All repositories', schema: z.object({ items: z.array(repositoryReply) }) } },
      handler: async () => {
        const items = await listRepositories(pool);
        return { status: 200, body: { items: items.map(withoutPassword) } };
      },
    }),
    route({
      method: 'put',
      path: '/v1/repositories/:name',
      summary: 'Configure a repository',
      permission: 'repository.edit',
      params: nameParams,
      body: repositoryPut,
      responses: {
        200: { description: 'It will be synced soon', schema: z.object({ id: z.uuid(), name: z.string() }) },
      },
      handler: async ({ params, body, person, now }) => {
        const id = await inTransaction(pool, async (client) => {
          const made = await putRepository(client, { name: params.name, ...body, now });
          const detail = withoutPassword({ name: params.name, ...body });
          await appendAudit(client, [
            { actor: person.actor, action: 'repository.put', subject: `repository/${made}`, detail },
          ]);
          return made;
        });
        return { status: 200, body: { id, name: params.name } };
      },
    }),
    route({
      method: 'post',
      path: '/v1/repositories/:id/sync',
      summary: 'Fetch the repository’s index soon',
      permission: 'repository.edit',
      params: idParams,
      responses: {
        202: { description: 'The worker has been asked', schema: z.object({ syncRequested: z.number().int() }) },
      },
      handler: async ({ params, person, now }) => {
        await inTransaction(pool, async (client) => {
          if (!(await requestSync(client, params.id, now))) throw notFound('repository');
          await appendAudit(client, [
            { actor: person.actor, action: 'repository.syncRequested', subject: `repository/${params.id}` },
          ]);
        });
        return { status: 202, body: { syncRequested: now } };
      },
    }),
  ];
}

/** A password in a repository's address is for the worker alone. */
export function withoutPassword<T extends object>(repository: T): T {
  const config = (repository as { config?: { uri?: unknown } }).config;
  if (typeof config?.uri !== 'string' || !URL.canParse(config.uri)) return repository;
  const uri = new URL(config.uri);
  if (uri.password === '') return repository;
  uri.password = '***';
  return { ...repository, config: { ...config, uri: uri.href } };
}
