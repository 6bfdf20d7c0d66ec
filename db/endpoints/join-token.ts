/** Join tokens: a secret that lets a machine enrol, a few times and for a short while. */
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import type { PoolClient } from 'pg';
import type { EpochMs } from '../../domain/time.js';
import type { Queryable } from '../pool.js';
import { readSetting } from '../setting.js';

export interface JoinTokenRequest {
  readonly labels: Readonly<Record<string, string>>;
  /** Endpoints that enrol with it may be scanned, never changed. */
  readonly scanOnly: boolean;
  readonly uses: number;
  readonly expiresAt: EpochMs;
  readonly createdBy: string;
}

/** The worker has not published the root key yet, so a token could not say whom to trust. */
export class RootKeyUnknownError extends Error {
  override readonly name = 'RootKeyUnknownError';
}

export function hashJoinSecret(secret: string): string {
  return createHash('sha256').update(secret, 'utf8').digest('hex');
}

/**
 * Makes a join token. Its text is `<secret>.<fingerprint of the root key>`: the machine sends only the secret, and trusts
 * only a server whose key set that root signed. Only the secret's hash is stored.
 * @throws RootKeyUnknownError before the worker's first start
 */
export async function createJoinToken(
  db: Queryable,
  request: JoinTokenRequest,
): Promise<{ id: string; token: string }> {
  const fingerprint = await readSetting(db, 'rootFingerprint');
  if (typeof fingerprint !== 'string') throw new RootKeyUnknownError('the worker has not published its root key yet');
  const id = randomUUID();
  // Begins with a letter: as a word of its own on a command line, one that begins with a dash would be an option.
  const secret = `rmj_${randomBytes(24).toString('base64url')}`;
  await db.query(
    `INSERT INTO join_token (id, token_hash, labels, scan_only, uses_left, expires_at, created_by)
     VALUES ($1, $2, $3, $4, $5, to_timestamp($6 / 1000.0), $7)`,
    [
      id,
      hashJoinSecret(secret),
      JSON.stringify(request.labels),
      request.scanOnly,
      request.uses,
      request.expiresAt,
      request.createdBy,
    ],
  );
  return { id, token: `${secret}.${fingerprint}` };
}

export type TokenUse =
  | {
      readonly ok: true;
      readonly id: string;
      readonly labels: Readonly<Record<string, string>>;
      readonly scanOnly: boolean;
    }
  | { readonly ok: false; readonly reason: string };

/** Takes one use off the token, in the caller's transaction: a use is spent only if the enrolment commits. */
export async function useJoinToken(client: PoolClient, secret: string, now: EpochMs): Promise<TokenUse> {
  const hash = hashJoinSecret(secret);
  const taken = await client.query<{ id: string; labels: Record<string, string>; scan_only: boolean }>(
    `UPDATE join_token SET uses_left = uses_left - 1
      WHERE token_hash = $1 AND uses_left > 0 AND expires_at > to_timestamp($2 / 1000.0)
      RETURNING id, labels, scan_only`,
    [hash, now],
  );
  const row = taken.rows[0];
  if (row !== undefined) return { ok: true, id: row.id, labels: row.labels, scanOnly: row.scan_only };
  const known = await client.query<{ used_up: boolean }>(
    'SELECT uses_left = 0 AS used_up FROM join_token WHERE token_hash = $1',
    [hash],
  );
  if (known.rows[0] === undefined) return { ok: false, reason: 'the join token is unknown' };
  return { ok: false, reason: known.rows[0].used_up ? 'the join token is used up' : 'the join token has expired' };
}
