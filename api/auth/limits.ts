/** Slows down whoever guesses: counted in PostgreSQL, so that replicas share it; in memory while that is away. */
import { createHash } from 'node:crypto';
import type { Pool } from 'pg';
import { RateLimiterMemory, RateLimiterPostgres, RateLimiterRes } from 'rate-limiter-flexible';
import { Problem } from '../http/problem.js';

export interface GuessLimit {
  /** @throws Problem 429 with Retry-After once a key has used up its tries */
  readonly check: (keys: readonly string[]) => Promise<void>;
  readonly failed: (keys: readonly string[]) => Promise<void>;
  readonly succeeded: (key: string) => Promise<void>;
}

/** `points` failures per key within `seconds`, then refusal until they have passed. */
export function createGuessLimit(args: { pool: Pool; name: string; points: number; seconds: number }): GuessLimit {
  const limit = { points: args.points, duration: args.seconds, keyPrefix: args.name };
  const limiter = new RateLimiterPostgres({
    ...limit,
    storeClient: args.pool,
    tableName: 'rate_limit',
    tableCreated: true,
    insuranceLimiter: new RateLimiterMemory(limit),
  });
  // Keys hold what people typed; the table needs to know only whether it is the same.
  const keyOf = (key: string): string => createHash('sha256').update(key.toLowerCase()).digest('base64url');
  return {
    check: async (keys) => {
      for (const key of keys) {
        const used = await limiter.get(keyOf(key));
        if (used !== null && used.consumedPoints >= args.points) throw tooMany(used.msBeforeNext);
      }
    },
    failed: async (keys) => {
      for (const key of keys) {
        // It rejects with its own result when the limit is passed: that much is known by the next check.
        await limiter.consume(keyOf(key)).catch((reason: unknown) => {
          if (!(reason instanceof RateLimiterRes)) throw reason;
        });
      }
    },
    succeeded: async (key) => {
      await limiter.delete(keyOf(key));
    },
  };
}

function tooMany(ms: number): Problem {
  const seconds = Math.max(1, Math.ceil(ms / 1_000));
  return new Problem({
    status: 429,
    type: 'too-many-requests',
    title: 'Too many attempts',
    detail: `try again in ${seconds} seconds`,
    headers: { 'retry-after': String(seconds) },
  });
}
