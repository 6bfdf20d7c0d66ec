import { unknownGroups } from '../../db/groups/groups.js';
import { inTransaction } from '../../db/pool.js';
import { lookUpIds } from '../../db/zero-day/ids.js';
import { loadExpeditePolicy } from '../../db/zero-day/policy.js';
import { readZeroDay } from '../../db/zero-day/zero-day.js';
import { NO_OVERRIDE } from '../../domain/change/override.js';
import { MINUTE } from '../../domain/time.js';
import { targetsOf } from '../../domain/zero-day/targets.js';
import type { ApiDeps } from '../deps.js';
import { idParams } from '../http/paging.js';
import { invalidField, notFound } from '../http/problem.js';
import { type Route, route } from '../http/route.js';
import { startPost, zeroDayPost, zeroDayStarted } from './schema.js';
import { checkOverride, startAgain, startZeroDay } from './start.js';
import { unknownIds } from './unknown-ids.js';

export function zeroDayRoutes(deps: ApiDeps): Route[] {
  const { reserved } = deps;
  return [
    route({
      method: 'post',
      path: '/v1/zero-day',
      summary: 'CVEs or packages in, a hurried change out, ahead of all routine work',
      permission: 'zeroDay.create',
      body: zeroDayPost,
      responses: {
        200: { description: 'Nothing to do now, and why; it stays watched', schema: zeroDayStarted },
        201: { description: 'The zero-day and its change, which has started', schema: zeroDayStarted },
      },
      handler: async ({ body, person, now }) => {
        const cves = [...new Set(body.cves)];
        const known = await lookUpIds(reserved, { cves, names: body.packages.map((one) => one.name) });
        const { targets, unknown } = targetsOf({ cves, packages: body.packages, ...known });
        if (unknown.length > 0) throw unknownIds(unknown);
        const groups = await unknownGroups(reserved, body.scope?.groups ?? []);
        if (groups.length > 0) throw invalidField('scope.groups', `no such group: ${groups.join(', ')}`);
        const policy = await loadExpeditePolicy(reserved);
        const override = body.override ?? NO_OVERRIDE;
        checkOverride(policy, override);
        const dueAt = body.dueAt === undefined ? now + policy.document.dueMinutes * MINUTE : Date.parse(body.dueAt);
        if (dueAt <= now) throw invalidField('dueAt', 'is in the past');
        const ids = [...cves, ...body.packages.map((one) => one.name)];
        const wanted = {
          name:
            body.name ?? `Zero-day ${ids.slice(0, 3).join(', ')}${ids.length > 3 ? ` and ${ids.length - 3} more` : ''}`,
          reason: body.reason,
          request: { cves, packages: body.packages, override },
          targets,
          scope: body.scope ?? null,
          requestedBy: person.actor,
          dueAt,
        };
        const started = await inTransaction(reserved, (client) => startZeroDay(client, { wanted, policy, now }));
        return answer(started);
      },
    }),
    route({
      method: 'post',
      path: '/v1/zero-day/:id/start',
      summary: 'Start it again: for what became exposed since, or what an ended change left behind',
      permission: 'zeroDay.create',
      params: idParams,
      body: startPost,
      responses: {
        200: { description: 'Nothing to do now, and why; it stays watched', schema: zeroDayStarted },
        201: { description: 'The zero-day and its new change, which has started', schema: zeroDayStarted },
      },
      handler: async ({ params, body, person, now }) => {
        const zeroDay = await readZeroDay(reserved, params.id);
        if (zeroDay === null) throw notFound('zero-day');
        const policy = await loadExpeditePolicy(reserved);
        const override = body.override ?? NO_OVERRIDE;
        checkOverride(policy, override);
        const wanted = { zeroDay, reason: body.reason, override, by: person.actor, policy, now };
        return answer(await inTransaction(reserved, (client) => startAgain(client, wanted)));
      },
    }),
  ];
}

const answer = (started: Awaited<ReturnType<typeof startZeroDay>>) => ({
  status: started.changeId === null ? 200 : 201,
  body: started,
  headers: { location: `/v1/zero-day/${started.id}` },
});
