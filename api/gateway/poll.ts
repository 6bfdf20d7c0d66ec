import type { Pool } from 'pg';
import type { Logger } from 'pino';
import { quarantine } from '../../db/endpoints/identity.js';
import { type PollView, readPollView, storeObservations } from '../../db/endpoints/presence.js';
import { inTransaction } from '../../db/pool.js';
import { judgeIdentity } from '../../domain/fleet/clone.js';
import { type EpochMs, MINUTE, SECOND } from '../../domain/time.js';
import type { PollReply, PollRequest } from '../../protocol/messages.js';
import { forbidden } from '../http/problem.js';
import { nextPollSeconds } from './next-poll.js';
import type { OrdersPort } from './orders-port.js';
import type { SeenBuffer } from './seen-buffer.js';
import type { Signer } from './signed.js';

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

/**
 * One poll: reports in, then orders out. Reports of a quarantined endpoint still count (they settle what it began); it
 * gets no orders.
 * @throws Problem 403 for a retired endpoint
 */
export async function poll(
  deps: PollDeps,
  args: { signer: Signer; request: PollRequest; now: EpochMs },
): Promise<PollReply> {
  const { signer, request, now } = args;
  const { endpointId } = signer;
  const before = await readPollView(deps.pool, endpointId);
  if (before === null) throw forbidden('this endpoint is not known here');
  if (before.state === 'retired') throw forbidden('this endpoint is retired');
  const known = merged(before, deps, endpointId);
  const verdict = judgeIdentity(
    { signedAt: signer.signedAt, journalSeq: request.journalSeq, bootId: request.bootId },
    known,
  );
  let active = before.state === 'active';
  if (verdict.kind === 'suspect' && active) {
    active = false;
    await inTransaction(deps.pool, (client) => quarantine(client, { endpointId, reason: verdict.reason }));
    deps.logger.warn({ endpointId, reason: verdict.reason }, 'endpoint quarantined');
  }

  const { reports, open } = request;
  const heardAt = Math.min(now, signer.signedAt) - CLAIM_MARGIN_MS;
  const taken = await deps.orders.takeReports(deps.pool, { endpointId, reports, open, heardAt, now });
  if (taken.violations.length > 0) deps.logger.warn({ endpointId, violations: taken.violations }, 'reports refused');
  // Signatures count whole seconds: what is said in the same second as the last judged poll is no older than that, and said once.
  const stale = verdict.kind === 'old' && signer.signedAt !== known.lastSignedAt;
  if (!stale) await storeObservations(deps.pool, { endpointId, ...told(request) });
  const orders = active ? await deps.orders.takeOffers(deps.pool, { endpointId, open: request.open, now }) : [];

  const after =
    request.reports.length === 0 && orders.length === 0
      ? before
      : ((await readPollView(deps.pool, endpointId)) ?? before);
  const scanNow = active && after.wantsScan;
  const seconds = nextPollSeconds({
    holding: active ? after.holding : 0,
    idle: active ? after.idle : 0,
    wantsScan: scanNow,
    wakeable: deps.isWakeable(endpointId),
    untilWindow: active && after.pending > 0 && after.nextOpen !== null ? after.nextOpen - now : null,
    idleSeconds: deps.idlePollSeconds,
    random: deps.random(),
  });
  const skew = Math.max(-INT4, Math.min(INT4, Math.round(request.clock - now)));
  if (Math.abs(skew) > MAX_SKEW_MS && Math.abs(before.clockSkewMs) <= MAX_SKEW_MS) {
    deps.logger.warn({ endpointId, skewMs: skew }, 'endpoint’s clock is off; it will refuse to apply');
  }
  // A boot id that is replaced while still only gathered would never be remembered.
  if (verdict.kind === 'consistent' && known.bootId !== null && known.bootId !== request.bootId)
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
    acks: [...taken.acks],
    orders: orders.map(({ order, permit }) => ({
      order: plain(order),
      permit: permit === null ? null : plain(permit),
    })),
    keySetVersion: before.keySetVersion,
    scanNow,
  };
}

/** What is known of the identity, with what this process has heard but not yet written. */
function merged(view: PollView, deps: PollDeps, endpointId: string): PollView {
  const judged = deps.seen.peek(endpointId)?.judged ?? null;
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

function told(request: PollRequest) {
  const { agent, protocol } = request;
  return {
    observations: request.observations,
    localLimits: request.localLimits,
    agent: agent === undefined ? undefined : { ...agent, protocol },
  };
}

type PlainEnvelope = PollReply['orders'][number]['order'];

function plain(envelope: {
  payloadType: string;
  payload: string;
  signatures: readonly { keyid: string; sig: string }[];
}): PlainEnvelope {
  return { ...envelope, signatures: [...envelope.signatures] };
}
