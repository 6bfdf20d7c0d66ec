import { listAudit } from '../../db/read/audit.js';
import type { ApiDeps } from '../deps.js';
import { cursorParts, pageSchema } from '../http/paging.js';
import { type Route, route } from '../http/route.js';
import { auditEntry, auditQuery } from './schema.js';

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
