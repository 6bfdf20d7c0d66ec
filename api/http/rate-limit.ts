/**
 * How much one person or one address may ask below /v1 per minute. Counted in this process's memory: a request costs no
 * round trip, and n replicas let n times as much through, which is what replicas are for.
 */
import type { Request, RequestHandler, Response } from 'express';
import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';
import { currentPerson } from '../auth/person.js';
import { Problem } from './problem.js';

const WINDOW_SECONDS = 60;

export interface RateLimits {
  /** Requests per minute; 0 for no limit. */
  readonly perPerson: number;
  readonly perAddress: number;
}

/** Before anybody is authenticated: guesses at tokens count, too. */
export function addressLimit(limits: RateLimits): RequestHandler {
  return limiter('address', limits.perAddress, (req) => req.ip ?? 'unknown');
}

/** Once the person is known: whoever shares an address with others, or has many, has a share of their own. */
export function personLimit(limits: RateLimits): RequestHandler {
  return limiter('person', limits.perPerson, (req) => currentPerson(req)?.actor ?? null);
}

function limiter(policy: string, points: number, keyOf: (req: Request) => string | null): RequestHandler {
  if (points === 0) return (_req, _res, next) => next();
  const memory = new RateLimiterMemory({ points, duration: WINDOW_SECONDS });
  return async (req, res, next) => {
    const key = keyOf(req);
    if (key === null) {
      next();
      return;
    }
    try {
      say(res, { policy, points, state: await memory.consume(key) });
    } catch (refused) {
      if (!(refused instanceof RateLimiterRes)) throw refused;
      say(res, { policy, points, state: refused });
      throw tooMany(policy, points, refused.msBeforeNext);
    }
    next();
  };
}

/** The headers of draft-ietf-httpapi-ratelimit-headers; those of the person replace those of the address. */
function say(res: Response, args: { policy: string; points: number; state: RateLimiterRes }): void {
  const { policy, points, state } = args;
  res.set({
    'ratelimit-policy': `"${policy}";q=${points};w=${WINDOW_SECONDS}`,
    ratelimit: `"${policy}";r=${Math.max(0, state.remainingPoints)};t=${Math.ceil(state.msBeforeNext / 1_000)}`,
  });
}

function tooMany(policy: string, points: number, ms: number): Problem {
  const seconds = Math.max(1, Math.ceil(ms / 1_000));
  return new Problem({
    status: 429,
    type: 'too-many-requests',
    title: 'Too many requests',
    detail: `more than ${points} requests within a minute from this ${policy}; try again in ${seconds} seconds`,
    headers: { 'retry-after': String(seconds) },
  });
}
