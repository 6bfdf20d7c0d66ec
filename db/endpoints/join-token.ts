/** Join tokens: a secret that lets a machine enrol, a few times and for a short while. */
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import type { PoolClient } from 'pg';
import type { EpochMs } from '../../domain/time.js';
import type { Queryable } from '../pool.js';
import { type Page, pageOf } from '../read/cursor.js';
import { readSetting } from '../setting.js';
import type { EndpointState } from './identity.js';

export interface JoinTokenRequest {
  readonly labels: Readonly<Record<string, string>>;
  /** Endpoints that enrol with it may be scanned, never changed. */
  readonly scanOnly: boolean;
  readonly uses: number;
  readonly expiresAt: EpochMs;
  readonly createdBy: string;
  /** The endpoint whoever uses it takes over, in the state it must still be in; null: it becomes a new one. */
  readonly endpoint?: { readonly id: string; readonly state: EndpointState } | undefined;
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
    `INSERT INTO join_token (id, token_hash, labels, scan_only, uses_left, expires_at, created_by, endpoint_id, endpoint_state)
     VALUES ($1, $2, $3, $4, $5, to_timestamp($6 / 1000.0), $7, $8, $9)`,
    [
      id,
      hashJoinSecret(secret),
      JSON.stringify(request.labels),
      request.scanOnly,
      request.uses,
      request.expiresAt,
      request.createdBy,
      request.endpoint?.id ?? null,
      request.endpoint?.state ?? null,
    ],
  );
  return { id, token: `${secret}.${fingerprint}` };
}

/** A token as lists show it: what it is for, never what it is. */
export interface JoinTokenRow {
  readonly id: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly scanOnly: boolean;
  readonly usesLeft: number;
  readonly endpointId: string | null;
  readonly createdBy: string;
  readonly createdAt: Date;
  readonly expiresAt: Date;
  readonly revokedAt: Date | null;
}

/** Join tokens, newest first. */
export async function listJoinTokens(
  db: Queryable,
  args: {
    readonly usable: boolean | null;
    readonly now: EpochMs;
    readonly after: readonly [number, string] | null;
    readonly limit: number;
  },
): Promise<Page<JoinTokenRow>> {
  const { rows } = await db.query<JoinTokenRow & { micros: number }>(
    `SELECT id, labels, scan_only AS "scanOnly", uses_left AS "usesLeft", endpoint_id AS "endpointId", created_by AS "createdBy",
            created_at AS "createdAt", expires_at AS "expiresAt", revoked_at AS "revokedAt",
            (extract(epoch FROM created_at) * 1000000)::bigint AS micros
       FROM join_token
      WHERE ($1::boolean IS NULL
             OR (uses_left > 0 AND revoked_at IS NULL AND expires_at > to_timestamp($2::float8 / 1000.0)) = $1)
        AND ($3::bigint IS NULL OR ((extract(epoch FROM created_at) * 1000000)::bigint, id) < ($3, $4::uuid))
      ORDER BY (extract(epoch FROM created_at) * 1000000)::bigint DESC, id DESC LIMIT $5`,
    [args.usable, args.now, args.after?.[0] ?? null, args.after?.[1] ?? null, args.limit + 1],
  );
  const page = pageOf(rows, args.limit, (row) => [row.micros, row.id]);
  return { next: page.next, items: page.items.map(({ micros: _, ...row }) => row) };
}

/** @returns false when there is no such token; one that was revoked before stays so */
export async function revokeJoinToken(client: PoolClient, id: string, now: EpochMs): Promise<boolean> {
  const { rowCount } = await client.query(
    'UPDATE join_token SET revoked_at = coalesce(revoked_at, to_timestamp($2 / 1000.0)) WHERE id = $1',
    [id, now],
  );
  return rowCount === 1;
}

export type TokenUse =
  | {
      readonly ok: true;
      readonly id: string;
      readonly labels: Readonly<Record<string, string>>;
      readonly scanOnly: boolean;
      readonly endpoint: { readonly id: string; readonly state: EndpointState } | null;
    }
  | { readonly ok: false; readonly reason: string };

/** Takes one use off the token, in the caller's transaction: a use is spent only if the enrolment commits. */
export async function useJoinToken(client: PoolClient, secret: string, now: EpochMs): Promise<TokenUse> {
  const hash = hashJoinSecret(secret);
  const taken = await client.query<{
    id: string;
    labels: Record<string, string>;
    scan_only: boolean;
    endpoint_id: string | null;
    endpoint_state: EndpointState | null;
  }>(
    `UPDATE join_token SET uses_left = uses_left - 1
      WHERE token_hash = $1 AND uses_left > 0 AND revoked_at IS NULL AND expires_at > to_timestamp($2 / 1000.0)
      RETURNING id, labels, scan_only, endpoint_id, endpoint_state`,
    [hash, now],
  );
  const row = taken.rows[0];
  if (row !== undefined) {
    const { endpoint_id: endpointId, endpoint_state: state } = row;
    const endpoint = endpointId === null || state === null ? null : { id: endpointId, state };
    return { ok: true, id: row.id, labels: row.labels, scanOnly: row.scan_only, endpoint };
  }
  const known = await client.query<{ used_up: boolean; revoked: boolean }>(
    'SELECT uses_left = 0 AS used_up, revoked_at IS NOT NULL AS revoked FROM join_token WHERE token_hash = $1',
    [hash],
  );
  const [token] = known.rows;
  if (token === undefined) return { ok: false, reason: 'the join token is unknown' };
  if (token.revoked) return { ok: false, reason: 'the join token has been revoked' };
  return { ok: false, reason: token.used_up ? 'the join token is used up' : 'the join token has expired' };
}
