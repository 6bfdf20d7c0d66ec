import type { Pool } from 'pg';
import { type ChainCheck, checkNext, startCheck } from '../../domain/audit/chain.js';
import { AT_TEXT } from './seal.js';

export interface AuditVerdict {
  readonly check: ChainCheck;
  /** Entries committed but not yet in the chain; a running worker seals them within seconds. */
  readonly unsealed: number;
}

/** Walks the whole chain in pages and names the first entry that does not hold. */
export async function verifyAudit(pool: Pool, pageSize = 5_000): Promise<AuditVerdict> {
  let check = startCheck();
  let after = 0;
  for (;;) {
    const { rows } = await pool.query(
      `SELECT sealed, ${AT_TEXT} AS at, actor, action, subject, detail, previous_hash, hash
       FROM audit_entry WHERE sealed > $1 ORDER BY sealed LIMIT $2`,
      [after, pageSize],
    );
    for (const row of rows) {
      check = checkNext(check, { ...row, sealed: Number(row.sealed), previousHash: row.previous_hash });
    }
    const last = rows.at(-1);
    if (last === undefined || !check.ok) break;
    after = Number(last.sealed);
  }
  const { rows } = await pool.query('SELECT count(*)::int AS n FROM audit_entry WHERE sealed IS NULL');
  return { check, unsealed: rows[0].n };
}
