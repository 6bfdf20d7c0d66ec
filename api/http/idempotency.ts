/**
 * `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header): a request sent again has no second effect. The claim
 * is a row put in first; the transaction that has the effect marks that row, so effect and mark are there together or
 * not at all; the reply is stored after. docs/api.md says what a client sees after each kind of crash.
 */
import { createHmac } from 'node:crypto';
import type { Request } from 'express';
import type { Pool } from 'pg';
import type { Logger } from 'pino';
import { type Claimed, claimKey, markCommitted, releaseKey, storeReply, sweepKeys } from '../../db/idempotency/keys.js';
import type { TransactionHooks } from '../../db/pool.js';
import { type EpochMs, SECOND } from '../../domain/time.js';
import { invalidField, Problem } from './problem.js';
import { rawBody } from './read-body.js';
import type { RenderedReply } from './reply.js';

/** One claim in so many sweeps what is over. */
const SWEEP_EVERY = 50;

export interface Idempotency {
  /** Does the work at most once per key; a repetition gets what was answered the first time. */
  readonly once: (
    args: {
      readonly req: Request;
      readonly actor: string;
      readonly now: EpochMs;
      /** The reply holds what is shown once: it is not stored. */
      readonly secret: boolean;
    },
    work: (hooks: TransactionHooks) => Promise<RenderedReply>,
  ) => Promise<RenderedReply>;
}

/** @param deps.secret shared by replicas, as cookies are: all of them must see the same request as the same */
export function createIdempotency(deps: {
  poolFor: (req: Request) => Pool;
  secret: string;
  logger: Logger;
}): Idempotency {
  const { logger } = deps;
  let claims = 0;
  // Bodies may hold passwords and one-time codes: an unkeyed hash of one could be guessed from a stolen table.
  const fingerprint = (req: Request): string =>
    createHmac('sha256', `${deps.secret}:idempotency`)
      .update(`${req.method} ${req.originalUrl}\n`)
      .update(rawBody(req) ?? '')
      .digest('base64url');

  const sweep = async (pool: Pool, now: EpochMs): Promise<void> => {
    claims += 1;
    if (claims % SWEEP_EVERY !== 1) return;
    await sweepKeys(pool, now).catch((error) => logger.warn({ err: error }, 'old idempotency keys stay for now'));
  };

  return {
    once: async ({ req, actor, now, secret }, work) => {
      const key = keyOf(req);
      if (key === null) return work({});
      const pool = deps.poolFor(req);
      const claimed = await claimKey(pool, { actor, key, fingerprint: fingerprint(req), now });
      if (claimed.state !== 'mine') return again(claimed);
      await sweep(pool, now);
      const { claim } = claimed;
      let reply: RenderedReply;
      try {
        reply = await work({
          committing: async (client) => {
            if (!(await markCommitted(client, claim))) throw takenOver();
          },
        });
      } catch (error) {
        // The row is deleted only when it says that nothing was committed: it knows even when a commit's answer was lost.
        await releaseKey(pool, claim).catch(() => {});
        throw error;
      }
      // Stored before it is sent: nobody sees a reply that a repetition would not get.
      await storeReply(pool, claim, { ...reply, body: secret ? null : reply.body, secret }).catch((error) =>
        logger.warn({ err: error }, 'a reply could not be stored; a repetition is told that it was done'),
      );
      return reply;
    },
  };
}

/** The key, as a structured-field string or as it is; null when none was sent. */
function keyOf(req: Request): string | null {
  const given = req.get('idempotency-key');
  if (given === undefined) return null;
  const key = /^"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\]){1,255})"$/.exec(given)?.[1] ?? given;
  if (!/^[\x21-\x7e]{1,255}$/.test(key) || key.startsWith('"')) {
    throw invalidField('Idempotency-Key', 'must be 1 to 255 visible ASCII characters, best a UUID', 'header');
  }
  return key;
}

function again(claimed: Exclude<Claimed, { state: 'mine' }>): RenderedReply {
  switch (claimed.state) {
    case 'otherRequest':
      throw new Problem({
        status: 422,
        type: 'idempotency-key-reused',
        title: 'The key belongs to another request',
        detail: 'this Idempotency-Key came with another method, path or body before; use a new key',
      });
    case 'inFlight': {
      const seconds = Math.max(1, Math.ceil(Math.min(claimed.retryInMs, 2 * SECOND) / SECOND));
      throw inFlight('The first request with this key is under way', 'ask again for its reply', seconds);
    }
    case 'replyLost':
      throw alreadyDone('it took effect, but its reply was lost in a crash; read the resource');
    case 'answered': {
      const { secret, ...reply } = claimed.reply;
      if (secret) throw alreadyDone('the secret in its reply was shown once and is not kept');
      return { ...reply, headers: { ...reply.headers, 'idempotency-replayed': 'true' } };
    }
  }
}

function takenOver(): Problem {
  return inFlight('A later request with this key took over', 'this one has no effect; ask again for the reply', 1);
}

function inFlight(title: string, detail: string, seconds: number): Problem {
  const headers = { 'retry-after': String(seconds) };
  return new Problem({ status: 409, type: 'idempotency-key-in-flight', title, detail, headers });
}

function alreadyDone(detail: string): Problem {
  const title = 'The request with this key was done already';
  return new Problem({ status: 409, type: 'already-done', title, detail });
}
