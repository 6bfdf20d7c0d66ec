import { z } from 'zod';
import { appendAudit } from '../../db/audit/append.js';
import { loadChecklistRules } from '../../db/baseline/checklists.js';
import { findGoldStandard, fleetDrift, loadPicture, putGoldStandard } from '../../db/baseline/gold-standards.js';
import { inTransaction } from '../../db/pool.js';
import { readEndpoint } from '../../db/read/endpoints.js';
import { ruleDrift, setDrift } from '../../domain/baseline/drift.js';
import { RULE_RESULTS } from '../../domain/baseline/results.js';
import type { ApiDeps } from '../deps.js';
import { nameParams, pageSchema } from '../http/paging.js';
import { conflict, notFound } from '../http/problem.js';
import { type Route, route } from '../http/route.js';

const result = z.enum(RULE_RESULTS).nullable();
const names = z.array(z.string());
const set = z.object({
  missing: names,
  extra: names,
  changed: z.array(z.object({ name: z.string(), gold: z.string(), now: z.string() })),
});
const goldReply = z.object({
  name: z.string(),
  endpointId: z.uuid(),
  endpoint: z.string(),
  checklists: z.int(),
  packages: z.int(),
  services: z.int(),
  capturedBy: z.string(),
  capturedAt: z.iso.datetime(),
});
const endpointParams = z.strictObject({ name: nameParams.shape.name, endpoint: z.uuid() });
const MOST_LISTED = 1_000;

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
      summary: `How far endpoints are from a gold standard, the farthest first (${MOST_LISTED} at most)`,
      permission: 'baseline.read',
      params: nameParams,
      responses: {
        200: {
          description: 'Endpoints measured by the same checklists',
          schema: pageSchema(z.object({ endpointId: z.uuid(), endpoint: z.string(), rules: z.int() })),
        },
      },
      handler: async ({ params }) => {
        const all = await fleetDrift(pool, await gold(params.name));
        return { status: 200, body: { items: all.slice(0, MOST_LISTED), next: null } };
      },
    }),
    route({
      method: 'get',
      path: '/v1/gold-standards/:name/endpoints/:endpoint/drift',
      summary: 'What differs on one endpoint: rules, packages, services and listeners',
      permission: 'baseline.read',
      params: endpointParams,
      responses: {
        200: {
          description: 'The differences',
          schema: z.object({
            rules: z.array(z.object({ rule: z.string(), gold: result, now: result })),
            packages: set,
            services: set,
          }),
        },
      },
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
  ];
}
