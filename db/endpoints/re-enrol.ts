/** A machine that takes over an endpoint: another key, the same row, and with it all that is known and decided of it. */
import type { PoolClient } from 'pg';
import type { EpochMs } from '../../domain/time.js';
import { appendAudit } from '../audit/append.js';
import { endOpenOrders } from '../orders/withdraw.js';
import type { EndpointState } from './identity.js';

export interface Takeover {
  readonly endpointId: string;
  /** The state it was in when somebody allowed this; in any other that person's word is void. */
  readonly expectedState: EndpointState;
  readonly tokenId: string;
  readonly publicKey: string;
  readonly keyId: string;
  readonly machineId: string;
  readonly name: string;
  readonly scanOnly: boolean;
  readonly simulated: boolean;
  readonly facts: Readonly<Record<string, unknown>>;
  readonly now: EpochMs;
}

export type TakeoverResult =
  | { readonly ok: true; readonly openChangeIds: readonly string[] }
  | { readonly ok: false; readonly reason: string };

/**
 * Gives the endpoint its new identity and ends what it still had open, as for a retired one: the machine that was to do it is
 * gone. What scans found of the machine before is forgotten, so nothing is planned from it; labels, zone, stakeholders, survey,
 * hold and history stay, and so does "scan only". In the caller's transaction, in which the token was used.
 *
 * @returns open changes that still plan something for it: each must be told to leave it out
 */
export async function takeOverEndpoint(client: PoolClient, take: Takeover): Promise<TakeoverResult> {
  const { endpointId, now } = take;
  const by = `endpoint/${endpointId}`;
  const before = await endOpenOrders(client, {
    endpointId,
    by,
    reason: 'another machine has taken the endpoint over',
    now,
    beforeOrders: async () => {
      const { rows } = await client.query<{ state: EndpointState; simulated: boolean; machine_id: string | null }>(
        'SELECT state, simulated, machine_id FROM endpoint WHERE id = $1 FOR NO KEY UPDATE',
        [endpointId],
      );
      return rows[0];
    },
  });
  if (before === undefined) return { ok: false, reason: 'its endpoint is gone' };
  if (before.state !== take.expectedState) {
    return { ok: false, reason: `its endpoint was ${take.expectedState} when it was made, and is ${before.state} now` };
  }
  if (before.simulated !== take.simulated) {
    return { ok: false, reason: 'a simulated machine can’t take the place of a real one, nor the other way round' };
  }
  await client.query(
    `UPDATE endpoint SET public_key = $2, key_id = $3, machine_id = $4, name = $5, scan_only = scan_only OR $6, facts = $7,
            state = 'active', state_reason = NULL, local_limits = '{}', observations = '{}', boot_id = NULL,
            earlier_boot_ids = '{}', last_signed_at = NULL, last_journal_seq = 0, clock_skew_ms = 0, wants_scan = true,
            last_seen = to_timestamp($8 / 1000.0), identity_since = to_timestamp($8 / 1000.0)
      WHERE id = $1`,
    [endpointId, take.publicKey, take.keyId, take.machineId, take.name, take.scanOnly, JSON.stringify(take.facts), now],
  );
  for (const table of ['installed_package', 'available_update', 'endpoint_service']) {
    await client.query(`DELETE FROM ${table} WHERE endpoint_id = $1`, [endpointId]);
  }
  await appendAudit(client, [
    {
      actor: by,
      action: 'endpoint.reEnrolled',
      subject: by,
      detail: {
        joinToken: take.tokenId,
        name: take.name,
        keyId: take.keyId,
        machineId: take.machineId,
        machineIdBefore: before.machine_id,
        stateBefore: before.state,
      },
    },
  ]);
  const { rows: open } = await client.query<{ change_id: string }>(
    `SELECT p.change_id FROM plan_endpoint p JOIN change c ON c.id = p.change_id
      WHERE p.endpoint_id = $1 AND c.closed_at IS NULL AND p.ring IS NOT NULL AND p.skipped_by IS NULL ORDER BY 1`,
    [endpointId],
  );
  return { ok: true, openChangeIds: open.map((row) => row.change_id) };
}
