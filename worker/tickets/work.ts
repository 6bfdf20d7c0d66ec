/** Work for people: gets its ticket, is judged by scans, and comes back when what was said to be done is not. */
import type { Pool, PoolClient } from 'pg';
import type { ChangeKinds } from '../../activities/kinds/change-kind.js';
import { appendAudit } from '../../db/audit/append.js';
import { loadUndoneNotices } from '../../db/baseline/rule-work.js';
import { inTransaction } from '../../db/pool.js';
import { forgetLoop } from '../../db/read/closed-loop.js';
import { queueActions } from '../../db/tickets/actions.js';
import {
  anyOpenWork,
  closeWork,
  type Judgeable,
  loadMootWork,
  loadOverdueClaims,
  loadSettledChanges,
  noteJudged,
  openWorkTickets,
  type Settled,
  tellSeenAgain,
  ticketsOfWork,
  unclaimWork,
  wantState,
} from '../../db/tickets/work.js';
import { unproven } from '../../domain/ticket/unproven.js';
import { utc } from '../../domain/ticket/words.js';
import type { EpochMs } from '../../domain/time.js';
import { type Judge, judgesOf } from './judges.js';

const BATCH = 200;

export interface WorkDeps {
  readonly pool: Pool;
  readonly clock: () => EpochMs;
  readonly kinds: ChangeKinds;
}

/** One round over all work. @returns whether there may be more to do at once */
export async function tendWork(deps: WorkDeps): Promise<boolean> {
  const { pool } = deps;
  // Mostly nobody has to do anything; that must not cost the planning of all these questions every few seconds.
  const full = (await anyOpenWork(pool)) && (await tendOpenWork(deps));
  for (const settled of await loadSettledChanges(pool)) await inTransaction(pool, (client) => settle(client, settled));
  return full;
}

async function tendOpenWork(deps: WorkDeps): Promise<boolean> {
  const { pool } = deps;
  const opened = await inTransaction(pool, async (client) => {
    const count = await openWorkTickets(client, BATCH);
    await tellSeenAgain(client);
    if (count > 0) await client.query(`SELECT pg_notify('rm_tickets', '')`);
    return count;
  });
  const judges = judgesOf({ client: pool, kinds: deps.kinds, now: deps.clock() });
  let full = opened >= BATCH;
  for (const judge of judges) {
    const works = await judge.load(BATCH);
    full ||= works.length === BATCH;
    for (const work of works) await inTransaction(pool, (client) => decide(deps, client, { judge, work }));
  }
  for (const { id, reason } of await loadUndoneNotices(pool))
    await inTransaction(pool, (client) => end(deps, client, { id, scanId: null, to: 'done', reason }));
  for (const judge of judges)
    for (const id of await judge.unprovable())
      await inTransaction(pool, (client) =>
        end(deps, client, {
          id,
          scanId: null,
          to: 'done',
          reason: 'said to be done; nothing measures it there any more',
        }),
      );
  for (const claim of await loadOverdueClaims(pool, { now: deps.clock(), limit: BATCH })) {
    const tried = claim.problem === null ? '' : `; its assessment failed: ${claim.problem}`;
    const heard = claim.lastSeen === null ? 'never' : `last on ${utc(claim.lastSeen.getTime())}`;
    await inTransaction(pool, (client) =>
      reopen(client, {
        id: claim.id,
        mark: `overdue/${deps.clock()}`,
        text: `No scan came in time to prove it (the endpoint was heard ${heard}${tried}): open again.`,
      }),
    );
  }
  for (const id of await loadMootWork(pool))
    await inTransaction(pool, (client) =>
      end(deps, client, { id, scanId: null, to: 'cancelled', reason: 'the endpoint is retired' }),
    );
  for (const judge of judges) await judge.ask();
  return full;
}

async function decide(
  deps: WorkDeps,
  client: PoolClient,
  { judge, work }: { readonly judge: Judge; readonly work: Judgeable },
): Promise<void> {
  await noteJudged(client, { id: work.id, scanId: work.scanId });
  const missing = findings(judge, work);
  const scan = `scan ${work.scanId} of ${utc(work.scannedAt)}`;
  if (missing.length === 0) {
    await end(deps, client, { id: work.id, scanId: work.scanId, to: 'done', reason: `proven by ${scan}` });
    if (work.changeId !== null) await forgetLoop(client, work.changeId);
    return;
  }
  // Work nobody has claimed just stays open: that it is not done is no news.
  if (work.state !== 'claimed') return;
  const shown = missing.slice(0, 20).join('; ');
  const more = missing.length > 20 ? `; and ${missing.length - 20} more` : '';
  await reopen(client, {
    id: work.id,
    mark: `disproved/${work.scanId}`,
    text: `Not done, says ${scan}: ${shown}${more}. Open again.`,
  });
}

/** What the scan shows that is not as it must be; empty: all is. */
function findings(judge: Judge, work: Judgeable): string[] {
  const wrong = work.items.flatMap((item) => {
    const reason = judge.judge(item, work);
    return reason === null ? [] : [`${item.name}: ${reason}`];
  });
  return work.auditClean ? wrong : [...wrong, 'the package manager reports packages that are not properly installed'];
}

async function end(
  deps: WorkDeps,
  client: PoolClient,
  args: {
    readonly id: string;
    readonly scanId: string | null;
    readonly to: 'done' | 'cancelled';
    readonly reason: string;
  },
): Promise<void> {
  const { id, scanId, to, reason } = args;
  if (!(await closeWork(client, { id, reason, scanId, now: deps.clock() }))) return;
  const tickets = await ticketsOfWork(client, id);
  await wantState(client, { ticketIds: tickets.map((t) => t.ticketId), wanted: to });
  await queueActions(
    client,
    tickets.flatMap(({ ticketId, key }) => [
      {
        ticketId,
        key: `${key}/ended`,
        kind: 'comment' as const,
        payload: { what: 'said', text: `Closed: ${reason}.` },
      },
      { ticketId, key: `${key}/close`, kind: 'transition' as const, payload: { to } },
    ]),
  );
  await appendAudit(client, [
    { actor: 'worker', action: 'work.closed', subject: `work/${id}`, detail: { reason, scanId } },
  ]);
}

/** What was said to be done is not: the ticket comes back with what was found. */
async function reopen(
  client: PoolClient,
  args: { readonly id: string; readonly mark: string; readonly text: string },
): Promise<void> {
  if (!(await unclaimWork(client, args.id))) return;
  await queueActions(
    client,
    (await ticketsOfWork(client, args.id)).flatMap(({ ticketId, key }) => [
      { ticketId, key: `${key}/${args.mark}`, kind: 'comment' as const, payload: { what: 'said', text: args.text } },
      {
        ticketId,
        key: `${key}/${args.mark}/reopen`,
        kind: 'transition' as const,
        payload: { to: 'open', reopen: true },
      },
    ]),
  );
  await appendAudit(client, [
    { actor: 'worker', action: 'work.reopened', subject: `work/${args.id}`, detail: { reason: args.text } },
  ]);
}

/**
 * Nothing of a change waits for anybody any more. Its ticket is done if scans have proven all that had failed; otherwise it says what
 * became of the rest, and stays open: only a person can say whether that will do.
 */
async function settle(client: PoolClient, settled: Settled): Promise<void> {
  const { ticketId, key } = settled;
  const say = (what: string, text: string) => ({
    ticketId,
    key: `${key}/${what}`,
    kind: 'comment' as const,
    payload: { what: 'said', text },
  });
  const rest = unproven(settled);
  if (rest !== null) {
    await queueActions(client, [say('unsettled', rest)]);
    return;
  }
  await wantState(client, { ticketIds: [ticketId], wanted: 'done' });
  const text = `All ${settled.endpoints} endpoints that somebody had to look at have been settled since, by scans.`;
  await queueActions(client, [
    say('settled', text),
    { ticketId, key: `${key}/settled/close`, kind: 'transition', payload: { to: 'done' } },
  ]);
}
