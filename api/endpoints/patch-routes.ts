/** "Patch this one": a change over a single endpoint, behind every gate a larger one stands behind. */
import { z } from 'zod';
import { appendAudit } from '../../db/audit/append.js';
import { createChange } from '../../db/change/create.js';
import { inTransaction, type Queryable } from '../../db/pool.js';
import { loadWhyFacts } from '../../db/read/why.js';
import { findExposed } from '../../db/zero-day/endpoints.js';
import { lookUpIds } from '../../db/zero-day/ids.js';
import { approvalRuleSchema } from '../../domain/approval/rule-schema.js';
import type { ChangeSpec } from '../../domain/change/spec.js';
import { DAY, MINUTE } from '../../domain/time.js';
import { decideWhy } from '../../domain/why/decide.js';
import type { WhyFacts } from '../../domain/why/facts.js';
import type { ReasonCode } from '../../domain/why/reason.js';
import { inclusionOf, targetsOf } from '../../domain/zero-day/targets.js';
import { changeWorkflowId } from '../../workflows/ids.js';
import type { ApiDeps } from '../deps.js';
import { idParams } from '../http/paging.js';
import { type FieldError, notFound, Problem } from '../http/problem.js';
import { type Route, route } from '../http/route.js';
import { unknownIds } from '../zero-day/unknown-ids.js';

const DEADLINE_MINUTES = (7 * DAY) / MINUTE;
const OFFLINE_AFTER_MINUTES = 60;

const patchPost = z.strictObject({
  reason: z.string().trim().min(1).max(2_000),
  /** Packages or sources, and CVEs; without any: everything that is missing. */
  packages: z
    .array(z.string().regex(/^[a-z0-9][a-z0-9+.-]{0,127}$/, 'must be the name of a package or source'))
    .max(20)
    .default([]),
  cves: z
    .array(z.string().regex(/^CVE-\d{4}-\d{4,19}$/, 'must look like CVE-2026-12345'))
    .max(20)
    .default([]),
});

export const patchReply = z.object({
  changeId: z.uuid(),
  name: z.string(),
  policy: z.string(),
  /** Approvals its policy asks for before it begins. */
  approvals: z.number().int(),
  /** What it waits for besides, as far as is known now. */
  waitsFor: z.array(z.string()),
});

export function patchEndpointRoutes({ pool }: ApiDeps): Route[] {
  return [
    route({
      method: 'post',
      path: '/v1/endpoints/:id/patch',
      summary: 'Patch this one: a change over it alone, still behind its policy, its hours and its approvals',
      permission: 'endpoint.patch',
      params: idParams,
      body: patchPost,
      responses: {
        201: { description: 'The change; its workflow starts as soon as Temporal can be reached', schema: patchReply },
      },
      handler: async ({ params, body, person, now }) => {
        const [facts] = await loadWhyFacts(pool, { endpointIds: [params.id], now });
        if (facts === undefined) throw notFound('endpoint');
        const { name, id } = facts.endpoint;
        const { include } = await wantedOf(pool, { ...body, id, name });
        const rules = gateOf(facts, include === 'all');
        const spec = specOf({ id, name, reason: body.reason, include, rules });
        const changeId = await inTransaction(pool, async (client) => {
          const made = await createChange(client, {
            spec,
            requestedBy: person.actor,
            now,
            workflowId: changeWorkflowId,
          });
          const detail = { changeId: made, ...body };
          await appendAudit(client, [
            { actor: person.actor, action: 'endpoint.patchRequested', subject: `endpoint/${id}`, detail },
          ]);
          return made;
        });
        return {
          status: 201,
          headers: { location: `/v1/changes/${changeId}` },
          body: {
            changeId,
            name: spec.name,
            policy: facts.policy.kind === 'policy' ? facts.policy.name : '',
            approvals: rules.length,
            waitsFor: waitsFor(facts),
          },
        };
      },
    }),
  ];
}

/** @throws Problem 422 naming each id that leads to no package; 409 naming each that has nothing to be done about it here */
async function wantedOf(
  db: Queryable,
  asked: {
    readonly id: string;
    readonly name: string;
    readonly packages: readonly string[];
    readonly cves: readonly string[];
  },
): Promise<{ readonly include: 'all' | ReturnType<typeof inclusionOf> }> {
  const [cves, packages] = [[...new Set(asked.cves)], [...new Set(asked.packages)]];
  if (cves.length + packages.length === 0) return { include: 'all' };
  const known = await lookUpIds(db, { cves, names: packages });
  const { targets, unknown } = targetsOf({ cves, packages: packages.map((name) => ({ name })), ...known });
  if (unknown.length > 0) throw unknownIds(unknown);
  const idle: FieldError[] = [];
  for (const [field, ids] of Object.entries({ cves, packages })) {
    for (const [i, wanted] of ids.entries()) {
      const own = targets.filter((target) => target.asked === wanted);
      const [found] = await findExposed(db, { targets: own, endpointIds: [asked.id] });
      if (found?.offered) continue;
      const reason =
        found === undefined
          ? `${asked.name} has nothing to replace for ${wanted}`
          : `${asked.name} is exposed to ${wanted}, and its own package index offers no fix`;
      idle.push({ field: `${field}[${i}]`, in: 'body', reason });
    }
  }
  if (idle.length > 0) throw nothingToPatch(idle.map(({ reason }) => reason).join('; '), idle);
  return { include: inclusionOf({ cves, targets }) };
}

const nothingToPatch = (detail: string, errors?: readonly FieldError[]): Problem =>
  new Problem({
    status: 409,
    type: 'nothing-to-patch',
    title: 'There is nothing to patch',
    detail,
    ...(errors !== undefined && { errors }),
  });

/** Nothing begins on these, whatever anybody approves: refused at once, not left to wait. */
const REFUSED: readonly ReasonCode[] = ['retired', 'quarantined', 'scanOnly', 'noPolicy', 'noWindow'];

/**
 * The approvals its policy asks for.
 * @throws Problem 409 where nothing may be changed there at all (fail closed), or where there is nothing to do
 */
function gateOf(facts: WhyFacts, everything: boolean) {
  const { chain } = decideWhy({ ...facts, vulnerable: true, change: null, order: null });
  const refused = chain.find(({ code }) => REFUSED.includes(code));
  if (refused !== undefined || facts.policy.kind !== 'policy') {
    const detail = `${facts.endpoint.name}: ${refused?.text ?? 'it gets no change'}`;
    throw new Problem({ status: 409, type: 'not-patchable', title: 'The endpoint may not be changed', detail });
  }
  if (everything && facts.endpoint.scannedAt !== null) {
    if (facts.updates.length === 0) throw nothingToPatch(`${facts.endpoint.name} is missing nothing by its last scan`);
    const excepted = facts.updates.every(({ leftOut }) => leftOut?.how === 'excepted');
    if (excepted) throw nothingToPatch(`every update of ${facts.endpoint.name} is excepted`);
  }
  const rules = z.array(approvalRuleSchema).safeParse(facts.policy.patchApprovals);
  if (rules.success) return rules.data;
  const detail = `the approvals of policy set ${facts.policy.name} can’t be read`;
  throw new Problem({ status: 409, type: 'not-patchable', title: 'The endpoint may not be changed', detail });
}

const WAITS: readonly ReasonCode[] = [
  'hold',
  'offline',
  'clockSkew',
  'localLimits',
  'frozen',
  'silent',
  'closed',
  'otherOrder',
];

const waitsFor = (facts: WhyFacts): string[] =>
  decideWhy({ ...facts, vulnerable: true, change: null, order: null })
    .chain.filter(({ code }) => WAITS.includes(code))
    .map(({ text }) => text);

function specOf(args: {
  readonly id: string;
  readonly name: string;
  readonly reason: string;
  readonly include: ChangeSpec['parameters'][string];
  readonly rules: ChangeSpec['rings'][number]['approvals'];
}): ChangeSpec {
  return {
    kind: 'patch',
    name: `Patch ${args.name}`.slice(0, 200),
    reason: args.reason,
    scope: { ids: [args.id] },
    rings: [
      {
        name: 'this one',
        select: { all: true },
        maxInFlight: 1,
        errorBudget: { count: 0 },
        successThresholdPercent: 100,
        minSample: 1,
        soakMinutes: 0,
        approvals: args.rules,
        deadlineMinutes: DEADLINE_MINUTES,
        haltAction: 'pause',
      },
    ],
    priority: 0,
    deadlineMinutes: DEADLINE_MINUTES,
    offlineAfterMinutes: OFFLINE_AFTER_MINUTES,
    parameters: { include: args.include },
  };
}
