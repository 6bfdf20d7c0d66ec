/** Looking at zero-days: which there are, and what stays exposed and why, until nothing does. */
import { judgeAllExposed, listExposure } from '../../db/zero-day/exposure.js';
import {
  listZeroDayChanges,
  listZeroDays,
  readZeroDay,
  readZeroDayCounts,
  type ZeroDayCounts,
  type ZeroDayRow,
} from '../../db/zero-day/zero-day.js';
import { type EpochMs, SECOND } from '../../domain/time.js';
import { standingOf } from '../../domain/zero-day/exposure.js';
import type { ApiDeps } from '../deps.js';
import { cursorParts, idParams, pageSchema } from '../http/paging.js';
import { notFound } from '../http/problem.js';
import { type Route, route } from '../http/route.js';
import { exposurePage, exposureQuery, zeroDayDetail, zeroDayQuery, zeroDaySummary } from './schema.js';

export function zeroDayReadRoutes({ pool }: ApiDeps): Route[] {
  const one = async (id: string): Promise<ZeroDayRow> => {
    const zeroDay = await readZeroDay(pool, id);
    if (zeroDay === null) throw notFound('zero-day');
    return zeroDay;
  };
  return [
    route({
      method: 'get',
      path: '/v1/zero-day',
      summary: 'Zero-days, newest first, with how far each has come',
      permission: 'zeroDay.read',
      query: zeroDayQuery,
      responses: { 200: { description: 'A page', schema: pageSchema(zeroDaySummary) } },
      handler: async ({ query, now }) => {
        const after = cursorParts(query.cursor, ['number', 'string']) as [number, string] | null;
        const page = await listZeroDays(pool, { open: query.open ?? null, after, limit: query.limit });
        return { status: 200, body: { ...page, items: page.items.map((row) => summaryOf(row, row.counts, now)) } };
      },
    }),
    route({
      method: 'get',
      path: '/v1/zero-day/:id',
      summary: 'One zero-day: its changes, its countdown, what the exposed come down to and what to do next',
      permission: 'zeroDay.read',
      params: idParams,
      responses: { 200: { description: 'The zero-day', schema: zeroDayDetail } },
      handler: async ({ params, now }) => {
        const zeroDay = await one(params.id);
        const [counts, changes, exposed] = await Promise.all([
          readZeroDayCounts(pool, zeroDay.id),
          listZeroDayChanges(pool, zeroDay.id),
          judgeAllExposed(pool, { zeroDay, now }),
        ]);
        return {
          status: 200,
          body: {
            ...summaryOf(zeroDay, counts, now),
            scope: zeroDay.scope,
            override: zeroDay.request.override,
            targets: zeroDay.targets,
            changes: changes.map(({ planDigest: _, ...change }) => change),
            standing: standingOf({ id: zeroDay.id, exposed }),
          },
        };
      },
    }),
    route({
      method: 'get',
      path: '/v1/zero-day/:id/exposure',
      summary: 'What stays exposed and why, endpoint by endpoint, until nothing does',
      permission: 'zeroDay.read',
      params: idParams,
      query: exposureQuery,
      responses: { 200: { description: 'A page, by name', schema: exposurePage } },
      handler: async ({ params, query, now }) => {
        const zeroDay = await one(params.id);
        const after = cursorParts(query.cursor, ['string', 'string']) as [string, string] | null;
        const [counts, page] = await Promise.all([
          readZeroDayCounts(pool, zeroDay.id),
          listExposure(pool, { zeroDay, show: query.show, after, limit: query.limit, now }),
        ]);
        const items = page.items.map(({ taken: _, since, until, ...item }) => ({
          ...item,
          since: iso(since),
          until: iso(until),
        }));
        return { status: 200, body: { ...progressOf(zeroDay, counts, now), items, next: page.next } };
      },
    }),
  ];
}

const iso = (at: EpochMs | null): string | null => (at === null ? null : new Date(at).toISOString());

function progressOf(zeroDay: ZeroDayRow, counts: ZeroDayCounts, now: EpochMs) {
  const { dueAt, lookedAt, endedAt } = zeroDay;
  return {
    dueAt,
    secondsLeft: endedAt === null ? Math.round((dueAt.getTime() - now) / SECOND) : null,
    overdue: (endedAt?.getTime() ?? now) > dueAt.getTime(),
    lookedAt,
    endedAt,
    counts,
  };
}

const summaryOf = (row: ZeroDayRow, counts: ZeroDayCounts, now: EpochMs) => ({
  id: row.id,
  name: row.name,
  reason: row.reason,
  cves: row.request.cves,
  packages: row.request.packages,
  requestedBy: row.requestedBy,
  requestedAt: row.requestedAt,
  ...progressOf(row, counts, now),
});
