import { z } from 'zod';
import { appendAudit } from '../../db/audit/append.js';
import { unknownGroups } from '../../db/groups/groups.js';
import { unknownAccounts } from '../../db/identity/accounts.js';
import {
  listPolicySets,
  listPolicyVersions,
  putPolicySet,
  retirePolicySet,
  unknownCalendars,
} from '../../db/policy/put.js';
import { policyReachOf } from '../../db/policy/reach.js';
import { inTransaction, type Queryable } from '../../db/pool.js';
import type { ApprovalRule } from '../../domain/approval/rule.js';
import { groupsNamed } from '../../domain/fleet/selector.js';
import type { ApiDeps } from '../deps.js';
import { namedReads } from '../http/named-reads.js';
import { nameParams } from '../http/paging.js';
import { invalidField, notFound } from '../http/problem.js';
import { type Route, route } from '../http/route.js';
import { policyInForce, policyPut, policyReach, policyReply, policyVersionReply } from './schema.js';

export function policySetRoutes({ pool }: ApiDeps): Route[] {
  return [
    ...namedReads({
      db: pool,
      path: '/v1/policy-sets',
      one: 'policy set',
      all: 'policy sets',
      summary: 'Policy sets in force, the one that wins first',
      permission: 'policy.read',
      reply: policyInForce,
      read: listPolicySets,
    }),
    route({
      method: 'put',
      path: '/v1/policy-sets/:name',
      summary: 'Store a new version of a policy set',
      permission: 'policy.edit',
      params: nameParams,
      body: policyPut,
      responses: { 200: { description: 'The version in force now', schema: policyReply } },
      handler: async ({ params, body, person, now }) => {
        const { document, precedence } = body;
        const [groups, calendars] = await Promise.all([
          unknownGroups(
            pool,
            groupsNamed(document.appliesTo).map(({ name }) => name),
          ),
          unknownCalendars(pool, document.freezeCalendars),
        ]);
        const unknown = groupsNamed(document.appliesTo).find(({ name }) => groups.includes(name));
        if (unknown !== undefined) {
          const field = `document.appliesTo.${unknown.field.replace(/\[.*/, '')}`;
          throw invalidField(field, `no such group: ${groups.join(', ')}`);
        }
        // A freeze nobody has imported would keep nothing shut.
        if (calendars.length > 0)
          throw invalidField('document.freezeCalendars', `no such calendar: ${calendars.join(', ')}`);
        await checkApprovers(pool, document.patchApprovals ?? []);
        const made = await inTransaction(pool, async (client) => {
          const put = await putPolicySet(client, {
            name: params.name,
            precedence,
            document,
            createdBy: person.actor,
            now,
          });
          const detail = { name: params.name, version: put.version, precedence };
          await appendAudit(client, [
            { actor: person.actor, action: 'policySet.put', subject: `policySet/${put.id}`, detail },
          ]);
          return put;
        });
        return { status: 200, body: { ...made, name: params.name, precedence, document } };
      },
    }),
    route({
      method: 'get',
      path: '/v1/policy-sets/:name/versions',
      summary: 'Every version of a policy set, newest first',
      permission: 'policy.read',
      params: nameParams,
      responses: {
        200: { description: 'All versions', schema: z.object({ items: z.array(policyVersionReply) }) },
      },
      handler: async ({ params }) => {
        const items = await listPolicyVersions(pool, params.name);
        if (items.length === 0) throw notFound('policy set');
        return { status: 200, body: { items } };
      },
    }),
    route({
      method: 'get',
      path: '/v1/policy-sets/:name/reach',
      summary: 'How many endpoints a policy set applies to now, and for how many another one wins or ties',
      permission: 'policy.read',
      params: nameParams,
      responses: { 200: { description: 'Counts of endpoints', schema: policyReach } },
      handler: async ({ params }) => {
        const reach = await policyReachOf(pool, params.name);
        if (reach === null) throw notFound('policy set');
        return { status: 200, body: reach };
      },
    }),
    route({
      method: 'delete',
      path: '/v1/policy-sets/:name',
      summary: 'Retire a policy set; its versions stay on record, and endpoints under no other get no change',
      permission: 'policy.edit',
      params: nameParams,
      responses: { 204: { description: 'Retired' } },
      handler: async ({ params, person, now }) => {
        await inTransaction(pool, async (client) => {
          const id = await retirePolicySet(client, params.name, now);
          if (id === null) throw notFound('policy set');
          const detail = { name: params.name };
          const subject = `policySet/${id}`;
          await appendAudit(client, [{ actor: person.actor, action: 'policySet.retired', subject, detail }]);
        });
        return { status: 204 };
      },
    }),
  ];
}

/** An approval nobody can give would keep the endpoint shut for ever. */
async function checkApprovers(db: Queryable, rules: readonly ApprovalRule[]): Promise<void> {
  const named = rules.flatMap((rule, i) =>
    (['from', 'escalateTo'] as const).flatMap((part) => {
      const approvers = rule[part];
      return 'accounts' in approvers
        ? [{ field: `document.patchApprovals[${i}].${part}.accounts`, ids: approvers.accounts }]
        : [];
    }),
  );
  if (named.length === 0) return;
  const unknown = await unknownAccounts(db, [...new Set(named.flatMap(({ ids }) => ids))]);
  const wrong = named.find(({ ids }) => ids.some((id) => unknown.includes(id)));
  if (wrong !== undefined) throw invalidField(wrong.field, `no such account: ${unknown.join(', ')}`);
}
