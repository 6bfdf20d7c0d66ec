/** From ids to a running change, in one transaction: what is vulnerable, who has it, and the hurried change over those. */
import type { PoolClient } from 'pg';
import { appendAudit } from '../../db/audit/append.js';
import { createChange } from '../../db/change/create.js';
import { askForScans } from '../../db/plan/scope.js';
import {
  countHaving,
  countUnscanned,
  type Exposed,
  findExposed,
  loadTakenIds,
  ofScope,
  rememberExposed,
} from '../../db/zero-day/endpoints.js';
import type { StoredExpeditePolicy } from '../../db/zero-day/policy.js';
import { insertZeroDay, listZeroDayChanges, lockZeroDay, type ZeroDayRow } from '../../db/zero-day/zero-day.js';
import { type Override, overridesAnything } from '../../domain/change/override.js';
import { type ChangeSpec, EXPEDITED_PRIORITY } from '../../domain/change/spec.js';
import { type EpochMs, MINUTE } from '../../domain/time.js';
import { deadlineMinutesOf, expeditedRings, whyNoOverride } from '../../domain/zero-day/expedite-policy.js';
import { inclusionOf } from '../../domain/zero-day/targets.js';
import { changeWorkflowId } from '../../workflows/ids.js';
import { conflict, Problem } from '../http/problem.js';

/** Who may be told to hurry: everything but the row's own id and clock. */
type Wanted = Omit<ZeroDayRow, 'id' | 'requestedAt' | 'lookedAt' | 'exposed' | 'endedAt' | 'dueAt'> & {
  readonly dueAt: EpochMs;
};

/** @throws Problem 409 when the policy in force does not allow the override asked for */
export function checkOverride(policy: StoredExpeditePolicy, wanted: Override): void {
  const why = whyNoOverride(policy.document, wanted);
  if (why === null) return;
  throw new Problem({ status: 409, type: 'override-not-allowed', title: 'The override is not allowed', detail: why });
}

/** Starts a zero-day: the row, who is exposed, and the change where there is something to do. */
export async function startZeroDay(
  client: PoolClient,
  args: { readonly wanted: Wanted; readonly policy: StoredExpeditePolicy; readonly now: EpochMs },
) {
  const { wanted, policy, now } = args;
  const all = await findExposed(client, { targets: wanted.targets });
  const inScope = await ofScope(client, all, wanted.scope);
  const [having, unscanned] = [await countHaving(client, wanted.targets), await countUnscanned(client)];
  const id = await insertZeroDay(client, { ...wanted, exposed: all.length, now });
  await rememberExposed(client, { zeroDayId: id, endpointIds: all.map((one) => one.endpointId), since: now });
  await appendAudit(client, [
    {
      actor: wanted.requestedBy,
      action: 'zeroDay.requested',
      subject: `zeroDay/${id}`,
      detail: {
        name: wanted.name,
        reason: wanted.reason,
        ...wanted.request,
        exposed: all.length,
        inScope: inScope.length,
      },
    },
  ]);
  const counts = {
    exposed: inScope.length,
    offered: inScope.filter((one) => one.offered).length,
    outOfScope: all.length - inScope.length,
    having,
    unscanned,
  };
  const zeroDay = { ...wanted, id };
  const changeId = await hurry(client, { zeroDay, override: wanted.request.override, exposed: inScope, policy, now });
  return {
    id,
    changeId,
    name: wanted.name,
    dueAt: new Date(wanted.dueAt).toISOString(),
    ...counts,
    override: wanted.request.override,
    policyVersion: policy.version,
    note: noteOf(counts),
  };
}

/**
 * The change over those that are exposed and have a fix on offer; null when there is none. Who has none on offer is asked to
 * look for updates.
 */
export async function hurry(
  client: PoolClient,
  args: {
    readonly zeroDay: Wanted & { readonly id: string };
    readonly override: Override;
    readonly exposed: readonly Exposed[];
    readonly policy: StoredExpeditePolicy;
    readonly now: EpochMs;
  },
): Promise<string | null> {
  const { zeroDay, override, exposed, policy, now } = args;
  await askForScans(
    client,
    exposed.flatMap((one) => (one.offered ? [] : [one.endpointId])),
  );
  if (!exposed.some((one) => one.offered)) return null;
  return createChange(client, {
    spec: specOf({ zeroDay, override, policy, now }),
    requestedBy: zeroDay.requestedBy,
    now,
    zeroDayId: zeroDay.id,
    workflowId: changeWorkflowId,
  });
}

function specOf(args: {
  readonly zeroDay: Wanted;
  readonly override: Override;
  readonly policy: StoredExpeditePolicy;
  readonly now: EpochMs;
}): ChangeSpec {
  const { zeroDay, override, now } = args;
  const policy = args.policy.document;
  return {
    kind: 'patch',
    name: zeroDay.name,
    reason: zeroDay.reason,
    scope: zeroDay.scope ?? { all: true },
    rings: expeditedRings(policy, { rings: policy.rings, override }),
    priority: EXPEDITED_PRIORITY,
    deadlineMinutes: deadlineMinutesOf(policy, (zeroDay.dueAt - now) / MINUTE),
    offlineAfterMinutes: policy.offlineAfterMinutes,
    // The inventories there are count: nobody waits for scans while something is exposed.
    parameters: {
      include: inclusionOf({ cves: zeroDay.request.cves, targets: zeroDay.targets }),
      discoverMinutes: 0,
    },
    ...(overridesAnything(override) && { override }),
  };
}

/**
 * Starts it again for whoever is exposed now and is in no open change of it: what became exposed since, or what an ended change
 * left behind.
 * @throws Problem 409 while a change of it is being prepared: nobody knows yet whom that one takes
 */
export async function startAgain(
  client: PoolClient,
  args: {
    readonly zeroDay: ZeroDayRow;
    readonly reason: string;
    readonly override: Override;
    readonly by: string;
    readonly policy: StoredExpeditePolicy;
    readonly now: EpochMs;
  },
) {
  const { override, policy, now } = args;
  await lockZeroDay(client, args.zeroDay.id);
  const changes = await listZeroDayChanges(client, args.zeroDay.id);
  const preparing = changes.find((change) => change.closedAt === null && change.planDigest === null);
  if (preparing !== undefined) throw conflict(`change ${preparing.id} of it is still being prepared`);
  const zeroDay = {
    ...args.zeroDay,
    reason: args.reason,
    requestedBy: args.by,
    dueAt: args.zeroDay.dueAt.getTime(),
  };
  const all = await findExposed(client, { targets: zeroDay.targets });
  const inScope = await ofScope(client, all, zeroDay.scope);
  const taken = await loadTakenIds(
    client,
    zeroDay.id,
    inScope.map((one) => one.endpointId),
  );
  const left = inScope.filter((one) => !taken.has(one.endpointId));
  await rememberExposed(client, { zeroDayId: zeroDay.id, endpointIds: all.map((one) => one.endpointId), since: now });
  await appendAudit(client, [
    {
      actor: args.by,
      action: 'zeroDay.startedAgain',
      subject: `zeroDay/${zeroDay.id}`,
      detail: { reason: args.reason, override, exposed: all.length, concerned: left.length },
    },
  ]);
  const changeId = await hurry(client, { zeroDay, override, exposed: left, policy, now });
  const counts = {
    exposed: left.length,
    offered: left.filter((one) => one.offered).length,
    outOfScope: all.length - inScope.length,
    having: await countHaving(client, zeroDay.targets),
    unscanned: await countUnscanned(client),
  };
  const others = inScope.length - left.length;
  return {
    id: zeroDay.id,
    changeId,
    name: zeroDay.name,
    dueAt: args.zeroDay.dueAt.toISOString(),
    ...counts,
    override,
    policyVersion: policy.version,
    note:
      others > 0 && left.length === 0
        ? `Open changes of it take care of all ${others} exposed endpoints.`
        : noteOf(counts),
  };
}

function noteOf(counts: {
  readonly exposed: number;
  readonly offered: number;
  readonly having: number;
  readonly unscanned: number;
}): string {
  const { exposed, offered, having, unscanned } = counts;
  const blind =
    unscanned > 0 ? ` ${unscanned} endpoints have never been scanned completely: nobody knows about them.` : '';
  if (exposed === 0)
    return `No endpoint in scope is exposed: ${having} have it, all of them fixed by their last scan. It stays watched.${blind}`;
  if (offered === 0)
    return `${exposed} endpoints are exposed, and none is offered a fix by its own package index: they have been asked to look again. Start it again once they have (POST /v1/zero-day/{id}/start).${blind}`;
  const rest = exposed - offered;
  const later =
    rest > 0 ? ` ${rest} are not offered one by their own package index and have been asked to look again.` : '';
  return `${offered} of ${exposed} exposed endpoints have a fix on offer; the change is on its way.${later}${blind}`;
}
