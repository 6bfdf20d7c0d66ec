/** What follows from what people did in tickets: decisions, claims of work done, and notice of what was closed or opened by hand. */
import type { PoolClient } from 'pg';
import { submitDecision } from '../../db/approvals/decision.js';
import { appendAudit } from '../../db/audit/append.js';
import { queueMail } from '../../db/mail/outbox.js';
import { inTransaction } from '../../db/pool.js';
import { noteState, queueActions } from '../../db/tickets/actions.js';
import { loadAlertMails } from '../../db/tickets/alerts.js';
import { noteDecision, openRequestsFor } from '../../db/tickets/decisions.js';
import { lockNewEvent, markEventHandled, type NewEvent, noteAttention } from '../../db/tickets/events.js';
import { claimWork, unclaimWork } from '../../db/tickets/work.js';
import { readDecision } from '../../domain/ticket/approval-comment.js';
import { isClosed } from '../../domain/ticket/ticket.js';
import { MINUTE } from '../../domain/time.js';
import { approvalWorkflowId } from '../../workflows/ids.js';
import type { TicketDeps } from './systems.js';

const BATCH = 50;
const UNIQUE_VIOLATION = '23505';

/** Handles what is new, in order per ticket. @returns whether there may be more */
export async function handleTicketEvents(deps: TicketDeps): Promise<boolean> {
  for (let n = 0; n < BATCH; n += 1) if (!(await handleOne(deps))) return false;
  return true;
}

async function handleOne(deps: TicketDeps): Promise<boolean> {
  return inTransaction(deps.pool, async (client) => {
    const event = await lockNewEvent(client);
    if (event === null) return false;
    const result = await resultOf(deps, client, event);
    await markEventHandled(client, { id: event.id, result, now: deps.clock() });
    return true;
  });
}

async function resultOf(deps: TicketDeps, client: PoolClient, event: NewEvent): Promise<string> {
  if (event.ticketId === null) return 'no ticket of ours';
  if (event.type === 'state') {
    return event.workItemId === null ? changeState(deps, client, event) : workState(deps, client, event);
  }
  return event.changeId === null ? 'a comment on work says nothing we act on' : comment(deps, client, event);
}

async function changeState(deps: TicketDeps, client: PoolClient, event: NewEvent): Promise<string> {
  const { ticketId, state } = event;
  if (ticketId === null || state === null) return 'says no state';
  await noteState(client, { ticketId, state, ours: false });
  const attention =
    isClosed(state) === isClosed(event.wanted) ? null : isClosed(state) ? 'closedByHand' : 'reopenedByHand';
  const news = await noteAttention(client, { ticketId, attention, by: event.author, now: deps.clock() });
  if (!news) return 'as it was';
  return notice(deps, client, event, attention ?? 'asWanted');
}

/** Audited, and told to those who must know: a change goes on whatever its ticket says, so somebody must look. */
async function notice(
  deps: TicketDeps,
  client: PoolClient,
  event: NewEvent,
  what: 'closedByHand' | 'reopenedByHand' | 'asWanted',
): Promise<string> {
  const subject = event.changeId === null ? `work/${event.workItemId}` : `change/${event.changeId}`;
  await appendAudit(client, [
    {
      actor: actorOf(event),
      action: `ticket.${what}`,
      subject,
      detail: { system: event.systemName, ref: event.ref, state: event.state, ticket: event.ticketId },
    },
  ]);
  if (what !== 'asWanted' && event.changeId !== null) {
    await queueMail(
      client,
      await loadAlertMails(client, {
        changeId: event.changeId,
        event: { ...event, key: String(event.id) },
        what: { attention: what, about: null },
        publicUrl: deps.publicUrl,
      }),
    );
  }
  return what;
}

async function workState(deps: TicketDeps, client: PoolClient, event: NewEvent): Promise<string> {
  const { ticketId, workItemId, state } = event;
  if (ticketId === null || workItemId === null || state === null) return 'says no state';
  await noteState(client, { ticketId, state, ours: false });
  if (isClosed(event.wanted)) {
    const attention = isClosed(state) ? null : 'reopenedByHand';
    const news = await noteAttention(client, { ticketId, attention, by: event.author, now: deps.clock() });
    return news ? notice(deps, client, event, attention ?? 'asWanted') : 'as it was';
  }
  if (!isClosed(state)) return (await unclaimWork(client, workItemId)) ? 'taken back' : 'as it was';
  const now = deps.clock();
  const { rescanMinutes } = event.policy.work;
  const by = event.author ?? event.systemName;
  const claimed = await claimWork(client, { workItemId, by, dueAt: now + rescanMinutes * MINUTE, now });
  if (!claimed) return 'as it was';
  await appendAudit(client, [
    {
      actor: actorOf(event),
      action: 'work.claimed',
      subject: `work/${workItemId}`,
      detail: { system: event.systemName, ref: event.ref, state, rescanMinutes },
    },
  ]);
  return 'claimed: a scan is asked for';
}

async function comment(deps: TicketDeps, client: PoolClient, event: NewEvent): Promise<string> {
  const changeId = event.changeId as string;
  const read = readDecision(event.text ?? '');
  if (read.kind === 'none') return 'decides nothing';
  const answer = async (text: string): Promise<string> => {
    await queueActions(client, [
      {
        ticketId: event.ticketId as string,
        key: `${event.ticketKey}/answer/${event.id}`,
        kind: 'comment',
        payload: { what: 'said', text },
      },
    ]);
    return text;
  };
  const accountId = event.policy.people.find((person) => person.author === event.author)?.accountId ?? null;
  const open = accountId === null ? [] : await openRequestsFor(client, { changeId, accountId });
  // Words such as “approved, thanks” are no try of whoever was not asked anything.
  if (read.kind === 'unclear')
    return open.some((one) => one.invited && !one.decided) ? answer(`Not counted: ${read.reason}.`) : read.reason;
  const { written } = read;
  const who = event.author ?? 'whoever wrote this';
  const refused = async (reason: string): Promise<string> => {
    await appendAudit(client, [
      {
        actor: actorOf(event),
        action: 'ticket.decisionRefused',
        subject: `change/${changeId}`,
        detail: {
          system: event.systemName,
          ref: event.ref,
          decision: written.decision,
          planDigest: written.planDigest,
          reason,
        },
      },
    ]);
    return answer(`Not counted: ${reason}.`);
  };
  if (event.policy.approvals !== 'inTicket')
    return refused('decisions in tickets do not count here; use the page of the mail');
  if (!event.vouched)
    return refused('it came by mail, whose sender nobody can vouch for: write it in the ticket system itself');
  if (accountId === null) return refused(`${who} is nobody known here`);
  const named = open.filter((one) => one.planDigest === written.planDigest);
  if (open.length === 0) return refused('no approval is being asked for');
  if (named.length === 0) return refused('it does not name the plan that is asked about');
  if (named.every((one) => one.requester)) return refused('whoever requests a change does not approve it');
  const mine = named.filter((one) => one.invited);
  if (mine.length === 0) return refused(`${who} was not asked`);
  const left = mine.filter((one) => !one.decided);
  if (left.length === 0) return refused(`the decision of ${who} is there already`);
  for (const request of left) {
    // A decision that arrives at this moment by the page is as good: ours is then the second, and counts for nothing.
    await client.query('SAVEPOINT decision');
    try {
      const decisionId = await submitDecision(client, {
        requestId: request.requestId,
        workflowId: approvalWorkflowId({ changeId, ring: request.ring, requestId: request.requestId }),
        accountId,
        decision: written.decision,
        comment: written.comment,
        planDigest: written.planDigest,
        proof: 'ticket',
        code: written.code,
        now: deps.clock(),
      });
      await noteDecision(client, { decisionId, eventId: event.id });
    } catch (error) {
      if ((error as { code?: string }).code !== UNIQUE_VIOLATION) throw error;
      await client.query('ROLLBACK TO SAVEPOINT decision');
    }
  }
  return `${written.decision}: handed to be judged`;
}

const actorOf = (event: NewEvent): string => `ticket-system/${event.systemName}/${event.author ?? 'unknown'}`;
