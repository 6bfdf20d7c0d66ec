import { z } from 'zod';
import { appendAudit } from '../../db/audit/append.js';
import { expediteRule } from '../../db/baseline/expedite.js';
import { endIncident, listIncidents, lockIncident, noteExpedited, readIncident } from '../../db/baseline/notices.js';
import { inTransaction } from '../../db/pool.js';
import { noticeRuleSchema } from '../../domain/baseline/notice-rule.js';
import { changeWorkflowId } from '../../workflows/ids.js';
import type { ApiDeps } from '../deps.js';
import { requireGroups } from '../groups/check-selector.js';
import { cursorParts, idParams, nameParams, pageSchema, paging } from '../http/paging.js';
import { conflict, notFound } from '../http/problem.js';
import { type Route, route } from '../http/route.js';

const ruleReply = z.object({
  name: z.string(),
  rule: z.record(z.string(), z.unknown()),
  editedBy: z.string(),
  editedAt: z.iso.datetime(),
});
const time = z.iso.datetime().nullable();
export const incidentReply = z.object({
  id: z.uuid(),
  endpointId: z.uuid(),
  endpoint: z.string(),
  rule: z.string(),
  respond: z.string(),
  severity: z.string(),
  subject: z.string(),
  summary: z.string(),
  times: z.int(),
  openedAt: z.iso.datetime(),
  acknowledgedBy: z.string().nullable(),
  acknowledgedAt: time,
  escalateAt: time,
  escalatedAt: time,
  changeId: z.uuid().nullable(),
  changeUnderWay: z.boolean(),
  ofRule: z.boolean(),
  closedAt: time,
});
const incidentQuery = z.strictObject({ ...paging, open: z.enum(['true', 'false']).optional() });

export function noticeRoutes({ pool }: ApiDeps): Route[] {
  const one = async (id: string) => {
    const found = await readIncident(pool, id);
    if (found === null) throw notFound('incident');
    return found;
  };
  const ending = (what: 'acknowledge' | 'close', word: string): Route =>
    route({
      method: 'post',
      path: `/v1/incidents/:id/${what}`,
      summary:
        what === 'close'
          ? 'Close an incident'
          : 'Say that somebody looks after an incident; it is not escalated any more',
      permission: 'incident.answer',
      params: idParams,
      responses: { 200: { description: 'The incident as it is now', schema: incidentReply } },
      handler: async ({ params, person, now }) => {
        await one(params.id);
        await inTransaction(pool, async (client) => {
          if (!(await endIncident(client, { id: params.id, what, by: person.actor, now })))
            throw conflict(`the incident is ${word} already`);
          const subject = `incident/${params.id}`;
          await appendAudit(client, [{ actor: person.actor, action: `incident.${word}`, subject }]);
        });
        return { status: 200, body: await one(params.id) };
      },
    });
  return [
    route({
      method: 'get',
      path: '/v1/notice-rules',
      summary: 'What happens when an endpoint notices something',
      permission: 'baseline.read',
      responses: { 200: { description: 'Rules by name', schema: pageSchema(ruleReply) } },
      handler: async () => {
        const { rows } = await pool.query(
          `SELECT name, document AS rule, edited_by AS "editedBy", edited_at AS "editedAt" FROM notice_rule ORDER BY name`,
        );
        return { status: 200, body: { items: rows, next: null } };
      },
    }),
    route({
      method: 'put',
      path: '/v1/notice-rules/:name',
      summary: 'Map what endpoints notice to an alert, a ticket or an incident',
      permission: 'baseline.edit',
      params: nameParams,
      body: noticeRuleSchema,
      responses: {
        200: {
          description: 'The rule as it is now',
          schema: z.object({ name: z.string(), rule: z.record(z.string(), z.unknown()) }),
        },
      },
      handler: async ({ params, body, person, now }) => {
        await requireGroups(pool, body.appliesTo, 'appliesTo');
        await inTransaction(pool, async (client) => {
          await client.query(
            `INSERT INTO notice_rule (name, document, edited_by, edited_at) VALUES ($1, $2, $3, to_timestamp($4 / 1000.0))
             ON CONFLICT (name) DO UPDATE SET document = excluded.document, edited_by = excluded.edited_by, edited_at = excluded.edited_at`,
            [params.name, JSON.stringify(body), person.actor, now],
          );
          const subject = `notice-rule/${params.name}`;
          await appendAudit(client, [{ actor: person.actor, action: 'noticeRule.put', subject, detail: { ...body } }]);
        });
        return { status: 200, body: { name: params.name, rule: body } };
      },
    }),
    route({
      method: 'delete',
      path: '/v1/notice-rules/:name',
      summary: 'Remove a notice rule',
      permission: 'baseline.edit',
      params: nameParams,
      responses: { 204: { description: 'Gone' } },
      handler: async ({ params, person }) => {
        await inTransaction(pool, async (client) => {
          const { rowCount } = await client.query('DELETE FROM notice_rule WHERE name = $1', [params.name]);
          if (rowCount !== 1) throw notFound('notice rule');
          const subject = `notice-rule/${params.name}`;
          await appendAudit(client, [{ actor: person.actor, action: 'noticeRule.removed', subject }]);
        });
        return { status: 204 };
      },
    }),
    route({
      method: 'get',
      path: '/v1/incidents',
      summary: 'Alerts, tickets and incidents from what endpoints noticed, newest first',
      permission: 'baseline.read',
      query: incidentQuery,
      responses: { 200: { description: 'A page', schema: pageSchema(incidentReply) } },
      handler: async ({ query }) => {
        const after = cursorParts(query.cursor, ['number', 'string']) as [number, string] | null;
        const open = query.open === undefined ? null : query.open === 'true';
        return { status: 200, body: await listIncidents(pool, { open, after, limit: query.limit }) };
      },
    }),
    route({
      method: 'get',
      path: '/v1/incidents/:id',
      summary: 'One incident',
      permission: 'baseline.read',
      params: idParams,
      responses: { 200: { description: 'The incident', schema: incidentReply } },
      handler: async ({ params }) => ({ status: 200, body: await one(params.id) }),
    }),
    ending('acknowledge', 'acknowledged'),
    ending('close', 'closed'),
    route({
      method: 'post',
      path: '/v1/incidents/:id/expedite',
      summary: 'Ask for a remediation of an incident’s rule at once, with the expedite policy’s rings and approvals',
      permission: 'change.create',
      params: idParams,
      body: z.strictObject({ reason: z.string().trim().min(1).max(1_000) }),
      responses: {
        200: { description: 'The incident as it is now, with the change it asked for', schema: incidentReply },
      },
      handler: async ({ params: { id }, body: { reason }, person, now }) => {
        await inTransaction(pool, async (client) => {
          const incident = await lockIncident(client, id);
          if (incident === null) throw notFound('incident');
          const why = whyNotExpedited(incident);
          if (why !== null) throw conflict(why);
          const { endpointId, endpoint, name: ruleId } = incident;
          const expedited = await expediteRule(client, {
            ...{ endpointId, endpoint, ruleId, reason, now },
            requestedBy: person.actor,
            workflowId: changeWorkflowId,
          });
          if (expedited.kind === 'refused') throw conflict(expedited.reason);
          const { changeId } = expedited;
          if (expedited.kind === 'underWay') throw conflict(`change ${changeId} is under way for it already`);
          await noteExpedited(client, { id, changeId });
          const detail = { reason, changeId, rule: ruleId };
          await appendAudit(client, [
            { actor: person.actor, action: 'incident.expedited', subject: `incident/${id}`, detail },
          ]);
        });
        return { status: 200, body: await one(id) };
      },
    }),
  ];
}

/** In words; null: it may be. */
function whyNotExpedited(incident: {
  readonly open: boolean;
  readonly kind: string;
  readonly action: string;
}): string | null {
  if (!incident.open) return 'the incident is closed';
  return incident.kind !== 'rule' || incident.action === 'removed'
    ? 'it is not about a rule of a baseline that fails: only those have a fix'
    : null;
}
