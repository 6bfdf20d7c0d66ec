import {
  ApplicationFailure,
  allHandlersFinished,
  condition,
  defineSignal,
  defineUpdate,
  setCurrentDetails,
  setHandler,
} from '@temporalio/workflow';
import { PLAN_CHANGED } from '../domain/approval/refusal.js';
import { until } from './clock.js';
import type { ApprovalInput, ApprovalResult, DecisionMessage, DecisionReply } from './messages.js';
import { DECIDE_UPDATE, VOID_SIGNAL } from './messages.js';
import { bulk, quick } from './proxies.js';

export const decide = defineUpdate<DecisionReply, [DecisionMessage]>(DECIDE_UPDATE);
export const voidRequest = defineSignal<[string]>(VOID_SIGNAL);

/**
 * One approval request, from the first mail to its end. Silence never approves: it reminds, escalates, expires.
 * Never continues as new, so that an Update id deduplicates for as long as the request lives.
 */
export async function approval(input: ApprovalInput): Promise<ApprovalResult> {
  let result: ApprovalResult | null = null;
  const settled = () => result !== null;
  const { requestId, changeId, ring, rule, planDigest } = input;

  let opened = false;
  setHandler(
    decide,
    async ({ decisionId }): Promise<DecisionReply> => {
      await condition(() => opened);
      const judged = await quick.judgeDecision({ requestId, decisionId });
      if (judged.verdict === 'counted' && result === null) {
        if (judged.decision === 'reject') result = { kind: 'rejected', reason: `rejected by ${judged.by}` };
        else if (judged.quorumMet) result = { kind: 'approved', reason: `${judged.approvals} approved` };
      }
      return { verdict: judged.verdict, reason: judged.reason };
    },
    {
      validator: (message) => {
        if (result !== null) throw ApplicationFailure.nonRetryable(`this request is ${result.kind}`);
        if (message.planDigest !== planDigest) {
          throw ApplicationFailure.nonRetryable(PLAN_CHANGED);
        }
      },
    },
  );
  setHandler(voidRequest, (reason) => {
    result ??= { kind: 'voided', reason };
  });

  const asked = await bulk.openApproval({ requestId, changeId, ring, rule, planDigest });
  opened = true;
  const waitingFor = (people: readonly string[]) =>
    setCurrentDetails(
      `Waits for ${asked.quorum ?? rule.quorum} of: ${people.length > 0 ? people.join(', ') : 'nobody yet (escalates)'}`,
    );
  waitingFor(asked.people);

  const agenda = [
    ...asked.remindAt.map((at, index) => ({ at, act: () => quick.remindApproval({ requestId, reminder: index + 1 }) })),
    { at: asked.escalateAt, act: async () => waitingFor((await quick.escalateApproval({ requestId })).people) },
  ].sort((a, b) => a.at - b.at);
  for (const { at, act } of agenda) {
    if (await condition(settled, until(at), { summary: 'next reminder or escalation' })) break;
    await act();
  }
  await condition(settled, until(asked.expiresAt), { summary: 'the request expires' });

  // A decision being judged as the time ran out still counts; its person was in time.
  await condition(allHandlersFinished);
  const end: ApprovalResult = result ?? { kind: 'expired', reason: 'nobody decided in time' };
  result = end;
  await quick.closeApproval({ requestId, state: end.kind });
  await condition(allHandlersFinished);
  return end;
}
