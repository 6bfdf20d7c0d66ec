/** Does in trackers what rows say is to be done: at least once, in order per ticket, and by its key never twice. */
import { setTimeout } from 'node:timers/promises';
import { TrackerAway, TrackerRefused } from '../../adapters/tickets/port.js';
import { appendAudit } from '../../db/audit/append.js';
import { inTransaction } from '../../db/pool.js';
import {
  markActionDone,
  markActionFailed,
  noteOpened,
  noteState,
  type TicketAction,
  takeDueActions,
} from '../../db/tickets/actions.js';
import { noteAttention } from '../../db/tickets/events.js';
import { loadChangeFacts, loadRequestEvidence, loadWorkFacts } from '../../db/tickets/facts.js';
import { pauseOfAction } from '../../domain/ticket/retry.js';
import { isClosed, type NewTicket, type TicketState } from '../../domain/ticket/ticket.js';
import {
  askText,
  changeSubject,
  changeText,
  closedText,
  happenedText,
  workSubject,
  workText,
} from '../../domain/ticket/words.js';
import { MINUTE, SECOND } from '../../domain/time.js';
import { checkSystem, pauseSystem, type ReadySystem, readySystems, systemIsBack, type TicketDeps } from './systems.js';

/** Requests to one tracker at a time. */
const AT_ONCE = 4;
/** Longer than the slowest action: five requests of at most 300 s. */
const LEASE_MS = 30 * MINUTE;
const OLD_MS = 5 * MINUTE;
const LOOK_AGAIN_MS = SECOND;

/**
 * Delivers what is due to every system that is there. Whoever is through goes on with what has become due, until the slowest is through as well: one
 * that takes its time holds up nobody else. @returns whether more may be due at once
 */
export async function deliverTickets(deps: TicketDeps): Promise<boolean> {
  const systems = await readySystems(deps);
  let notThrough = systems.length;
  const through = () => {
    notThrough -= 1;
  };
  const more = await Promise.all(
    systems.map(async (system) => {
      let more = await deliverTo(deps, system).finally(through);
      while (notThrough > 0) {
        if (!more) await setTimeout(LOOK_AGAIN_MS);
        const again = (await readySystems(deps)).find(({ row }) => row.id === system.row.id);
        if (again === undefined) return false;
        more = await deliverTo(deps, again);
      }
      return more;
    }),
  );
  return more.some(Boolean);
}

async function deliverTo(deps: TicketDeps, system: ReadySystem): Promise<boolean> {
  if (!(await checkSystem(deps, system))) return false;
  const now = deps.clock();
  const actions = await takeDueActions(deps.pool, {
    systemId: system.row.id,
    now,
    leaseUntil: now + LEASE_MS,
    limit: AT_ONCE,
  });
  const done = await Promise.all(actions.map((action) => deliver(deps, system, action)));
  if (done.includes('done')) await systemIsBack(deps, system.row);
  const away = done.find((one) => one instanceof Error);
  if (away instanceof Error) await pauseSystem(deps, system.row, away);
  return away === undefined && done.includes('done');
}

/** @returns the error when the system is away; `refused` when it said no to this one */
async function deliver(
  deps: TicketDeps,
  system: ReadySystem,
  action: TicketAction,
): Promise<'done' | 'refused' | Error> {
  try {
    await carry(deps, system, action);
    return 'done';
  } catch (error) {
    const failure = error instanceof TrackerRefused ? 'refused' : 'away';
    const { message } = error as Error;
    const settle = error instanceof TrackerAway ? error.settleMs : 0;
    const retryAt = deps.clock() + Math.max(settle, pauseOfAction({ failure, attempts: action.attempts }));
    await markActionFailed(deps.pool, { id: action.id, error: message, retryAt });
    if (failure === 'away') return error as Error;
    deps.log.warn(
      { system: system.row.name, action: action.key, reason: message },
      'a tracker refused; will try again',
    );
    return 'refused';
  }
}

async function carry(deps: TicketDeps, system: ReadySystem, action: TicketAction): Promise<void> {
  if (action.kind === 'open') return open(deps, system, action);
  if (action.ref === null) throw new TrackerRefused('the ticket has not been opened');
  const about = { ref: action.ref, ticketKey: action.ticketKey, key: action.key };
  if (action.kind === 'transition') return transition(deps, system, action, about);
  let result: object = {};
  if (action.kind === 'link') {
    const link = await linkOf(deps, action);
    if (link === null) result = { left: 'there is nothing to link to' };
    else await system.port.link({ ...about, ...link });
  } else {
    const text = await commentText(deps, system, action);
    if (text === null) result = { left: 'there is nothing to say' };
    else await system.port.comment({ ...about, text, again: mayBeThere(deps, action) });
  }
  await markActionDone(deps.pool, { id: action.id, result, now: deps.clock() });
}

/** After an attempt; and what is old: a database restored from a backup does not know what was told since. */
const mayBeThere = (deps: TicketDeps, action: TicketAction): boolean =>
  action.attempts > 1 || deps.clock() - action.createdAt > OLD_MS;

async function open(deps: TicketDeps, system: ReadySystem, action: TicketAction): Promise<void> {
  const view = await system.port.open(await newTicket(deps, system, action));
  await inTransaction(deps.pool, async (client) => {
    const now = deps.clock();
    await noteOpened(client, { ...view, ticketId: action.ticketId, now });
    await markActionDone(client, { id: action.id, result: { ref: view.ref }, now });
    await appendAudit(client, [
      {
        actor: 'worker',
        action: 'ticket.opened',
        subject: subjectOf(action),
        detail: { system: system.row.name, ref: view.ref, ticket: action.ticketId },
      },
    ]);
  });
}

async function transition(
  deps: TicketDeps,
  system: ReadySystem,
  action: TicketAction,
  about: { readonly ref: string; readonly ticketKey: string; readonly key: string },
): Promise<void> {
  const to = action.payload.to as TicketState;
  const reopen = action.payload.reopen === true;
  const came = await system.port.transition({ ...about, to, reopen });
  await inTransaction(deps.pool, async (client) => {
    const now = deps.clock();
    const { ticketId } = action;
    if (came.kind === 'left') {
      await noteState(client, { ticketId, state: came.view.state, ours: false });
      const { ref, state, lastBy: by } = came.view;
      const merged = ref !== about.ref;
      const attention = merged ? 'mergedByHand' : isClosed(state) ? 'closedByHand' : 'reopenedByHand';
      await noteAttention(client, { ticketId, attention, about: merged ? `ticket ${ref}` : null, by, now });
    } else await noteState(client, { ticketId, state: to, ours: true });
    await markActionDone(client, { id: action.id, result: { came: came.kind }, now });
    await appendAudit(client, [
      {
        actor: 'worker',
        action: reopen ? 'ticket.reopened' : isClosed(to) ? 'ticket.closed' : 'ticket.set',
        subject: subjectOf(action),
        detail: { system: system.row.name, ref: about.ref, to, came: came.kind, ticket: ticketId },
      },
    ]);
  });
}

async function newTicket(deps: TicketDeps, system: ReadySystem, action: TicketAction): Promise<NewTicket> {
  const { changeId, workItemId, ticketKey: key } = action;
  if (workItemId !== null) {
    const work = await loadWorkFacts(deps.pool, workItemId);
    const link = `${deps.publicUrl}/endpoints/${work.endpointId}`;
    const { rescanMinutes } = system.row.policy.work;
    return { key, subject: workSubject(work), text: workText(work, { link, rescanMinutes }), planDigest: null, link };
  }
  if (changeId === null) throw new TrackerRefused('the ticket is about nothing');
  const change = await loadChangeFacts(deps.pool, { changeId, withRings: true });
  const link = `${deps.publicUrl}/changes/${changeId}`;
  return { key, subject: changeSubject(change), text: changeText(change, link), planDigest: change.planDigest, link };
}

async function commentText(deps: TicketDeps, system: ReadySystem, action: TicketAction): Promise<string | null> {
  const { payload, changeId } = action;
  if (payload.what === 'closed' && changeId !== null) {
    const { summary } = await loadChangeFacts(deps.pool, { changeId, withRings: false });
    return closedText({ outcome: String(payload.outcome), summary, link: `${deps.publicUrl}/changes/${changeId}` });
  }
  if (typeof payload.request === 'string' && payload.state === 'open') {
    const request = await loadRequestEvidence(deps.pool, payload.request);
    return request === null ? null : askText(request, system.row.policy.approvals === 'inTicket');
  }
  return happenedText(payload);
}

/** Work leads to the ticket of its change, where there is one in the same system. */
async function linkOf(deps: TicketDeps, action: TicketAction): Promise<{ url: string; title: string } | null> {
  const { rows } = await deps.pool.query<{ url: string | null }>(
    `SELECT c.url FROM ticket w JOIN work_item i ON i.id = w.work_item_id JOIN ticket c ON c.change_id = i.change_id AND c.system_id = w.system_id
      WHERE w.id = $1`,
    [action.ticketId],
  );
  const url = rows[0]?.url ?? null;
  return url === null ? null : { url, title: 'Ticket of the change' };
}

const subjectOf = (action: TicketAction): string =>
  action.workItemId === null ? `change/${action.changeId}` : `work/${action.workItemId}`;
