import { join } from 'node:path';
import { adoptDatabase, type DatabaseUrls, keepPasswords, prepareDatabase } from './database-roles.js';
import { clearStalePostgres, preparePostgres, probePostgres } from './postgres.js';
import { checkPortsFree } from './probes.js';
import type { DataFolders, UpSettings } from './settings.js';
import type { Stack } from './stack.js';

/** The database of an installation: the operator's own, or ours, started (or taken over) and with its roles in place. */
export async function startDatabase({
  settings,
  folders,
  stack,
  say,
}: Readonly<{
  settings: UpSettings;
  folders: DataFolders;
  stack: Stack;
  say: (line: string) => void;
}>): Promise<DatabaseUrls> {
  if (settings.databaseUrl !== undefined) {
    return adoptDatabase({
      databaseUrl: settings.databaseUrl,
      apiUrl: settings.apiDatabaseUrl,
      workerUrl: settings.workerDatabaseUrl,
      keysDir: folders.keys,
    });
  }
  const passwords = keepPasswords(folders.keys);
  const port = settings.ports.postgres;
  const cluster = await preparePostgres({
    dataDir: folders.data,
    cacheDir: settings.cacheDir,
    port,
    logFile: join(folders.logs, 'postgres.log'),
    superuserPassword: passwords.superuser,
    durable: true,
  });
  await stack.start({
    spec: cluster.spec,
    probe: () => probePostgres(cluster.superuserUrl),
    // Recovery after a crash reads what was written since the last checkpoint, which can be much.
    timeoutMs: 120_000,
    server: true,
    beforeStart: async () => {
      await clearStalePostgres(cluster.place);
      await checkPortsFree([{ host: '127.0.0.1', port, use: 'PostgreSQL' }]);
    },
  });
  if (cluster.place.prefix.length > 0) say('PostgreSQL runs inside a user namespace (see docs/embedded.md)');
  return prepareDatabase(cluster.superuserUrl, passwords);
}
