/** The first administrator, so that somebody can make the second. */
import { randomUUID } from 'node:crypto';
import type { Pool } from 'pg';
import type { EpochMs } from '../../domain/time.js';
import { appendAudit } from '../audit/append.js';
import { inTransaction } from '../pool.js';
import { hashToken } from './people.js';

const EMAIL = 'administrator@localhost';
const TOKEN_NAME = 'bootstrap';

/**
 * Makes the token given the one bootstrap token, of an account with the role Administrator. Idempotent: the same token
 * again changes nothing, another one revokes the one before it. Safe when several replicas start at once.
 */
export async function ensureBootstrapToken(pool: Pool, args: { token: string; now: EpochMs }): Promise<void> {
  const tokenHash = hashToken(args.token);
  await inTransaction(pool, async (client) => {
    await client.query(
      `INSERT INTO account (id, name, email) VALUES ($1, 'Administrator', $2) ON CONFLICT (email) DO NOTHING`,
      [randomUUID(), EMAIL],
    );
    // The row lock makes replicas take turns.
    const { rows } = await client.query<{ id: string }>('SELECT id FROM account WHERE email = $1 FOR UPDATE', [EMAIL]);
    const accountId = rows[0]?.id;
    if (accountId === undefined) throw new Error('the first administrator’s account vanished');
    await client.query(
      `INSERT INTO role_grant (account_id, role) VALUES ($1, 'Administrator') ON CONFLICT DO NOTHING`,
      [accountId],
    );
    const current = await client.query(
      'SELECT FROM api_token WHERE token_hash = $1 AND revoked_at IS NULL AND account_id = $2',
      [tokenHash, accountId],
    );
    if (current.rowCount === 1) return;
    await client.query(
      `UPDATE api_token SET revoked_at = to_timestamp($3 / 1000.0)
        WHERE name = $1 AND account_id = $2 AND revoked_at IS NULL`,
      [TOKEN_NAME, accountId, args.now],
    );
    await client.query(
      `INSERT INTO api_token (id, token_hash, name, account_id, role) VALUES ($1, $2, $3, $4, 'Administrator')
       ON CONFLICT (token_hash) DO UPDATE SET revoked_at = NULL, account_id = excluded.account_id, role = excluded.role`,
      [randomUUID(), tokenHash, TOKEN_NAME, accountId],
    );
    await appendAudit(client, [{ actor: 'api', action: 'token.bootstrapped', subject: `account/${accountId}` }]);
  });
}
