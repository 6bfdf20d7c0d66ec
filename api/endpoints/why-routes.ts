/** Why an endpoint is not patched yet: one sentence, and the chain behind it. */
import { z } from 'zod';
import { endpointExists } from '../../db/read/endpoints.js';
import { loadWhyFacts } from '../../db/read/why.js';
import { decideWhy } from '../../domain/why/decide.js';
import { REASON_CODES } from '../../domain/why/reason.js';
import type { ApiDeps } from '../deps.js';
import { idParams } from '../http/paging.js';
import { notFound } from '../http/problem.js';
import { type Route, route } from '../http/route.js';

const whyQuery = z.strictObject({
  /** Left out: the most urgent open change that has the endpoint, else the last that had it. */
  change: z.uuid().optional(),
  /** A package or source; left out: everything that is missing. */
  package: z.string().min(1).max(128).optional(),
});

const reason = z.object({
  code: z.enum(REASON_CODES),
  /** For people; every time in it names its zone. */
  text: z.string(),
  since: z.iso.datetime().nullable(),
  until: z.iso.datetime().nullable(),
});

export const whyReply = z.object({
  endpointId: z.uuid(),
  name: z.string(),
  zone: z.string(),
  code: z.enum(REASON_CODES),
  sentence: z.string(),
  /** The one that decides first. */
  chain: z.array(reason),
  change: z
    .object({ id: z.uuid(), name: z.string(), priority: z.number(), ring: z.number().int().nullable() })
    .nullable(),
  orderId: z.uuid().nullable(),
  updates: z.array(
    z.object({
      name: z.string(),
      arch: z.string(),
      installed: z.string().nullable(),
      candidate: z.string(),
      leftOut: z
        .object({
          how: z.enum(['excepted', 'deferred', 'declined']),
          reason: z.string(),
          /** Of an exception: when it ends, and who answers for it. */
          until: z.iso.datetime().nullable(),
          by: z.string().nullable(),
        })
        .nullable(),
    }),
  ),
});

export function whyRoutes({ pool }: ApiDeps): Route[] {
  return [
    route({
      method: 'get',
      path: '/v1/endpoints/:id/why',
      summary: 'Why it is not patched yet: one sentence, and the chain behind it',
      permission: 'endpoint.read',
      params: idParams,
      query: whyQuery,
      responses: { 200: { description: 'The reasons that hold now, the one that decides first', schema: whyReply } },
      handler: async ({ params, query, now }) => {
        if (!(await endpointExists(pool, params.id))) throw notFound('endpoint');
        const packages = query.package === undefined ? undefined : [query.package];
        const [facts] = await loadWhyFacts(pool, { endpointIds: [params.id], changeId: query.change, packages, now });
        if (facts === undefined) throw notFound('endpoint');
        if (query.change !== undefined && facts.change === null)
          throw notFound('change with this endpoint in its plan');
        const { code, sentence, chain } = decideWhy(facts);
        const { change, order, endpoint } = facts;
        return {
          status: 200,
          body: {
            endpointId: endpoint.id,
            name: endpoint.name,
            zone: endpoint.zone,
            code,
            sentence,
            chain: chain.map((one) => ({ ...one, since: iso(one.since), until: iso(one.until) })),
            change:
              change === null
                ? null
                : { id: change.id, name: change.name, priority: change.priority, ring: change.ring?.ordinal ?? null },
            orderId: order?.id ?? null,
            updates: facts.updates.map(({ leftOut, ...update }) => ({
              ...update,
              leftOut: leftOut && {
                how: leftOut.how,
                reason: leftOut.reason,
                until: iso(leftOut.until),
                by: leftOut.by ?? null,
              },
            })),
          },
        };
      },
    }),
  ];
}

const iso = (at: number | undefined): string | null => (at === undefined ? null : new Date(at).toISOString());
