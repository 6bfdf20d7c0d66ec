import { z } from 'zod';
import { appendAudit } from '../../db/audit/append.js';
import { explainRuleChange, listUnexplainedRuleChanges } from '../../db/baseline/unexplained.js';
import { changeState } from '../../db/change/open.js';
import { explainPackageChanges } from '../../db/loop/package-changes.js';
import { inTransaction } from '../../db/pool.js';
import { listConfirmations, listLoop, listUnexplained } from '../../db/read/closed-loop.js';
import type { ApiDeps } from '../deps.js';
import { cursorParts, idParams, pageSchema, paging } from '../http/paging.js';
import { notFound } from '../http/problem.js';
import { type Route, route } from '../http/route.js';
import {
  confirmationReply,
  explanationPost,
  loopQuery,
  loopReply,
  ruleChangeParams,
  unexplainedQuery,
  unexplainedReply,
  unexplainedRuleReply,
  unexplainedRulesQuery,
} from './schema.js';
import { loopView } from './view.js';

export function closedLoopRoutes({ pool }: ApiDeps): Route[] {
  return [
    route({
      method: 'get',
      path: '/v1/closed-loop',
      summary: 'Of each change: authorised? done as authorised? how fast? confirmed by which scans? Newest first',
      permission: 'closedLoop.read',
      query: loopQuery,
      responses: { 200: { description: 'A page', schema: pageSchema(loopReply) } },
      handler: async ({ query }) => {
        const after = cursorParts(query.cursor, ['number', 'string']) as [number, string] | null;
        const { open = null, change: changeId = null, limit } = query;
        const page = await listLoop(pool, { open, changeId, after, limit });
        return { status: 200, body: { next: page.next, items: page.items.map(loopView) } };
      },
    }),
    route({
      method: 'get',
      path: '/v1/changes/:id/confirmations',
      summary: 'Endpoint by endpoint: which scan confirmed what the change did there',
      permission: 'closedLoop.read',
      params: idParams,
      query: z.strictObject(paging),
      responses: { 200: { description: 'A page', schema: pageSchema(confirmationReply) } },
      handler: async ({ params, query }) => {
        const after = (cursorParts(query.cursor, ['string'])?.[0] ?? null) as string | null;
        if ((await changeState(pool, params.id)) === 'unknown') throw notFound('change');
        return { status: 200, body: await listConfirmations(pool, { changeId: params.id, after, limit: query.limit }) };
      },
    }),
    route({
      method: 'get',
      path: '/v1/closed-loop/unexplained',
      summary: 'Package changes on endpoints that no change explains, by endpoint and scan, newest first',
      permission: 'closedLoop.read',
      query: unexplainedQuery,
      responses: { 200: { description: 'A page', schema: pageSchema(unexplainedReply) } },
      handler: async ({ query }) => {
        const after = cursorParts(query.cursor, ['number', 'string']) as [number, string] | null;
        const { endpoint: endpointId = null, explained = null, limit } = query;
        return { status: 200, body: await listUnexplained(pool, { endpointId, explained, after, limit }) };
      },
    }),
    route({
      method: 'get',
      path: '/v1/closed-loop/unexplained-rules',
      summary: 'Changed results of rules on endpoints that no change explains, newest first',
      permission: 'closedLoop.read',
      query: unexplainedRulesQuery,
      responses: { 200: { description: 'A page', schema: pageSchema(unexplainedRuleReply) } },
      handler: async ({ query }) => {
        const after = (cursorParts(query.cursor, ['number'])?.[0] ?? null) as number | null;
        const { endpoint: endpointId = null, explained = null, limit } = query;
        return { status: 200, body: await listUnexplainedRuleChanges(pool, { endpointId, explained, after, limit }) };
      },
    }),
    route({
      method: 'put',
      path: '/v1/closed-loop/unexplained/:id/explanation',
      summary: 'Say what a package change outside of any change was; `id` is that of the scan that found it',
      permission: 'closedLoop.edit',
      params: idParams,
      body: explanationPost,
      responses: { 204: { description: 'On record' } },
      handler: async ({ params: { id }, body, person, now }) => {
        await inTransaction(pool, async (client) => {
          const { explanation } = body;
          const packages = await explainPackageChanges(client, { scanId: id, by: person.actor, explanation, now });
          if (packages === 0) throw notFound('unexplained change');
          const detail = { reason: explanation, packages };
          await appendAudit(client, [
            { actor: person.actor, action: 'packageChange.explained', subject: `scan/${id}`, detail },
          ]);
        });
        return { status: 204 };
      },
    }),
    route({
      method: 'put',
      path: '/v1/closed-loop/unexplained-rules/:id/explanation',
      summary: 'Say what the change of a rule outside of any change was; `id` as listed',
      permission: 'closedLoop.edit',
      params: ruleChangeParams,
      body: explanationPost,
      responses: { 204: { description: 'On record' } },
      handler: async ({ params: { id }, body, person, now }) => {
        await inTransaction(pool, async (client) => {
          const { explanation } = body;
          const found = await explainRuleChange(client, { id, by: person.actor, explanation, now });
          if (found === null) throw notFound('unexplained change of a rule');
          const { endpointId, rule } = found;
          await appendAudit(client, [
            {
              actor: person.actor,
              action: 'ruleChange.explained',
              subject: `endpoint/${endpointId}`,
              detail: { reason: explanation, rule, ruleChange: id },
            },
          ]);
        });
        return { status: 204 };
      },
    }),
  ];
}
