import type { Pool, PoolClient } from 'pg';
import { type ChainedEntry, entryHash, GENESIS } from '../../domain/audit/chain.js';
import { inTransaction } from '../pool.js';

const SEALER_LOCK = 0x52_4d_61_75; // "RMau": one sealer at a time, whichever worker it runs in
/** PostgreSQL's own text of an instant, in UTC with microseconds: what the hash covers. */
export const AT_TEXT = `to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`;

/** SQL: there is something to seal. */
export const UNSEALED = 'EXISTS (SELECT FROM audit_entry WHERE sealed IS NULL)';

/** Seals up to `limit` committed entries into the chain. Returns how many; 0 also when another worker is at it. */
export async function sealAudit(pool: Pool, limit = 1_000): Promise<number> {
  return inTransaction(pool, async (client) => {
    const { rows } = await client.query('SELECT pg_try_advisory_xact_lock($1) AS got', [SEALER_LOCK]);
    return rows[0]?.got === true ? sealLocked(client, limit) : 0;
  });
}

async function sealLocked(client: PoolClient, limit: number): Promise<number> {
  const { rows } = await client.query(
    `SELECT id, ${AT_TEXT} AS at, actor, action, subject, detail FROM audit_entry WHERE sealed IS NULL ORDER BY id LIMIT $1`,
    [limit],
  );
  if (rows.length === 0) return 0;
  const { rows: head } = await client.query(
    'SELECT sealed, hash FROM audit_entry WHERE sealed IS NOT NULL ORDER BY sealed DESC LIMIT 1',
  );
  let sealed = Number(head[0]?.sealed ?? 0);
  let previousHash: string = head[0]?.hash ?? GENESIS;
  const ids: string[] = [];
  const places: number[] = [];
  const previous: string[] = [];
  const hashes: string[] = [];
  for (const row of rows) {
    sealed += 1;
    const entry: ChainedEntry = {
      sealed,
      at: row.at,
      actor: row.actor,
      action: row.action,
      subject: row.subject,
      detail: row.detail,
    };
    const hash = entryHash(entry, previousHash);
    ids.push(row.id);
    places.push(sealed);
    previous.push(previousHash);
    hashes.push(hash);
    previousHash = hash;
  }
  await client.query(
    `UPDATE audit_entry a SET sealed = s.sealed, previous_hash = s.previous, hash = s.hash
     FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[]) AS s (id, sealed, previous, hash)
     WHERE a.id = s.id`,
    [ids, places, previous, hashes],
  );
  return rows.length;
}
