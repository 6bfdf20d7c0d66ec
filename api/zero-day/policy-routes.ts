import { appendAudit } from '../../db/audit/append.js';
import { unknownAccounts } from '../../db/identity/accounts.js';
import { inTransaction } from '../../db/pool.js';
import { loadExpeditePolicy, putExpeditePolicy } from '../../db/zero-day/policy.js';
import type { ExpeditePolicy } from '../../domain/zero-day/expedite-policy.js';
import { checkSpec } from '../changes/check-spec.js';
import type { ApiDeps } from '../deps.js';
import { invalidField } from '../http/problem.js';
import { type Route, route } from '../http/route.js';
import { expeditePolicyPut, expeditePolicyReply } from './schema.js';

export function expeditePolicyRoutes(deps: ApiDeps): Route[] {
  const { pool } = deps;
  return [
    route({
      method: 'get',
      path: '/v1/expedite-policy',
      summary: 'How zero-days are hurried: rings, approvals, what may be overridden',
      permission: 'policy.read',
      responses: { 200: { description: 'The policy in force; version 0 is the default', schema: expeditePolicyReply } },
      handler: async () => ({ status: 200, body: await loadExpeditePolicy(pool) }),
    }),
    route({
      method: 'put',
      path: '/v1/expedite-policy',
      summary: 'Store a new version of the expedite policy',
      permission: 'expeditePolicy.edit',
      body: expeditePolicyPut,
      responses: { 200: { description: 'The version in force now', schema: expeditePolicyReply } },
      handler: async ({ body, person, now }) => {
        await checkNames(deps, body);
        await inTransaction(pool, async (client) => {
          const version = await putExpeditePolicy(client, { document: body, by: person.actor, now });
          await appendAudit(client, [
            {
              actor: person.actor,
              action: 'expeditePolicy.put',
              subject: 'expeditePolicy',
              detail: { version, document: body },
            },
          ]);
        });
        return { status: 200, body: await loadExpeditePolicy(pool) };
      },
    }),
  ];
}

/** Groups and accounts must be there: an approval nobody can give would hold every zero-day. */
async function checkNames(deps: ApiDeps, policy: ExpeditePolicy): Promise<void> {
  await checkSpec(deps, {
    kind: 'patch',
    name: 'expedite policy',
    reason: 'check',
    scope: { all: true },
    rings: policy.rings,
    priority: 0,
    deadlineMinutes: policy.deadlineMinutes,
    offlineAfterMinutes: policy.offlineAfterMinutes,
    parameters: {},
  });
  for (const part of ['from', 'escalateTo'] as const) {
    const approvers = policy.override?.approval[part];
    if (approvers === undefined || !('accounts' in approvers)) continue;
    const unknown = await unknownAccounts(deps.pool, [...approvers.accounts]);
    if (unknown.length > 0)
      throw invalidField(`override.approval.${part}.accounts`, `no such account: ${unknown.join(', ')}`);
  }
}
