/** The dry run: what a change would do now. Reads only; nothing is written, and nothing of it is kept. */
import { loadFreezeTexts } from '../../db/orders/windows.js';
import { loadPatchInputs } from '../../db/plan/patch-inputs.js';
import { loadProjectionFacts } from '../../db/plan/projection-facts.js';
import { loadScopeEndpoints } from '../../db/plan/scope.js';
import { loadWorkGroups } from '../../db/plan/work-groups.js';
import { loadGroups, loadPolicies } from '../../db/policy/load.js';
import { dryRun } from '../../domain/change/dry-run.js';
import { parsePatchParameters } from '../../domain/change/patch-parameters.js';
import { decideScope, isFresh } from '../../domain/change/scope.js';
import type { ChangeSpec } from '../../domain/change/spec.js';
import { planPatches } from '../../domain/patch/plan.js';
import { readCalendars } from '../../domain/policy/next-opening.js';
import { type EpochMs, MINUTE } from '../../domain/time.js';
import type { ApiDeps } from '../deps.js';
import { invalidField } from '../http/problem.js';
import { type Route, route } from '../http/route.js';
import { checkSpec } from './check-spec.js';
import { changePlanReply } from './plan-schema.js';
import { changePost } from './schema.js';

export function changePlanRoutes(deps: ApiDeps): Route[] {
  return [
    route({
      method: 'post',
      path: '/v1/changes/plan',
      summary: 'Dry run: rings, windows, projected finish, who can’t make it and why; nothing is written',
      permission: 'change.create',
      body: changePost,
      responses: { 200: { description: 'What would be done now', schema: changePlanReply } },
      handler: async ({ body, now }) => {
        await checkSpec(deps, body);
        return { status: 200, body: await planOf(deps, body, now) };
      },
    }),
  ];
}

async function planOf({ pool }: ApiDeps, spec: ChangeSpec, now: EpochMs) {
  const parameters = parsePatchParameters(spec.parameters);
  if (spec.kind !== 'patch' || !parameters.ok) throw invalidField('kind', 'only changes of kind patch can be planned');
  const [policies, groups, endpoints] = await Promise.all([
    loadPolicies(pool),
    loadGroups(pool),
    loadScopeEndpoints(pool),
  ]);
  const deadline = now + spec.deadlineMinutes * MINUTE;
  const scope = decideScope({ endpoints, scope: spec.scope, groups, policies, deadline });
  const ids = scope.included.map(({ endpoint }) => endpoint.id);
  const calendarNames = new Set(scope.included.flatMap(({ policy }) => policy.document.freezeCalendars));
  const [inputs, facts, texts] = await Promise.all([
    loadWorkGroups(pool, ids).then((groups) => loadPatchInputs(pool, { groups, now })),
    loadProjectionFacts(pool, ids),
    loadFreezeTexts(pool, [...calendarNames]),
  ]);
  const result = await dryRun({
    spec,
    now,
    scope,
    groups,
    plan: (undoable) => planPatches({ ...inputs, parameters: parameters.value, now, undoable }),
    names: new Map(endpoints.map(({ id, name }) => [id, name])),
    facts: facts.endpoints,
    quorums: facts.quorums,
    calendars: readCalendars(texts),
    stale: scope.included.filter(({ endpoint }) => !isFresh(endpoint, now, parameters.value.scanMaxAgeMs)).length,
  });
  if (!result.ok) throw invalidField('rings', result.reason);
  return result.plan;
}
