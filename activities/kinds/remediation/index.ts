import { packagesToCome, planRemediation } from '../../../domain/baseline/plan-remediation.js';
import { whyNotProven } from '../../../domain/baseline/results.js';
import {
  parseRemediationParameters,
  type RemediationParameters,
} from '../../../domain/change/remediation-parameters.js';
import type { ChangeKind, KindContext, KindPlan } from '../change-kind.js';

/**
 * Rules of security baselines put right in rings like anything else: the fix by its digest, as approvers saw it, and the scanner's own
 * word as the only proof. What failed, or was not proven, goes back to the snapshot by itself on the endpoint.
 */
export const remediationKind: ChangeKind<RemediationParameters> = {
  name: 'remediation',
  parse: parseRemediationParameters,
  timing: ({ scanMaxAgeMs, discoverMinutes, confirmMinutes }) => ({ scanMaxAgeMs, discoverMinutes, confirmMinutes }),
  plan: readAndPlan,
  async study() {},
  bytes: ({ db, client }, digests) => db.loadFixes(client, digests),
  judge: (_, found) => whyNotProven(found),
  // Back again it may fail as it did, or pass; that the scanner can tell is all that results of rules say about a snapshot.
  judgeBack: (_, found) => (found === 'fail' ? null : whyNotProven(found)),
  evidence: {
    refresh: ({ db, client, changeId, parameters, now }, endpointIds, maxAgeMs) =>
      db.refreshAssessments(client, {
        endpointIds,
        assignments: parameters.assignments,
        olderThan: now - maxAgeMs,
        by: `change/${changeId}`,
        now,
      }),
    claims: ({ db, client, changeId }) => db.loadRuleClaims(client, changeId),
    prove: ({ db, client, changeId, now }, endpointIds) => db.askForRuleProof(client, { changeId, endpointIds, now }),
    findings: ({ db, client, changeId }) => db.loadRuleFindings(client, changeId),
    declined: ({ db, client, changeId }) => db.loadDeclinedRules(client, changeId),
    work: {
      ask: ({ db, client, now }) => db.askForAssessments(client, { changeKind: remediationKind.name, now }),
      judgeable: ({ db, client }, limit) => db.loadPlannedRuleWork(client, { changeKind: remediationKind.name, limit }),
      unprovable: ({ db, client }) => db.loadUnmeasuredClaims(client, { changeKind: remediationKind.name }),
    },
  },
};

async function readAndPlan(
  context: KindContext<RemediationParameters>,
  endpointIds: readonly string[],
): Promise<KindPlan> {
  const { db, client, parameters, now } = context;
  const groups = await db.loadRemediationGroups(client, {
    endpointIds,
    assignments: parameters.assignments,
    now,
  });
  const checklists = groups.flatMap(({ checklist, above = [] }) => [checklist, ...above.map((one) => one.checklist)]);
  const rules = await db.loadRemediableRules(client, [...new Set(checklists)]);
  const assigned = new Set(groups.flatMap((group) => group.endpointIds));
  const unassigned = endpointIds.filter((id) => !assigned.has(id));
  const wanted = packagesToCome(groups, rules);
  const offers = await db.loadOffers(client, wanted);
  const brings = await db.loadBrings(client, wanted, offers);
  const plan = planRemediation({ groups, rules, offers, brings, parameters, unassigned });
  const named = new Set(plan.works.flatMap(({ set }) => set.updates.map(({ installs }) => installs?.brings?.sha256)));
  return { ...plan, lists: [...brings.values()].filter((one) => one.ok).filter(({ list }) => named.has(list.sha256)) };
}
