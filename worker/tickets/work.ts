/** Work for people: gets its ticket, is judged by scans, and comes back when what was said to be done is not. */
import type { Pool, PoolClient } from 'pg';
import type { ChangeKinds } from '../../activities/kinds/change-kind.js';
import { appendAudit } from '../../db/audit/append.js';
import { inTransaction } from '../../db/pool.js';
import { forgetLoop } from '../../db/read/closed-loop.js';
import { queueActions } from '../../db/tickets/actions.js';
import {
  askAgainForScans,
  closeWork,
  type Judgeable,
  loadJudgeable,
  loadMootWork,
  loadOverdueClaims,
  loadSettledChanges,
  noteJudged,
  openWorkTickets,
  tellSeenAgain,
  ticketsOfWork,
  unclaimWork,
  wantState,
} from '../../db/tickets/work.js';
import { utc } from '../../domain/ticket/words.js';
import type { EpochMs } from '../../domain/time.js';

const BATCH = 200;

export interface WorkDeps {
  readonly pool: Pool;
  readonly clock: () => EpochMs;
  readonly kinds: ChangeKinds;
}

/** One round over all open work. @returns whether there may be more to do at once */
export async function tendWork(deps: WorkDeps): Promise<boolean> {
  const { pool } = deps;
  const opened = await inTransaction(pool, async (client) => {
    const count = await openWorkTickets(client, BATCH);
    await tellSeenAgain(client);
    if (count > 0) await client.query(`SELECT pg_notify('rm_tickets', '')`);
    return count;
  });
  const changeKinds = [...deps.kinds.values()].filter((kind) => !('evidence' in kind)).map((kind) => kind.name);
  const judgeable = await loadJudgeable(pool, { changeKinds, limit: BATCH });
  for (const item of judgeable) await inTransaction(pool, (client) => judge(deps, client, item));
  for (const claim of await loadOverdueClaims(pool, { now: deps.clock(), limit: BATCH })) {
    const heard = claim.lastSeen === null ? 'never' : `last on ${utc(claim.lastSeen.getTime())}`;
    await inTransaction(pool, (client) =>
      reopen(client, {
        id: claim.id,
        mark: `overdue/${deps.clock()}`,
        text: `No scan came in time to prove it (the endpoint was heard ${heard}): open again.`,
      }),
    );
  }
  for (const id of await loadMootWork(pool))
    await inTransaction(pool, (client) =>
      end(deps, client, { id, scanId: null, to: 'cancelled', reason: 'the endpoint is retired' }),
    );
  for (const settled of await loadSettledChanges(pool)) await inTransaction(pool, (client) => settle(client, settled));
  await askAgainForScans(pool);
  return opened >= BATCH || judgeable.length === BATCH;
}

async function judge(deps: WorkDeps, client: PoolClient, item: Judgeable): Promise<void> {
  await noteJudged(client, { id: item.id, scanId: item.scanId });
  const missing = findings(deps, item);
  const scan = `scan ${item.scanId} of ${utc(item.scannedAt)}`;
  if (missing.length === 0) {
    await end(deps, client, { id: item.id, scanId: item.scanId, to: 'done', reason: `proven by ${scan}` });
    return forgetLoop(client, item.changeId);
  }
  // Work nobody has claimed just stays open: that it is not done is no news.
  if (item.state !== 'claimed') return;
  const shown = missing.slice(0, 20).join('; ');
  const more = missing.length > 20 ? `; and ${missing.length - 20} more` : '';
  await reopen(client, {
    id: item.id,
    mark: `disproved/${item.scanId}`,
    text: `Not done, says ${scan}: ${shown}${more}. Open again.`,
  });
}

/** What the scan shows that is not as it must be; empty: all is. */
function findings(deps: WorkDeps, item: Judgeable): string[] {
  const kind = deps.kinds.get(item.changeKind);
  if (kind === undefined) return [`nobody here can judge a change of kind ${item.changeKind}`];
  const wrong = item.items.flatMap(({ name, arch, from, to, installed }) => {
    const reason = item.backwards
      ? installed === from
        ? null
        : `${installed ?? 'nothing'} is installed, not ${from ?? 'nothing'}`
      : kind.judge({ name, arch, to }, installed);
    return reason === null ? [] : [`${name}: ${reason}`];
  });
  return item.auditClean ? wrong : [...wrong, 'the package manager reports packages that are not properly installed'];
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

/** All that had failed of a change has been proven since: its ticket has nothing left to wait for. */
async function settle(
  client: PoolClient,
  settled: { readonly changeId: string; readonly ticketId: string; readonly key: string; readonly done: number },
): Promise<void> {
  const { ticketId, key } = settled;
  await wantState(client, { ticketIds: [ticketId], wanted: 'done' });
  const text = `All ${settled.done} endpoints that somebody had to look at have been settled since, by scans.`;
  await queueActions(client, [
    { ticketId, key: `${key}/settled`, kind: 'comment', payload: { what: 'said', text } },
    { ticketId, key: `${key}/settled/close`, kind: 'transition', payload: { to: 'done' } },
  ]);
}
