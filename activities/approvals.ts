/** Asking people, and judging what they answer. The workflow decides when; these do it. */
import type { Pool, PoolClient } from 'pg';
import type { ApprovalMailView, CodeMailView, MailText } from '../adapters/mail/approval-mail.js';
import type * as ApprovalDb from '../db/approvals/index.js';
import type { LockedDecision } from '../db/approvals/judge.js';
import type { Approver } from '../db/approvals/people.js';
import type { ApprovalRequest, CodeWay, Invited } from '../db/approvals/request.js';
import type { Mail } from '../db/mail/outbox.js';
import type { Queryable } from '../db/pool.js';
import { endpointsInWords, overrideLines } from '../domain/approval/evidence.js';
import { codeMatches, oneTimeCode } from '../domain/approval/one-time-code.js';
import { tally } from '../domain/approval/quorum.js';
import {
  APPROVED_BY_OTHER_RULE,
  MAX_WRONG_CODES,
  NO_CODE_SENT,
  NO_CODE_TYPED,
  NOT_IN_TICKET,
  PLAN_CHANGED,
  TOO_MANY_WRONG_CODES,
  WRONG_CODE,
} from '../domain/approval/refusal.js';
import type { Approvers } from '../domain/approval/rule.js';
import { readOverride } from '../domain/change/override.js';
import { distinctFor, quorumFor } from '../domain/change/way-back.js';
import { type EpochMs, MINUTE } from '../domain/time.js';
import type { ApprovalActivities } from './contract.js';

export interface ApprovalDeps {
  readonly pool: Pool;
  readonly stores: typeof ApprovalDb;
  readonly clock: () => EpochMs;
  /** Held by workers alone. */
  readonly codesKey: Buffer;
  /** Base of the links in mails, without a trailing slash. */
  readonly publicUrl: string;
  readonly whenLines: (args: { changeId: string; ring: number; now: EpochMs }) => Promise<readonly string[]>;
  readonly formatInstant: (instant: { at: EpochMs; zone: string }) => string;
  readonly renderApprovalMail: (view: ApprovalMailView) => MailText;
  readonly renderCodeMail: (view: CodeMailView) => MailText;
  readonly wakeMail: () => void;
}

export function createApprovalActivities(deps: ApprovalDeps): ApprovalActivities {
  const { pool, stores, clock } = deps;

  const askMail = (request: ApprovalRequest, person: Invited, key: string, reminder: boolean): Mail => ({
    key,
    recipient: person.email,
    priority: request.evidence.change.priority,
    ...deps.renderApprovalMail({
      evidence: request.evidence,
      who: person.name,
      via: person.via,
      url: `${deps.publicUrl}/approvals/${person.locator}`,
      expires: deps.formatInstant({ at: request.expiresAt, zone: person.zone }),
      highRisk: request.highRisk,
      codeWay: person.codeWay,
      reminder,
    }),
  });

  /** By another way than the mailbox that got the link where the person has one; for high risk, only then. */
  const codeWayOf = (request: ApprovalRequest, person: Approver): CodeWay | null => {
    if (person.secondChannel !== null) return 'secondChannel';
    return request.highRisk ? null : 'mailbox';
  };

  const codeMail = (request: ApprovalRequest, person: Invited): Mail[] => {
    const recipient = { secondChannel: person.secondChannel, mailbox: person.email, none: null }[
      person.codeWay ?? 'none'
    ];
    if (recipient === null) return [];
    const { priority } = request.evidence.change;
    const subject = { requestId: request.id, planDigest: request.planDigest, accountId: person.accountId };
    const code = oneTimeCode(deps.codesKey, subject);
    const view = {
      who: person.name,
      change: request.evidence.change.name,
      ring: request.ring,
      code,
      digest: request.planDigest,
    };
    return [
      { key: `approval/${request.id}/${person.accountId}/code`, recipient, priority, ...deps.renderCodeMail(view) },
    ];
  };

  const ask = async (
    client: PoolClient,
    request: ApprovalRequest,
    approvers: Approvers,
  ): Promise<readonly string[]> => {
    const found = await stores.findApprovers(client, { approvers, changeId: request.changeId, ring: request.ring });
    const people = await stores.invite(
      client,
      request.id,
      found.map((p) => ({ ...p, codeWay: codeWayOf(request, p) })),
    );
    await stores.queueMail(
      client,
      people.flatMap((p) => [
        askMail(request, p, `approval/${request.id}/${p.accountId}/ask`, false),
        ...codeMail(request, p),
      ]),
    );
    return people.map((p) => p.name);
  };

  const need = async (db: Queryable, requestId: string): Promise<ApprovalRequest> => {
    const request = await stores.findRequest(db, requestId);
    if (request === null) throw new Error(`no approval request ${requestId}`);
    return request;
  };

  return {
    async openApproval({ requestId, changeId, ring, rule, planDigest }) {
      const now = clock();
      const when = await deps.whenLines({ changeId, ring, now });
      const people = await stores.inTransaction(pool, async (client) => {
        const known = await stores.findRequest(client, requestId);
        if (known === null) {
          const read = await stores.readEvidence(client, { changeId, ring });
          const { rules, withoutNet } = await stores.readWithoutNet(client, { changeId, ring });
          const quorum = quorumFor({ quorum: rule.quorum, rules, withoutNet });
          const distinct = distinctFor({ distinctPeople: rule.distinctPeople, withoutNet });
          const { override: plan, ...rest } = read;
          const overrides = overrideLines({
            plan,
            mine: readOverride(rule.overrides),
            endpoints: read.ring.endpoints,
          });
          const risk = [...riskWithoutNet(withoutNet), ...read.risk];
          const evidence = { ...rest, when, planDigest, risk, ...(overrides.length > 0 && { overrides }) };
          const expiresAt = now + rule.expireAfterMinutes * MINUTE;
          await stores.insertRequest(client, {
            id: requestId,
            changeId,
            ring,
            rule: { ...rule, quorum, ...(distinct && { distinctPeople: true }) },
            planDigest,
            highRisk: rule.highRisk,
            evidence,
            openedAt: now,
            expiresAt,
          });
          await stores.appendAudit(client, [
            {
              actor: 'workflow',
              action: 'approval.opened',
              subject: `approval/${requestId}`,
              detail: { changeId, ring, planDigest, quorum, ...(withoutNet > 0 ? { withoutNet } : {}) },
            },
          ]);
        }
        return ask(client, await need(client, requestId), rule.from);
      });
      deps.wakeMail();
      const { openedAt, expiresAt, rule: asked } = await need(pool, requestId);
      const every = rule.remindEveryMinutes * MINUTE;
      const reminders = every > 0 ? Math.min(100, Math.floor((expiresAt - openedAt - 1) / every)) : 0;
      return {
        expiresAt,
        remindAt: Array.from({ length: reminders }, (_, n) => openedAt + (n + 1) * every),
        escalateAt: Math.min(openedAt + rule.escalateAfterMinutes * MINUTE, expiresAt),
        people,
        quorum: asked.quorum,
      };
    },

    async judgeDecision({ requestId, decisionId }) {
      return stores.inTransaction(pool, async (client) => {
        const decision = await stores.lockDecision(client, decisionId);
        const request = await need(client, requestId);
        if (decision === null || decision.requestId !== requestId)
          throw new Error(`no decision ${decisionId} on request ${requestId}`);
        let verdict = decision.state;
        let reason = decision.refusedReason;
        if (decision.state === 'submitted') {
          reason = await whyNot(client, request, decision);
          verdict = reason === null ? 'counted' : 'refused';
          await stores.judge(client, { decisionId, state: verdict, reason, now: clock() });
          await stores.appendAudit(client, [
            {
              actor: decision.accountId,
              action: verdict === 'counted' ? 'approval.decided' : 'approval.decisionRefused',
              subject: `approval/${requestId}`,
              detail: {
                decision: decision.decision,
                planDigest: decision.planDigest,
                proof: decision.proof,
                reason,
                decisionId,
              },
            },
          ]);
        }
        const sum = tally({
          decisions: await stores.countedDecisions(client, requestId),
          quorum: request.rule.quorum,
          requester: request.requester,
        });
        return {
          verdict: verdict === 'counted' ? 'counted' : 'refused',
          decision: decision.decision,
          reason,
          by: decision.name,
          approvals: sum.approvals,
          quorumMet: sum.quorumMet,
        };
      });
    },

    async remindApproval({ requestId, reminder }) {
      const request = await need(pool, requestId);
      if (request.state !== 'open') return;
      const decided = new Set((await stores.countedDecisions(pool, requestId)).map((d) => d.accountId));
      const people = (await stores.invited(pool, requestId)).filter((p) => !decided.has(p.accountId));
      await stores.queueMail(
        pool,
        people.map((p) => askMail(request, p, `approval/${requestId}/${p.accountId}/reminder-${reminder}`, true)),
      );
      deps.wakeMail();
    },

    async escalateApproval({ requestId }) {
      const people = await stores.inTransaction(pool, async (client) => {
        const request = await need(client, requestId);
        if (request.state !== 'open') return (await stores.invited(client, requestId)).map((p) => p.name);
        const first = await stores.markEscalated(client, { requestId, now: clock() });
        const names = await ask(client, request, request.rule.escalateTo);
        const record = {
          actor: 'workflow',
          action: 'approval.escalated',
          subject: `approval/${requestId}`,
          detail: { people: names },
        };
        await stores.appendAudit(client, first ? [record] : []);
        return names;
      });
      deps.wakeMail();
      return { people };
    },

    async closeApproval({ requestId, state }) {
      await stores.inTransaction(pool, async (client) => {
        if (await stores.closeRequest(client, { requestId, state, now: clock() })) {
          await stores.appendAudit(client, [
            { actor: 'workflow', action: `approval.${state}`, subject: `approval/${requestId}` },
          ]);
        }
      });
    },
  };

  /** Null when the decision counts. Rights are looked at now: who lost a role since the mail went out has lost the say. */
  async function whyNot(
    client: PoolClient,
    request: ApprovalRequest,
    decision: LockedDecision,
  ): Promise<string | null> {
    if (request.state !== 'open') return `this request is ${request.state}`;
    if (clock() >= request.expiresAt) return 'this request has expired';
    if (decision.planDigest !== request.planDigest) return PLAN_CHANGED;
    if (decision.accountId === request.requester) return 'whoever requests a change does not approve it';
    const { changeId, ring, rule } = request;
    const asked = await stores.invited(client, request.id);
    const me = asked.find((p) => p.accountId === decision.accountId);
    if (me === undefined) return 'you have not been asked';
    const entitled = [
      ...(await stores.findApprovers(client, { approvers: rule.from, changeId, ring })),
      ...(await stores.findApprovers(client, { approvers: rule.escalateTo, changeId, ring })),
    ];
    if (!entitled.some((p) => p.accountId === decision.accountId))
      return 'you are not, or no longer, one of those who may decide';
    if (decision.proof === 'ticket' && !(await stores.countsInTicket(client, decision.id))) return NOT_IN_TICKET;
    if (decision.decision === 'approve' && (await stores.approvedByOtherRule(client, { request, decision })))
      return APPROVED_BY_OTHER_RULE;
    if (!request.highRisk && decision.proof !== 'code') return null;
    if (me.codeWay === null) return NO_CODE_SENT;
    if (decision.code === null) return NO_CODE_TYPED;
    if (decision.wrongCodes >= MAX_WRONG_CODES) return TOO_MANY_WRONG_CODES;
    const subject = { requestId: request.id, planDigest: request.planDigest, accountId: decision.accountId };
    return codeMatches({ key: deps.codesKey, subject, typed: decision.code }) ? null : WRONG_CODE;
  }
}

const riskWithoutNet = (withoutNet: number): string[] =>
  withoutNet === 0
    ? []
    : [
        `no snapshot is taken before what can't be undone, on ${endpointsInWords(withoutNet)}: one person's word is not enough`,
      ];
