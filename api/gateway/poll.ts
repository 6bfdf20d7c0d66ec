import type { Pool } from 'pg';
import type { Logger } from 'pino';
import { quarantine } from '../../db/endpoints/identity.js';
import { type PollView, readPollViews, storeObservationBatch, type Told } from '../../db/endpoints/presence.js';
import type { OpenOrder } from '../../db/orders/open-orders.js';
import { inTransaction } from '../../db/pool.js';
import { type IdentityVerdict, judgeIdentity } from '../../domain/fleet/clone.js';
import { isMutating, type OrderState, STATE_TRAITS } from '../../domain/order/index.js';
import { mayTalk, pollWithinHours } from '../../domain/policy/communication.js';
import { type EpochMs, MINUTE, SECOND } from '../../domain/time.js';
import type { Envelope } from '../../protocol/envelope.js';
import { KNOWN_REPORTS, type PollReply, type PollRequest } from '../../protocol/messages.js';
import { forbidden, type Problem } from '../http/problem.js';
import { createGatherer, type Gatherer, type Outcome } from './gather.js';
import { IDLE_PACE, isAtWork, nextPollSeconds, paceOf } from './next-poll.js';
import type { OrdersPort } from './orders-port.js';
import type { SeenBuffer } from './seen-buffer.js';
import { foreignKey, type Signer } from './signed.js';

/** Beyond this the endpoint refuses to apply (design §4), so it is worth saying. */
const MAX_SKEW_MS = 2 * MINUTE;
/**
 * An agent holds itself to the server time it signs with (`claim` in agent/transport/clock.ts): it starts nothing any more on
 * a permit that ended before. What is taken off allows for replicas of ours whose clocks differ.
 */
const CLAIM_MARGIN_MS = 10 * SECOND;
const INT4 = 2_147_483_647;

export interface PollDeps {
  readonly pool: Pool;
  readonly orders: OrdersPort;
  readonly seen: SeenBuffer;
  readonly logger: Logger;
  /** Whether this process holds a wake-up channel to the endpoint. */
  readonly isWakeable: (endpointId: string) => boolean;
  readonly idlePollSeconds: number;
  readonly random: () => number;
}

export interface Polled {
  readonly signer: Signer;
  readonly request: PollRequest;
  /** When it came in: what it says was true then at the latest. */
  readonly arrivedAt: EpochMs;
}

/** A poll whose endpoint may poll, with what is known of it. */
interface Known extends Polled {
  readonly endpointId: string;
  readonly before: PollView;
  readonly identity: PollView;
  readonly verdict: IdentityVerdict;
  readonly active: boolean;
}

type Judged = ReturnType<SeenBuffer['judged']>;

/** One whose reports have been taken in. */
interface Heard extends Known {
  readonly orders: readonly OpenOrder[];
  readonly ended: boolean;
}

type Taken = Awaited<ReturnType<OrdersPort['takeReportBatch']>>[number];

/** One round at a time shares most; one that waits for a lock (a person's stop, say) must not hold up the rest for longer than this. */
const ROUNDS_AT_ONCE = 3;
const PATIENCE_MS = 60;
const POLLS_IN_A_ROUND = 200;

/** Polls that come at the same time are answered together: a few statements and two commits for all of them. */
export function createPolls(deps: PollDeps & { readonly clock: () => EpochMs }): Gatherer<Polled, PollReply> {
  return createGatherer({
    work: (polls) => answerPolls(deps, polls, deps.clock()),
    key: ({ signer }) => signer.endpointId,
    atOnce: ROUNDS_AT_ONCE,
    patienceMs: PATIENCE_MS,
    most: POLLS_IN_A_ROUND,
  });
}

/**
 * Answers polls of different endpoints: reports in, then orders out. Reports of a quarantined endpoint still count (they
 * settle what it began); it gets no orders. Done again it changes nothing more.
 * @returns one outcome per poll, in order: the reply, or Problem 403 for an endpoint that is retired or unknown, 401 for a key that is no longer its own
 */
async function answerPolls(
  deps: PollDeps,
  polls: readonly Polled[],
  now: EpochMs,
): Promise<readonly Outcome<PollReply>[]> {
  const ids = polls.map(({ signer }) => signer.endpointId);
  const unwritten = new Map(ids.map((id) => [id, deps.seen.judged(id)]));
  const views = await readPollViews(deps.pool, ids);
  const known: Known[] = [];
  const refused = new Map<string, Problem>();
  for (const poll of polls) {
    const { endpointId } = poll.signer;
    const before = views.get(endpointId);
    const problem = whyRefused(poll.signer, before);
    if (problem !== null) refused.set(endpointId, problem);
    else if (before !== undefined)
      known.push(await identified(deps, poll, { before, judged: unwritten.get(endpointId) ?? null }));
  }
  const taken = await deps.orders.takeReportBatch(deps.pool, {
    polls: known.map(({ endpointId, request: { reports, open }, signer, arrivedAt }) => ({
      endpointId,
      reports,
      open,
      heardAt: Math.min(arrivedAt, signer.signedAt) - CLAIM_MARGIN_MS,
    })),
    open: known.flatMap((one) => one.before.orders),
    now,
  });
  await storeObservationBatch(
    deps.pool,
    known.flatMap((one) => (isStale(one) ? [] : [told(one)])),
  );
  const heard = known.map((one, i) => ({ ...one, ...afterReports(one.before.orders, taken[i]) }));
  const active = heard.filter((one) => one.active);
  const offers = await deps.orders.takeOfferBatch(deps.pool, {
    polls: active.map(({ endpointId, request, before }) => ({
      endpointId,
      open: request.open,
      silent: !mayTalk(before.communication, now),
    })),
    open: active.flatMap((one) => one.orders),
    now,
  });
  const replies = new Map<string, PollReply>();
  for (const [i, one] of heard.entries()) {
    const { acks = [], violations = [] } = taken[i] ?? {};
    const { endpointId } = one;
    if (violations.length > 0) deps.logger.warn({ endpointId, violations }, 'reports refused');
    replies.set(endpointId, await reply(deps, one, { acks, orders: offers.get(endpointId) ?? [], now }));
  }
  return polls.map(({ signer }) => {
    const value = replies.get(signer.endpointId);
    if (value !== undefined) return { ok: true, value };
    return { ok: false, error: refused.get(signer.endpointId) ?? forbidden('this endpoint is not known here') };
  });
}

/** Why this endpoint gets no answer; null when it does. */
function whyRefused(signer: Signer, view: PollView | undefined): Problem | null {
  if (view === undefined) return forbidden('this endpoint is not known here');
  return foreignKey(signer, view) ?? (view.state === 'retired' ? forbidden('this endpoint is retired') : null);
}

/** Judges whether this is the machine that polled before; a suspect is quarantined here and now. */
async function identified(
  deps: PollDeps,
  poll: Polled,
  { before, judged }: { readonly before: PollView; readonly judged: Judged },
): Promise<Known> {
  const { signer, request } = poll;
  const { endpointId } = signer;
  const identity = merged(before, judged);
  const verdict = judgeIdentity(
    { signedAt: signer.signedAt, journalSeq: request.journalSeq, bootId: request.bootId },
    identity,
  );
  let active = before.state === 'active';
  if (verdict.kind === 'suspect' && active) {
    active = false;
    await inTransaction(deps.pool, (client) => quarantine(client, { endpointId, reason: verdict.reason }));
    deps.logger.warn({ endpointId, reason: verdict.reason }, 'endpoint quarantined');
  }
  return { ...poll, endpointId, before, identity, verdict, active };
}

/** An endpoint's orders once its reports are in, and whether it was at work on itself and has come to an end. */
function afterReports(orders: readonly OpenOrder[], taken: Taken | undefined) {
  const moved = new Map(taken?.moved.map((one) => [one.orderId, one]));
  const now = orders.map((order) => {
    const state = moved.get(order.id)?.state ?? order.state;
    return { ...order, state, phase: STATE_TRAITS[state].phase };
  });
  return {
    orders: now,
    ended: [...moved.values()].some(({ kind, state }) => isMutating(kind) && WORKED.includes(state)),
  };
}

/** Ends of an order after which the endpoint may have other packages than before. */
const WORKED: readonly OrderState[] = ['succeeded', 'reverted', 'failed', 'revertFailed'];

async function reply(
  deps: PollDeps,
  known: Heard,
  given: {
    readonly acks: readonly { readonly orderId: string; readonly seq: number }[];
    readonly orders: readonly { readonly order: Envelope; readonly permit: Envelope | null }[];
    readonly now: EpochMs;
  },
): Promise<PollReply> {
  const { endpointId, signer, request, before, identity, verdict, active } = known;
  const { now } = given;
  const random = deps.random();
  const mayAsk = active && mayTalk(before.communication, now);
  const pace = nextPollSeconds({
    ...(active ? paceOf(known.orders, now) : IDLE_PACE),
    wantsScan: mayAsk && before.wantsScan,
    wakeable: deps.isWakeable(endpointId),
    idleSeconds: deps.idlePollSeconds,
    random,
  });
  const seconds = isAtWork(known.orders, now)
    ? pace
    : pollWithinHours({ seconds: pace, communication: before.communication, now, random });
  const skew = Math.max(-INT4, Math.min(INT4, Math.round(request.clock - known.arrivedAt)));
  if (Math.abs(skew) > MAX_SKEW_MS && Math.abs(before.clockSkewMs) <= MAX_SKEW_MS) {
    deps.logger.warn({ endpointId, skewMs: skew }, 'endpoint’s clock is off; it will refuse to apply');
  }
  // A boot id that is replaced while still only gathered would never be remembered.
  if (verdict.kind === 'consistent' && identity.bootId !== null && identity.bootId !== request.bootId)
    await deps.seen.flush();
  deps.seen.add({
    endpointId,
    at: now,
    nextPollAt: now + seconds * SECOND,
    clockSkewMs: skew,
    // A suspect's claims must not become what later polls are compared with.
    judged:
      verdict.kind === 'consistent'
        ? { signedAt: signer.signedAt, journalSeq: request.journalSeq, bootId: request.bootId }
        : null,
  });
  return {
    serverTime: now,
    nextPollSeconds: seconds,
    acks: [...given.acks],
    orders: given.orders.map(({ order, permit }) => ({
      order: plain(order),
      permit: permit === null ? null : plain(permit),
    })),
    keySetVersion: before.keySetVersion,
    // What it has just changed is looked at while it is awake and listening; whoever wants proof later finds it there.
    scanNow: mayAsk && (before.wantsScan || known.ended),
    knows: [...KNOWN_REPORTS],
  };
}

/** What is known of the identity, with what this process has heard but not yet written. */
function merged(view: PollView, judged: Judged): PollView {
  if (judged !== null && view.identitySince !== null && judged.signedAt < view.identitySince) return view;
  if (judged === null || (view.lastSignedAt !== null && judged.signedAt <= view.lastSignedAt)) return view;
  const moved = view.bootId !== null && view.bootId !== judged.bootId;
  return {
    ...view,
    lastSignedAt: judged.signedAt,
    lastJournalSeq: Math.max(view.lastJournalSeq, judged.journalSeq),
    bootId: judged.bootId,
    earlierBootIds: moved && view.bootId !== null ? [...view.earlierBootIds, view.bootId] : view.earlierBootIds,
  };
}

/** Signatures count whole seconds: what is said in the same second as the last judged poll is no older than that, and said once. */
function isStale({ verdict, signer, identity }: Known): boolean {
  return verdict.kind === 'old' && signer.signedAt !== identity.lastSignedAt;
}

function told({ endpointId, request }: Known): Told {
  const { observations, localLimits, agent, protocol } = request;
  return { endpointId, observations, localLimits, agent: agent === undefined ? undefined : { ...agent, protocol } };
}

type PlainEnvelope = PollReply['orders'][number]['order'];

function plain(envelope: Envelope): PlainEnvelope {
  return { ...envelope, signatures: [...envelope.signatures] };
}
