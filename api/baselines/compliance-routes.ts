import { z } from 'zod';
import { appendAudit } from '../../db/audit/append.js';
import { readArf, requestArf } from '../../db/baseline/arf.js';
import { findChecklist } from '../../db/baseline/checklists.js';
import { fleetCompliance, listEndpointAssessments, listEndpointRules } from '../../db/baseline/compliance.js';
import { markFalsePositive, unmarkFalsePositive } from '../../db/baseline/false-positives.js';
import { tallyRules } from '../../db/baseline/tally.js';
import { wantAssessment } from '../../db/baseline/targets.js';
import { inTransaction } from '../../db/pool.js';
import { LATELY_DAYS, readOverview } from '../../db/read/compliance.js';
import { readEndpoint } from '../../db/read/endpoints.js';
import { listFalsePositives } from '../../db/read/findings.js';
import { DAY } from '../../domain/time.js';
import type { ApiDeps } from '../deps.js';
import { cursorParts, idParams, pageSchema } from '../http/paging.js';
import { conflict, invalidField, notFound } from '../http/problem.js';
import { type Route, route } from '../http/route.js';
import { arfProblem, arfTooLarge } from './arf-problem.js';
import {
  assessmentReply,
  checklistName,
  endpointRuleReply,
  falsePositiveQuery,
  falsePositiveReply,
  fleetReply,
  standingReply,
  tallyReply,
} from './compliance-schema.js';
import { falsePositiveBody } from './schema.js';

export function complianceRoutes({ pool }: ApiDeps): Route[] {
  const checklist = async (name: string) => {
    const found = await findChecklist(pool, { name });
    if (found === null) throw notFound('checklist');
    return found;
  };
  return [
    route({
      method: 'get',
      path: '/v1/compliance',
      summary: 'How the fleet stands, by checklist',
      permission: 'baseline.read',
      responses: { 200: { description: 'Checklists that hold for some endpoint', schema: pageSchema(fleetReply) } },
      handler: async () => ({ status: 200, body: { items: await fleetCompliance(pool), next: null } }),
    }),
    route({
      method: 'get',
      path: '/v1/compliance/assignments',
      summary: 'How the fleet stands, by assignment, and what has moved in seven days',
      permission: 'baseline.read',
      responses: { 200: { description: 'Assignments by name', schema: pageSchema(standingReply) } },
      handler: async ({ now }) => ({
        status: 200,
        body: { items: await readOverview(pool, now - LATELY_DAYS * DAY), next: null },
      }),
    }),
    route({
      method: 'get',
      path: '/v1/compliance/:checklist/rules',
      summary: 'On how many endpoints each rule of a checklist passes and fails',
      permission: 'baseline.read',
      params: z.strictObject({ checklist: checklistName }),
      responses: { 200: { description: 'Rules in the order of the checklist', schema: pageSchema(tallyReply) } },
      handler: async ({ params }) => {
        const items = await tallyRules(pool, (await checklist(params.checklist)).id);
        return { status: 200, body: { items, next: null } };
      },
    }),
    route({
      method: 'get',
      path: '/v1/compliance/:checklist/false-positives',
      summary: 'Findings that people say are wrong, newest first',
      permission: 'baseline.read',
      params: z.strictObject({ checklist: checklistName }),
      query: falsePositiveQuery,
      responses: { 200: { description: 'A page', schema: pageSchema(falsePositiveReply) } },
      handler: async ({ params, query }) => {
        const after = cursorParts(query.cursor, ['number', 'string', 'string']) as [number, string, string] | null;
        const { id: checklistId } = await checklist(params.checklist);
        const page = await listFalsePositives(pool, { checklistId, position: null, after, limit: query.limit });
        return { status: 200, body: page };
      },
    }),
    route({
      method: 'get',
      path: '/v1/endpoints/:id/assessments',
      summary: 'What an endpoint is measured by, and how it stands',
      permission: 'baseline.read',
      params: idParams,
      responses: { 200: { description: 'Checklists by precedence', schema: pageSchema(assessmentReply) } },
      handler: async ({ params }) => {
        if ((await readEndpoint(pool, params.id)) === null) throw notFound('endpoint');
        return { status: 200, body: { items: await listEndpointAssessments(pool, params.id), next: null } };
      },
    }),
    route({
      method: 'get',
      path: '/v1/endpoints/:id/assessments/:checklist',
      summary: 'Each rule of a checklist on an endpoint, and since when it is so',
      permission: 'baseline.read',
      params: z.strictObject({ id: z.uuid(), checklist: checklistName }),
      responses: { 200: { description: 'Rules in the order of the checklist', schema: pageSchema(endpointRuleReply) } },
      handler: async ({ params }) => {
        const { id: checklistId } = await checklist(params.checklist);
        const items = await listEndpointRules(pool, { endpointId: params.id, checklistId });
        if (items === null) throw notFound('assessment of this endpoint by this checklist');
        return { status: 200, body: { items, next: null } };
      },
    }),
    route({
      method: 'post',
      path: '/v1/endpoints/:id/assessments/:checklist/arf',
      summary: 'Ask the endpoint for the full results (ARF) of its newest assessment',
      permission: 'endpoint.scan',
      params: z.strictObject({ id: z.uuid(), checklist: checklistName }),
      responses: {
        202: {
          description: 'GET has them once the endpoint has handed them over',
          schema: z.object({ requested: z.literal(true) }),
        },
      },
      handler: async ({ params, person, now }) => {
        const { id: checklistId } = await checklist(params.checklist);
        await inTransaction(pool, async (client) => {
          const asked = await requestArf(client, { endpointId: params.id, checklistId, by: person.actor, now });
          if (asked.kind === 'none') throw conflict('the endpoint has no full results of this checklist');
          if (asked.kind === 'tooLarge') throw arfTooLarge(asked.size);
          const subject = `endpoint/${params.id}`;
          await appendAudit(client, [
            { actor: person.actor, action: 'endpoint.arfRequested', subject, detail: { checklist: params.checklist } },
          ]);
        });
        return { status: 202, body: { requested: true } };
      },
    }),
    route({
      method: 'get',
      path: '/v1/endpoints/:id/assessments/:checklist/arf',
      summary: 'The full results that were asked for, compressed by gzip',
      permission: 'baseline.read',
      params: z.strictObject({ id: z.uuid(), checklist: checklistName }),
      responses: { 200: { description: 'ARF', contentType: 'application/gzip', schema: z.string() } },
      handler: async ({ params }) => {
        const { id: checklistId } = await checklist(params.checklist);
        const found = await readArf(pool, { endpointId: params.id, checklistId });
        if (found === null) throw notFound('copy of the full results: ask for one by POST');
        if (found.kind !== 'here') throw arfProblem(found);
        const { bytes } = found;
        return { status: 200, headers: { 'content-type': 'application/gzip' }, stream: (res) => void res.end(bytes) };
      },
    }),
    route({
      method: 'put',
      path: '/v1/endpoints/:id/assessments/:checklist/false-positives',
      summary: 'Say that a finding is wrong here: it is shown as such, counts nowhere, and nothing puts it right',
      permission: 'baseline.edit',
      params: z.strictObject({ id: z.uuid(), checklist: checklistName }),
      body: falsePositiveBody,
      responses: { 204: { description: 'Marked' } },
      handler: async ({ params, body, person, now }) => {
        const { id: checklistId } = await checklist(params.checklist);
        if ((await readEndpoint(pool, params.id)) === null) throw notFound('endpoint');
        await inTransaction(pool, async (client) => {
          const { rule: ruleId, reason } = body;
          const mark = { endpointId: params.id, checklistId, ruleId, reason, by: person.actor, now };
          if (!(await markFalsePositive(client, mark))) throw invalidField('rule', 'the checklist has no such rule');
          const detail = { ...body, checklist: params.checklist };
          await appendAudit(client, [
            { actor: person.actor, action: 'rule.markedFalsePositive', subject: `endpoint/${params.id}`, detail },
          ]);
        });
        return { status: 204 };
      },
    }),
    route({
      method: 'delete',
      path: '/v1/endpoints/:id/assessments/:checklist/false-positives/:rule',
      summary: 'Take back that a finding is wrong; `rule` is its id',
      permission: 'baseline.edit',
      params: z.strictObject({ id: z.uuid(), checklist: checklistName, rule: z.string().min(1).max(300) }),
      responses: { 204: { description: 'It counts again' } },
      handler: async ({ params, person }) => {
        const { id: checklistId } = await checklist(params.checklist);
        await inTransaction(pool, async (client) => {
          if (!(await unmarkFalsePositive(client, { endpointId: params.id, checklistId, ruleId: params.rule })))
            throw notFound('false positive');
          const detail = { rule: params.rule, checklist: params.checklist };
          await appendAudit(client, [
            { actor: person.actor, action: 'rule.unmarkedFalsePositive', subject: `endpoint/${params.id}`, detail },
          ]);
        });
        return { status: 204 };
      },
    }),
    route({
      method: 'post',
      path: '/v1/endpoints/:id/assess',
      summary: 'Measure an endpoint now by everything that holds for it',
      permission: 'endpoint.scan',
      params: idParams,
      responses: {
        202: {
          description: 'The endpoint will be asked by a signed order',
          schema: z.object({ checklists: z.int() }),
        },
      },
      handler: async ({ params, person, now }) => {
        if ((await readEndpoint(pool, params.id)) === null) throw notFound('endpoint');
        const checklists = await inTransaction(pool, async (client) => {
          const wanted = await wantAssessment(client, { endpointId: params.id, by: person.actor, now });
          if (wanted === 0) throw conflict('no baseline is assigned to this endpoint');
          const subject = `endpoint/${params.id}`;
          await appendAudit(client, [
            { actor: person.actor, action: 'endpoint.assessmentRequested', subject, detail: { checklists: wanted } },
          ]);
          return wanted;
        });
        return { status: 202, body: { checklists } };
      },
    }),
  ];
}
