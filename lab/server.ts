// The Ringmaster that `npm start` runs from this checkout, seen from the lab: root on the same machine may ask its database.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { databaseUrlOf } from '../cli/up/database-url.js';
import { readLivePidFile } from '../cli/up/pid-file.js';
import { probeHttp } from '../cli/up/probes.js';
import { readSettings, type UpSettings } from '../cli/up/settings.js';
import { appendAudit } from '../db/audit/append.js';
import { createJoinToken } from '../db/endpoints/join-token.js';
import { createPool, inTransaction } from '../db/pool.js';
import { HOUR } from '../domain/time.js';
import { checkoutRoot } from './base.js';
import type { Target } from './forward.js';

export type LocalServer = {
  /** As people on this machine reach it. */
  url: string;
  target: Target;
  settings: UpSettings;
};

/** The server with its data where this environment says (RINGMASTER_DATA, RINGMASTER_PORT), or why there is none to use. */
export async function findServer(): Promise<{ server: LocalServer } | { absent: string }> {
  const root = checkoutRoot();
  const settings = readSettings({ env: process.env, root, programsDir: join(root, 'dist') });
  const pids = join(settings.dataDir, 'pids');
  const api = existsSync(pids) ? readLivePidFile(pids, 'api') : undefined;
  if (api === undefined) return { absent: 'no Ringmaster of this checkout runs' };
  const host = ['0.0.0.0', '::'].includes(settings.host) ? '127.0.0.1' : settings.host;
  const url = `http://${host}:${settings.ports.http}`;
  const reason = await probeHttp(`${url}/readyz`);
  if (reason !== undefined) return { absent: `Ringmaster (process ${api.identity.pid}) is not ready: ${reason}` };
  return { server: { url, target: { host, port: settings.ports.http }, settings } };
}

/**
 * A join token for the lab's hosts, good for an hour. @throws RootKeyUnknownError before the worker's first start; the
 * database's error when it can't be reached
 */
export async function makeJoinToken(
  server: LocalServer,
  wanted: { uses: number; labels: Readonly<Record<string, string>> },
): Promise<string> {
  const url = databaseUrlOf(server.settings, 'api');
  const pool = createPool({ url, applicationName: 'ringmaster lab', max: 1 });
  try {
    return await inTransaction(pool, async (client) => {
      const request = { ...wanted, scanOnly: false, expiresAt: Date.now() + HOUR };
      const { id, token } = await createJoinToken(client, { ...request, createdBy: 'lab' });
      await appendAudit(client, [
        { actor: 'lab', action: 'joinToken.created', subject: `joinToken/${id}`, detail: request },
      ]);
      return token;
    });
  } finally {
    await pool.end();
  }
}
