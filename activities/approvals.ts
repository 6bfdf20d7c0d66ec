/** Asking people, and judging what they answer. The workflow decides when; these do it. */
import type { Pool, PoolClient } from 'pg';
import type { Evidence } from '../domain/approval/evidence.js';
import { codeMatches, oneTimeCode } from '../domain/approval/one-time-code.js';
import { tally } from '../domain/approval/quorum.js';
import type { ApprovalRule, Approvers } from '../domain/approval/rule.js';
import { type EpochMs, MINUTE } from '../domain/time.js';
import type { ApprovalActivities } from './contract.js';

/** Wrong codes a person may type for one request. */
export const MAX_WRONG_CODES = 5;

interface Asked {
  readonly accountId: string;
  readonly name: string;
  readonly email: string;
  readonly secondChannel: string | null;
  readonly zone: string;
  readonly via: string;
}

interface Request {
  readonly id: string;
  readonly changeId: string;
  readonly ring: number;
  readonly rule: ApprovalRule;
  readonly planDigest: string;
  readonly highRisk: boolean;
  readonly evidence: Evidence;
  readonly state: string;
  readonly openedAt: EpochMs;
  readonly expiresAt: EpochMs;
  readonly requester: string;
}

interface PendingDecision {
  readonly id: string;
  readonly requestId: string;
  readonly accountId: string;
  readonly name: string;
  readonly decision: 'approve' | 'reject';
  readonly planDigest: string;
  readonly proof: 'session' | 'code';
  readonly code: string | null;
  readonly state: 'submitted' | 'counted' | 'refused';
  readonly refusedReason: string | null;
  /** Decisions of this person on this request that were refused for a wrong code. */
  readonly wrongCodes: number;
}

interface Mail {
  readonly key: string;
  readonly recipient: string;
  readonly subject: string;
  readonly text: string;
  readonly html: string;
}

type Db = Pool | PoolClient;

/** What these activities need of the stores (db/approvals, db/mail, db/audit). */
export interface ApprovalStores {
  findRequest(db: Db, requestId: string): Promise<Request | null>;
  insertRequest(db: Db, request: Omit<Request, 'state' | 'requester'>): Promise<void>;
  findApprovers(db: Db, args: { approvers: Approvers; changeId: string; ring: number }): Promise<readonly Asked[]>;
  invite(db: Db, requestId: string, people: readonly Asked[]): Promise<readonly (Asked & { locator: string })[]>;
  invited(db: Db, requestId: string): Promise<readonly (Asked & { locator: string })[]>;
  countedDecisions(
    db: Db,
    requestId: string,
  ): Promise<readonly { accountId: string; decision: 'approve' | 'reject' }[]>;
  lockDecision(client: PoolClient, decisionId: string): Promise<PendingDecision | null>;
  judge(
    client: PoolClient,
    args: { decisionId: string; state: 'counted' | 'refused'; reason: string | null; now: EpochMs },
  ): Promise<void>;
  markEscalated(db: Db, args: { requestId: string; now: EpochMs }): Promise<void>;
  closeRequest(
    db: Db,
    args: { requestId: string; state: 'approved' | 'rejected' | 'expired' | 'voided'; now: EpochMs },
  ): Promise<boolean>;
  readEvidence(db: Db, args: { changeId: string; ring: number }): Promise<Omit<Evidence, 'when'>>;
  queueMail(db: Db, mails: readonly Mail[]): Promise<void>;
  appendAudit(
    db: Db,
    records: readonly { actor: string; action: string; subject: string; detail?: Record<string, unknown> }[],
  ): Promise<void>;
}

export interface ApprovalDeps {
  readonly pool: Pool;
  readonly stores: ApprovalStores;
  readonly inTransaction: <T>(pool: Pool, work: (client: PoolClient) => Promise<T>) => Promise<T>;
  readonly clock: () => EpochMs;
  readonly codesKey: Buffer;
  /** Base of the links in mails, without a trailing slash. */
  readonly publicUrl: string;
  readonly whenLines: (args: { changeId: string; ring: number; now: EpochMs }) => Promise<readonly string[]>;
  readonly formatInstant: (at: EpochMs, zone: string) => string;
  readonly renderApprovalMail: (view: {
    evidence: Evidence;
    who: string;
    via: string;
    url: string;
    expires: string;
    highRisk: boolean;
    reminder: boolean;
  }) => { subject: string; text: string; html: string };
  readonly renderCodeMail: (view: { who: string; change: string; ring: number; code: string; digest: string }) => {
    subject: string;
    text: string;
    html: string;
  };
  readonly wakeMail: () => void;
}

export function createApprovalActivities(deps: ApprovalDeps): ApprovalActivities {
  const { pool, stores, clock } = deps;

  const askMail = (request: Request, person: Asked & { locator: string }, key: string, reminder: boolean): Mail => ({
    key,
    recipient: person.email,
    ...deps.renderApprovalMail({
      evidence: request.evidence,
      who: person.name,
      via: person.via,
      url: `${deps.publicUrl}/approvals/${person.locator}`,
      expires: deps.formatInstant(request.expiresAt, person.zone),
      highRisk: request.highRisk,
      reminder,
    }),
  });

  /** By another way than the mailbox that got the link where the person has one; for high risk, only then. */
  const codeMail = (request: Request, person: Asked): Mail[] => {
    const recipient = person.secondChannel ?? (request.highRisk ? null : person.email);
    if (recipient === null) return [];
    const subject = { requestId: request.id, planDigest: request.planDigest, accountId: person.accountId };
    const code = oneTimeCode(deps.codesKey, subject);
    const view = {
      who: person.name,
      change: request.evidence.change.name,
      ring: request.ring,
      code,
      digest: request.planDigest,
    };
    return [{ key: `approval/${request.id}/${person.accountId}/code`, recipient, ...deps.renderCodeMail(view) }];
  };

  const ask = async (client: PoolClient, request: Request, approvers: Approvers): Promise<readonly string[]> => {
    const found = await stores.findApprovers(client, { approvers, changeId: request.changeId, ring: request.ring });
    const people = await stores.invite(client, request.id, found);
    await stores.queueMail(
      client,
      people.flatMap((p) => [
        askMail(request, p, `approval/${request.id}/${p.accountId}/ask`, false),
        ...codeMail(request, p),
      ]),
    );
    return people.map((p) => p.name);
  };

  const need = async (db: Db, requestId: string): Promise<Request> => {
    const request = await stores.findRequest(db, requestId);
    if (request === null) throw new Error(`no approval request ${requestId}`);
    return request;
  };

  return {
    async openApproval({ requestId, changeId, ring, rule, planDigest }) {
      const now = clock();
      const when = await deps.whenLines({ changeId, ring, now });
      const people = await deps.inTransaction(pool, async (client) => {
        const known = await stores.findRequest(client, requestId);
        if (known === null) {
          const evidence = { ...(await stores.readEvidence(client, { changeId, ring })), when, planDigest };
          const expiresAt = now + rule.expireAfterMinutes * MINUTE;
          await stores.insertRequest(client, {
            id: requestId,
            changeId,
            ring,
            rule,
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
              detail: { changeId, ring, planDigest, quorum: rule.quorum },
            },
          ]);
        }
        return ask(client, await need(client, requestId), rule.from);
      });
      deps.wakeMail();
      const { openedAt, expiresAt } = await need(pool, requestId);
      const every = rule.remindEveryMinutes * MINUTE;
      const reminders = every > 0 ? Math.min(100, Math.floor((expiresAt - openedAt - 1) / every)) : 0;
      return {
        expiresAt,
        remindAt: Array.from({ length: reminders }, (_, n) => openedAt + (n + 1) * every),
        escalateAt: Math.min(openedAt + rule.escalateAfterMinutes * MINUTE, expiresAt),
        people,
      };
    },

    async judgeDecision({ requestId, decisionId }) {
      return deps.inTransaction(pool, async (client) => {
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
      const people = await deps.inTransaction(pool, async (client) => {
        const request = await need(client, requestId);
        if (request.state !== 'open') return (await stores.invited(client, requestId)).map((p) => p.name);
        await stores.markEscalated(client, { requestId, now: clock() });
        const names = await ask(client, request, request.rule.escalateTo);
        await stores.appendAudit(client, [
          {
            actor: 'workflow',
            action: 'approval.escalated',
            subject: `approval/${requestId}`,
            detail: { people: names },
          },
        ]);
        return names;
      });
      deps.wakeMail();
      return { people };
    },

    async closeApproval({ requestId, state }) {
      await deps.inTransaction(pool, async (client) => {
        if (await stores.closeRequest(client, { requestId, state, now: clock() })) {
          await stores.appendAudit(client, [
            { actor: 'workflow', action: `approval.${state}`, subject: `approval/${requestId}` },
          ]);
        }
      });
    },
  };

  /** Null when the decision counts. Rights are looked at now: who lost a role since the mail went out has lost the say. */
  async function whyNot(client: PoolClient, request: Request, decision: PendingDecision): Promise<string | null> {
    if (request.state !== 'open') return `this request is ${request.state}`;
    if (clock() >= request.expiresAt) return 'this request has expired';
    if (decision.planDigest !== request.planDigest) return 'the plan has changed since this page was shown';
    if (decision.accountId === request.requester) return 'whoever requests a change does not approve it';
    const { changeId, ring, rule } = request;
    const asked = await stores.invited(client, request.id);
    if (!asked.some((p) => p.accountId === decision.accountId)) return 'you have not been asked';
    const entitled = [
      ...(await stores.findApprovers(client, { approvers: rule.from, changeId, ring })),
      ...(await stores.findApprovers(client, { approvers: rule.escalateTo, changeId, ring })),
    ];
    if (!entitled.some((p) => p.accountId === decision.accountId))
      return 'you are not, or no longer, one of those who may decide';
    if (!request.highRisk && decision.proof === 'session') return null;
    if (decision.wrongCodes >= MAX_WRONG_CODES) return 'too many wrong codes: ask for a new request';
    const subject = { requestId: request.id, planDigest: request.planDigest, accountId: decision.accountId };
    if (decision.code !== null && codeMatches({ key: deps.codesKey, subject, typed: decision.code })) return null;
    return 'the one-time code is wrong';
  }
}
