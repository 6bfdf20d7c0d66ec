import type { Pool } from 'pg';
import { BEFORE_APPLY } from '../../domain/order/index.js';
import type { EpochMs } from '../../domain/time.js';
import { appendAudit } from '../audit/append.js';
import { inTransaction } from '../pool.js';
import { quoted } from './move-set.js';
import { writeEnvelopes } from './release.js';
import { wakeWithinHours } from './rows.js';
import type { DocumentsFor, OrderSigner } from './types.js';

/**
 * Signs orders anew that are out, have not begun, and carry the signature of a key that is believed no more (it was revoked, or
 * has ended): an endpoint that has not taken one in yet would never do so. Their documents are made again from frozen rows, never
 * from the old envelope, which whoever holds a revoked key could have written. Permits by such keys go; the pump makes new ones.
 *
 * @param args.believed ids of the keys that count now
 * @returns how many orders were looked at, at most `limit`
 */
export async function resignOrders(
  pool: Pool,
  args: {
    readonly believed: readonly string[];
    readonly signer: OrderSigner;
    readonly documentsFor: DocumentsFor;
    readonly now: EpochMs;
    readonly limit: number;
  },
): Promise<number> {
  return inTransaction(pool, async (client) => {
    // What others hold is left for the next time: nothing here waits, so nothing can deadlock.
    await client.query(
      `DELETE FROM order_permit WHERE order_id IN (
         SELECT p.order_id FROM order_permit p JOIN order_state o ON o.id = p.order_id
          WHERE o.phase = 'holding' AND p.envelope->'signatures'->0->>'keyid' <> ALL ($1::text[])
          LIMIT $2 FOR UPDATE OF p SKIP LOCKED)`,
      [args.believed, args.limit],
    );
    const { rows } = await client.query<{ id: string; endpoint_id: string }>(
      `SELECT o.id, o.endpoint_id FROM order_envelope v JOIN order_state o ON o.id = v.order_id
        WHERE o.phase = 'holding' AND o.state IN (${quoted(BEFORE_APPLY)})
          AND v.envelope->'signatures'->0->>'keyid' <> ALL ($1::text[])
        LIMIT $2 FOR UPDATE OF v SKIP LOCKED`,
      [args.believed, args.limit],
    );
    if (rows.length === 0) return 0;
    const documents = await args.documentsFor(
      client,
      rows.map((row) => row.id),
      args.now,
    );
    await writeEnvelopes(client, { signer: args.signer, documents: [...documents.values()], now: args.now });
    await appendAudit(client, [
      { actor: 'worker', action: 'orders.signedAnew', subject: 'keys', detail: { orders: [...documents.keys()] } },
    ]);
    await wakeWithinHours(
      client,
      rows.map((row) => row.endpoint_id),
    );
    return rows.length;
  });
}
