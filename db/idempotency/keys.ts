/** Idempotency keys: who holds the claim to answer one, and what was answered (docs/api.md). */
import { randomUUID } from 'node:crypto';
import type { PoolClient } from 'pg';
import { DAY, type EpochMs, SECOND } from '../../domain/time.js';
import type { Queryable } from '../pool.js';

/** How long a reply is kept. */
export const KEPT_MS = DAY;
/**
 * How long a claim without an effect keeps others waiting. Whoever held it died, or will find at its commit that it
 * lost the claim; so this is about patience, not about safety.
 */
export const LEASE_MS = 20 * SECOND;

export interface KeyOf {
  readonly actor: string;
  readonly key: string;
}

export interface Claim extends KeyOf {
  readonly attempt: string;
}

export interface StoredReply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** As sent; null when there was none, or when it held a secret. */
  readonly body: string | null;
  readonly secret: boolean;
}

export type Claimed =
  | { readonly state: 'mine'; readonly claim: Claim }
  | { readonly state: 'otherRequest' }
  | { readonly state: 'answered'; readonly reply: StoredReply }
  /** It took effect, and whoever did it died before the reply was stored. */
  | { readonly state: 'replyLost' }
  | { readonly state: 'inFlight'; readonly retryInMs: number };

/**
 * Claims the key for a request, in one statement: a new key, one older than a day, or one whose holder had no effect
 * and was not heard of for `LEASE_MS`.
 */
export async function claimKey(
  db: Queryable,
  args: KeyOf & { readonly fingerprint: string; readonly now: EpochMs },
): Promise<Claimed> {
  const attempt = randomUUID();
  const { rowCount } = await db.query(
    `INSERT INTO idempotency_key AS k (actor, key, fingerprint, attempt, claimed_at, created_at)
     VALUES ($1, $2, $3, $4, to_timestamp($5::float8 / 1000), to_timestamp($5::float8 / 1000))
     ON CONFLICT (actor, key) DO UPDATE
       SET fingerprint = excluded.fingerprint, attempt = excluded.attempt, claimed_at = excluded.claimed_at,
           created_at = excluded.created_at, committed = false, reply = NULL
     WHERE k.created_at <= excluded.created_at - $6 * interval '1 millisecond'
        OR (NOT k.committed AND k.reply IS NULL AND k.fingerprint = excluded.fingerprint
            AND k.claimed_at <= excluded.claimed_at - $7 * interval '1 millisecond')`,
    [args.actor, args.key, args.fingerprint, attempt, args.now, KEPT_MS, LEASE_MS],
  );
  if (rowCount === 1) return { state: 'mine', claim: { actor: args.actor, key: args.key, attempt } };
  const { rows } = await db.query<{
    fingerprint: string;
    committed: boolean;
    reply: StoredReply | null;
    claimedAt: Date;
  }>(
    'SELECT fingerprint, committed, reply, claimed_at AS "claimedAt" FROM idempotency_key WHERE actor = $1 AND key = $2',
    [args.actor, args.key],
  );
  const row = rows[0];
  // Its holder gave it back in between: the client may try at once.
  if (row === undefined) return { state: 'inFlight', retryInMs: 0 };
  if (row.fingerprint !== args.fingerprint) return { state: 'otherRequest' };
  if (row.reply !== null) return { state: 'answered', reply: row.reply };
  const retryInMs = Math.max(0, row.claimedAt.getTime() + LEASE_MS - args.now);
  // Between commit and stored reply lies a moment; only after the lease is it a crash.
  return row.committed && retryInMs === 0 ? { state: 'replyLost' } : { state: 'inFlight', retryInMs };
}

/**
 * In the transaction that has the effect: notes that it has it.
 * @returns false when another request took the claim over; then the effect must not be committed
 */
export async function markCommitted(client: PoolClient, claim: Claim): Promise<boolean> {
  const { rowCount } = await client.query(
    'UPDATE idempotency_key SET committed = true WHERE actor = $1 AND key = $2 AND attempt = $3',
    [claim.actor, claim.key, claim.attempt],
  );
  return rowCount === 1;
}

export async function storeReply(db: Queryable, claim: Claim, reply: StoredReply): Promise<void> {
  await db.query('UPDATE idempotency_key SET reply = $4 WHERE actor = $1 AND key = $2 AND attempt = $3', [
    claim.actor,
    claim.key,
    claim.attempt,
    JSON.stringify(reply),
  ]);
}

/** Gives a claim back that had no effect, so that the client may correct its request or try again at once. */
export async function releaseKey(db: Queryable, claim: Claim): Promise<void> {
  await db.query('DELETE FROM idempotency_key WHERE actor = $1 AND key = $2 AND attempt = $3 AND NOT committed', [
    claim.actor,
    claim.key,
    claim.attempt,
  ]);
}

/** Deletes some keys that are over; cheap enough to ride along with every few claims. @returns how many */
export async function sweepKeys(db: Queryable, now: EpochMs): Promise<number> {
  const { rowCount } = await db.query(
    `DELETE FROM idempotency_key WHERE (actor, key) IN
       (SELECT actor, key FROM idempotency_key WHERE created_at <= to_timestamp($1::float8 / 1000)
         ORDER BY created_at LIMIT 500 FOR UPDATE SKIP LOCKED)`,
    [now - KEPT_MS],
  );
  return rowCount ?? 0;
}
