import { z } from 'zod';
import { readPackagesBrought } from '../../db/baseline/brings.js';
import { encodeCursor } from '../../db/read/cursor.js';
import type { ApiDeps } from '../deps.js';
import { cursorParts, pageSchema, paging } from '../http/paging.js';
import { invalidField, notFound } from '../http/problem.js';
import { type Route, route } from '../http/route.js';

const digest = z.string().regex(/^[0-9a-f]{64}$/);
const packageFile = z.object({ name: z.string(), version: z.string(), arch: z.string(), sha256: digest });

export function packageListRoutes({ pool }: ApiDeps): Route[] {
  return [
    route({
      method: 'get',
      path: '/v1/package-lists/:sha256',
      summary: 'Each file that a package of a plan may bring, by the list’s digest as the plan names it',
      permission: 'change.read',
      params: z.strictObject({ sha256: digest }),
      query: z.strictObject(paging),
      responses: { 200: { description: 'Files by name', schema: pageSchema(packageFile) } },
      handler: async ({ params, query }) => {
        const from = cursorParts(query.cursor, ['number'])?.[0] ?? 0;
        if (!Number.isSafeInteger(from) || Number(from) < 0)
          throw invalidField('cursor', 'not a cursor of this list', 'query');
        const packages = await readPackagesBrought(pool, params.sha256);
        if (packages === null) throw notFound('list of packages that a plan of late names');
        // A list never changes, so a place in it is as good as a key.
        const end = Number(from) + query.limit;
        const items = packages.slice(Number(from), end);
        return { status: 200, body: { items, next: end < packages.length ? encodeCursor([end]) : null } };
      },
    }),
  ];
}
