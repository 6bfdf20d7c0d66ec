import { z } from 'zod';
import { listAudit } from '../../db/read/audit.js';
import type { ApiDeps } from '../deps.js';
import { cursorParts, pageSchema, paging } from '../http/paging.js';
import { type Route, route } from '../http/route.js';

const auditQuery = z.strictObject({
  ...paging,
  subject: z.string().max(300).optional(),
  actor: z.string().max(300).optional(),
  action: z.string().max(100).optional(),
});

const auditEntry = z.object({
  id: z.number(),
  at: z.iso.datetime(),
  actor: z.string(),
  action: z.string(),
  subject: z.string(),
  detail: z.record(z.string(), z.unknown()),
  sealed: z.number().nullable(),
  hash: z.string().nullable(),
});

export function auditRoutes({ pool }: ApiDeps): Route[] {
  return [
    route({
      method: 'get',
      path: '/v1/audit',
      summary: 'The audit log, newest first',
      permission: 'audit.read',
      query: auditQuery,
      responses: { 200: { description: 'A page', schema: pageSchema(auditEntry) } },
      handler: async ({ query }) => {
        const before = (cursorParts(query.cursor, ['number'])?.[0] ?? null) as number | null;
        const { subject = null, actor = null, action = null, limit } = query;
        return { status: 200, body: await listAudit(pool, { subject, actor, action, before, limit }) };
      },
    }),
  ];
}
