/** Endpoints by their keys: enrolment, lookup, quarantine. */
import { randomUUID } from 'node:crypto';
import type { PoolClient } from 'pg';
import type { EpochMs } from '../../domain/time.js';
import { appendAudit } from '../audit/append.js';
import type { Queryable } from '../pool.js';

export type EndpointState = 'active' | 'quarantined' | 'retired';

export interface EndpointKey {
  readonly endpointId: string;
  /** Raw 32 bytes, base64url. */
  readonly publicKey: string;
}

/** The endpoint a signature's `keyid` names: the endpoint's id once it is enrolled, or the SHA-256 of its key. */
export async function findByKeyId(db: Queryable, keyid: string): Promise<EndpointKey | null> {
  const isKey = /^[0-9a-f]{64}$/.test(keyid);
  if (!isKey && !/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(keyid)) return null;
  const { rows } = await db.query<EndpointKey>(
    `SELECT id AS "endpointId", public_key AS "publicKey" FROM endpoint WHERE ${isKey ? 'key_id = $1' : 'id = $1::uuid'}`,
    [keyid],
  );
  return rows[0] ?? null;
}

export interface EnrolledEndpoint {
  readonly id: string;
  readonly state: EndpointState;
  readonly machineId: string | null;
}

export async function findByPublicKey(db: Queryable, publicKey: string): Promise<EnrolledEndpoint | null> {
  const { rows } = await db.query<EnrolledEndpoint>(
    'SELECT id, state, machine_id AS "machineId" FROM endpoint WHERE public_key = $1',
    [publicKey],
  );
  return rows[0] ?? null;
}

/** Other endpoints, not retired, that claim to be this machine. */
export async function endpointsOfMachine(
  db: Queryable,
  args: { readonly machineId: string; readonly except: string },
): Promise<string[]> {
  const { rows } = await db.query<{ id: string }>(
    `SELECT id FROM endpoint WHERE machine_id = $1 AND id <> $2 AND state <> 'retired' ORDER BY enrolled_at DESC LIMIT 20`,
    [args.machineId, args.except],
  );
  return rows.map((row) => row.id);
}

export interface NewEndpoint {
  readonly publicKey: string;
  readonly keyId: string;
  readonly name: string;
  readonly machineId: string;
  readonly zone: string;
  readonly scanOnly: boolean;
  readonly simulated: boolean;
  readonly labels: Readonly<Record<string, string>>;
  readonly facts: Readonly<Record<string, unknown>>;
  readonly now: EpochMs;
}

/** @returns its id; null when the same key was enrolled at the same moment by another request. */
export async function insertEndpoint(client: PoolClient, endpoint: NewEndpoint): Promise<string | null> {
  const id = randomUUID();
  const { rowCount } = await client.query(
    `INSERT INTO endpoint (id, name, public_key, key_id, machine_id, zone, scan_only, simulated, labels, facts, enrolled_at,
                           last_seen, wants_scan)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, to_timestamp($11 / 1000.0), to_timestamp($11 / 1000.0), true)
     ON CONFLICT (public_key) DO NOTHING`,
    [
      id,
      endpoint.name,
      endpoint.publicKey,
      endpoint.keyId,
      endpoint.machineId,
      endpoint.zone,
      endpoint.scanOnly,
      endpoint.simulated,
      JSON.stringify(endpoint.labels),
      JSON.stringify(endpoint.facts),
      endpoint.now,
    ],
  );
  return rowCount === 1 ? id : null;
}

/**
 * Takes an active endpoint out of everything until a person has looked: it gets no orders. In the caller's transaction.
 * @returns false when it was not active
 */
export async function quarantine(client: PoolClient, args: { endpointId: string; reason: string }): Promise<boolean> {
  const { rowCount } = await client.query(
    `UPDATE endpoint SET state = 'quarantined', state_reason = $2 WHERE id = $1 AND state = 'active'`,
    [args.endpointId, args.reason],
  );
  if (rowCount === 0) return false;
  await appendAudit(client, [
    {
      actor: `endpoint/${args.endpointId}`,
      action: 'endpoint.quarantined',
      subject: `endpoint/${args.endpointId}`,
      detail: { reason: args.reason },
    },
  ]);
  return true;
}

/**
 * Lets a quarantined endpoint back in: a person has looked. What its identity was compared with is forgotten, so that the
 * machine that stays begins anew. @returns false when it was not quarantined
 */
export async function readmit(client: PoolClient, endpointId: string): Promise<boolean> {
  const { rowCount } = await client.query(
    `UPDATE endpoint SET state = 'active', state_reason = NULL, last_journal_seq = 0, last_signed_at = NULL, boot_id = NULL,
            earlier_boot_ids = '{}', wants_scan = true
      WHERE id = $1 AND state = 'quarantined'`,
    [endpointId],
  );
  return rowCount === 1;
}
