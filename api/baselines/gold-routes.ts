import { z } from 'zod';
import { appendAudit } from '../../db/audit/append.js';
import { loadChecklistRules } from '../../db/baseline/checklists.js';
import {
  deleteGoldStandard,
  findGoldStandard,
  fleetDrift,
  listGoldStandards,
  loadPicture,
  putGoldStandard,
} from '../../db/baseline/gold-standards.js';
import { inTransaction } from '../../db/pool.js';
import { readEndpoint } from '../../db/read/endpoints.js';
import { ruleDrift, setDrift } from '../../domain/baseline/drift.js';
import type { ApiDeps } from '../deps.js';
import { cursorParts, nameParams, pageSchema } from '../http/paging.js';
import { conflict, notFound } from '../http/problem.js';
import { type Route, route } from '../http/route.js';
import { driftReply, endpointDriftReply, goldQuery, goldReply } from './gold-schema.js';

const endpointParams = z.strictObject({ name: nameParams.shape.name, endpoint: z.uuid() });

export function goldRoutes({ pool }: ApiDeps): Route[] {
  const gold = async (name: string) => {
    const found = await findGoldStandard(pool, name);
    if (found === null) throw notFound('gold standard');
    return found;
  };
  const shown = async (name: string) => {
    const { results, packages, services, ...rest } = await gold(name);
    const count = (some: object) => Object.keys(some).length;
    return { ...rest, checklists: count(results), packages: count(packages), services: count(services) };
  };
  return [
    route({
      method: 'get',
      path: '/v1/gold-standards',
      summary: 'Gold standards by name',
      permission: 'baseline.read',
      query: goldQuery,
      responses: { 200: { description: 'A page', schema: pageSchema(goldReply) } },
      handler: async ({ query }) => {
        const [after = null] = (cursorParts(query.cursor, ['string']) ?? []) as string[];
        return { status: 200, body: await listGoldStandards(pool, { after, limit: query.limit }) };
      },
    }),
    route({
      method: 'put',
      path: '/v1/gold-standards/:name',
      summary: 'Capture an endpoint as it is now, for others to be compared with',
      permission: 'baseline.edit',
      params: nameParams,
      body: z.strictObject({ endpointId: z.uuid() }),
      responses: { 200: { description: 'What was captured', schema: goldReply } },
      handler: async ({ params, body, person, now }) => {
        if ((await readEndpoint(pool, body.endpointId)) === null) throw notFound('endpoint');
        const picture = await loadPicture(pool, body.endpointId);
        if (Object.keys(picture.packages).length + Object.keys(picture.results).length === 0)
          throw conflict('the endpoint has neither been scanned nor measured yet');
        await inTransaction(pool, async (client) => {
          await putGoldStandard(client, {
            name: params.name,
            endpointId: body.endpointId,
            picture,
            by: person.actor,
            now,
          });
          const subject = `gold-standard/${params.name}`;
          await appendAudit(client, [{ actor: person.actor, action: 'goldStandard.captured', subject, detail: body }]);
        });
        return { status: 200, body: await shown(params.name) };
      },
    }),
    route({
      method: 'get',
      path: '/v1/gold-standards/:name',
      summary: 'One gold standard',
      permission: 'baseline.read',
      params: nameParams,
      responses: { 200: { description: 'What was captured', schema: goldReply } },
      handler: async ({ params }) => ({ status: 200, body: await shown(params.name) }),
    }),
    route({
      method: 'get',
      path: '/v1/gold-standards/:name/drift',
      summary: 'How far endpoints are from a gold standard, the farthest first',
      permission: 'baseline.read',
      params: nameParams,
      query: goldQuery,
      responses: { 200: { description: 'Endpoints measured by the same checklists', schema: pageSchema(driftReply) } },
      handler: async ({ params, query }) => {
        const after = cursorParts(query.cursor, ['number', 'string', 'string']) as [number, string, string] | null;
        const page = await fleetDrift(pool, { gold: await gold(params.name), after, limit: query.limit });
        return { status: 200, body: page };
      },
    }),
    route({
      method: 'get',
      path: '/v1/gold-standards/:name/endpoints/:endpoint/drift',
      summary: 'What differs on one endpoint: rules, packages, services and listeners',
      permission: 'baseline.read',
      params: endpointParams,
      responses: { 200: { description: 'The differences', schema: endpointDriftReply } },
      handler: async ({ params }) => {
        const standard = await gold(params.name);
        if ((await readEndpoint(pool, params.endpoint)) === null) throw notFound('endpoint');
        const picture = await loadPicture(pool, params.endpoint);
        const shared = Object.keys(standard.results).filter((id) => picture.results[id] !== undefined);
        const rules = await loadChecklistRules(pool, shared.map(Number));
        return {
          status: 200,
          body: {
            rules: shared.flatMap((id) =>
              ruleDrift({
                rules: (rules.get(Number(id)) ?? []).map((rule) => rule.ruleId),
                gold: standard.results[id] ?? '',
                now: picture.results[id] ?? '',
              }),
            ),
            packages: setDrift(standard.packages, picture.packages),
            services: setDrift(standard.services, picture.services),
          },
        };
      },
    }),
    route({
      method: 'delete',
      path: '/v1/gold-standards/:name',
      summary: 'Forget a gold standard; the endpoint stays as it is',
      permission: 'baseline.edit',
      params: nameParams,
      responses: { 204: { description: 'Gone' } },
      handler: async ({ params, person }) => {
        await inTransaction(pool, async (client) => {
          if (!(await deleteGoldStandard(client, params.name))) throw notFound('gold standard');
          const subject = `gold-standard/${params.name}`;
          await appendAudit(client, [{ actor: person.actor, action: 'goldStandard.forgotten', subject }]);
        });
        return { status: 204 };
      },
    }),
  ];
}
