/**
 * What makes a restored installation safe to start (docs/backup.md): hosts are ahead of it, so nothing is let out until a person
 * says so, every open order is asked about, and keys that hosts have seen since are not fallen behind.
 */
import { randomUUID } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type pg from 'pg';
import { appendAudit } from '../../db/audit/append.js';
import { haltAll } from '../../db/orders/stop.js';
import { enqueueCommand } from '../../db/outbox/enqueue.js';
import { PERMIT_VALID_MS } from '../../domain/order/permit.js';
import { KEY_SET_TYPE, signEnvelope, signingKeyFromPem } from '../../protocol/envelope.js';
import { changeWorkflowId } from '../../workflows/ids.js';
import { UpError } from '../up/errors.js';
import { keySetOf } from './revoked-keys.js';

/** Further than anybody rotates keys between two backups: agents refuse a set older than one they have seen. */
const KEY_SET_LEAP = 1_000;
const BY = 'restore';

/** In a transaction of its own, after the dump was loaded and migrated. @returns what a person should know, one line each */
export async function makeSafe(
  client: pg.PoolClient,
  args: {
    readonly backupId: string;
    readonly backupAt: number;
    readonly now: number;
    readonly keysDir: string;
    /** Keys that were revoked since the backup, by their whole ids. */
    readonly revoked: readonly string[];
  },
): Promise<readonly string[]> {
  const { now, backupId } = args;
  const reason = `restored from backup ${backupId}: resume once you have looked`;
  await dropCommands(client, now);
  const { changeIds } = await haltAll(client, { by: BY, reason, now });
  for (const changeId of changeIds) {
    const command = { commandId: randomUUID(), verb: 'pause', by: BY, reason } as const;
    await enqueueCommand(client, { workflowId: changeWorkflowId(changeId), command });
  }
  const orders = await markOrders(client, now);
  await client.query(`UPDATE endpoint SET wants_scan = true, next_poll_at = NULL WHERE state <> 'retired'`);
  // Temporal's schedules are as old as the rows; they are told again when a worker starts.
  await client.query('UPDATE schedule SET applied_version = 0 WHERE retired_at IS NULL');
  const keys = await reissueKeySet(client, args);
  await client.query(
    `INSERT INTO setting (key, value) VALUES ('restored', $1) ON CONFLICT (key) DO UPDATE SET value = excluded.value`,
    [JSON.stringify({ at: now, backup: backupId, backupAt: args.backupAt })],
  );
  await appendAudit(client, [
    {
      actor: BY,
      action: 'installation.restored',
      subject: 'installation',
      detail: {
        backup: backupId,
        backupAt: new Date(args.backupAt).toISOString(),
        halted: changeIds.length,
        orders,
        keysRevoked: args.revoked,
      },
    },
  ]);
  return [
    `${changeIds.length} open changes are halted; ${orders} orders are asked about at their endpoints' next poll.`,
    keys,
  ];
}

/** A person's word that had not arrived is not carried out later, when everything has changed: it must be said again. */
async function dropCommands(client: pg.PoolClient, now: number): Promise<void> {
  await client.query(
    `UPDATE outbox SET done_at = to_timestamp($1 / 1000.0), result = $2 WHERE done_at IS NULL AND topic IN ('command', 'replan')`,
    [
      now,
      JSON.stringify({
        kind: 'refused',
        reason: 'the installation was restored from a backup before this was carried out',
      }),
    ],
  );
}

/**
 * Whatever had not begun may hold a permit handed out after the backup: it is taken back only when its endpoint has been heard
 * after the last moment such a permit can have named. What was let out may have arrived.
 */
async function markOrders(client: pg.PoolClient, now: number): Promise<number> {
  const { rowCount } = await client.query(
    `UPDATE order_state SET restored_at = to_timestamp($1 / 1000.0),
            state = CASE WHEN state = 'released' THEN 'offered' ELSE state END,
            permit_until = CASE WHEN kind IN ('change', 'revert') AND state IN ('released', 'offered', 'accepted', 'staged')
                                THEN to_timestamp(($1 + $2::float8) / 1000.0) ELSE permit_until END
      WHERE phase <> 'done'`,
    [now, PERMIT_VALID_MS],
  );
  // Permits of the time before are void either way.
  await client.query('DELETE FROM order_permit');
  return rowCount ?? 0;
}

/** The same keys, less those that were revoked since, under a number no agent can have seen. Needs the root key. */
async function reissueKeySet(
  client: pg.PoolClient,
  args: { readonly now: number; readonly keysDir: string; readonly revoked: readonly string[] },
): Promise<string> {
  const { rows } = await client.query<{ version: number; envelope: { payload: string } }>(
    'SELECT version, envelope FROM key_set ORDER BY version DESC LIMIT 1',
  );
  const newest = rows[0];
  if (newest === undefined) return 'There was no key set yet.';
  const rootFile = join(args.keysDir, 'root.pem');
  if (!existsSync(rootFile)) {
    if (args.revoked.length > 0) throw noRootToRevoke(rootFile);
    return `The root key is not at ${rootFile}: if keys were rotated after the backup, agents trust only a newer key set; sign one above version ${newest.version} with it.`;
  }
  const root = signingKeyFromPem(readFileSync(rootFile, 'utf8'));
  const document = keySetOf(newest.envelope);
  const keys = document.keys.map((key) => (args.revoked.includes(key.keyid) ? { ...key, revoked: true } : key));
  const next = { ...document, keys, version: newest.version + KEY_SET_LEAP, issuedAt: args.now };
  await client.query('INSERT INTO key_set (version, envelope) VALUES ($1, $2)', [
    next.version,
    JSON.stringify(signEnvelope({ type: KEY_SET_TYPE, document: next, key: root })),
  ]);
  const without = args.revoked.length === 0 ? '' : `; revoked in it: ${args.revoked.join(', ')}`;
  return `The key set was signed again as version ${next.version}${without}.`;
}

/** Only the root signs a key set, and only a key set revokes. */
export const noRootToRevoke = (rootFile: string): UpError =>
  new UpError('a key can be revoked only with the root key', [`Put it at ${rootFile} for the time of the restore.`]);
