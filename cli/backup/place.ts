/** The installation a backup is of, or goes to: where its parts are, and its database, started for the occasion if it must be. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { DATABASE, keepPasswords, urlsOf } from '../up/database-roles.js';
import { UpError } from '../up/errors.js';
import { tryHostLock } from '../up/host-lock.js';
import { readLivePidFile } from '../up/pid-file.js';
import { type DataFolders, makeDataFolders, type UpSettings } from '../up/settings.js';
import { createStack } from '../up/stack.js';
import { startDatabase } from '../up/start-database.js';

export interface Place {
  readonly settings: UpSettings;
  readonly folders: DataFolders;
  /** Content store. */
  readonly contentDir: string;
  /** The worker's keys. */
  readonly keysDir: string;
  /** Temporal's file, when it is ours to keep; null: `TEMPORAL_ADDRESS` says whose. */
  readonly temporalFile: string | null;
}

export function placeOf(settings: UpSettings, env: NodeJS.ProcessEnv): Place {
  const folders = makeDataFolders(settings.dataDir);
  const given = env.RINGMASTER_KEYS_DIR;
  return {
    settings,
    folders,
    contentDir: join(folders.data, 'content'),
    keysDir: given === undefined || given === '' ? folders.workerKeys : given,
    temporalFile: settings.temporalAddress === undefined ? join(folders.data, 'temporal.db') : null,
  };
}

/** The process of the installation's own Temporal; undefined when it does not run. */
export function temporalPid(place: Place): number | undefined {
  return place.temporalFile === null ? undefined : readLivePidFile(place.folders.pids, 'temporal')?.identity.pid;
}

/**
 * Runs `work` with the URL of the database's owner. The installation's own server is used as it runs, or started for as long as
 * this takes; then nothing else can start the installation meanwhile.
 * @param options.idle the installation must not run at all
 */
export async function withDatabase<T>(
  place: Place,
  options: { readonly idle: boolean; readonly say: (line: string) => void },
  work: (ownerUrl: string) => Promise<T>,
): Promise<T> {
  const { settings, folders } = place;
  const lock = await tryHostLock(`up ${folders.data}`, `ringmaster backup, process ${process.pid}`);
  if ('heldBy' in lock) {
    if (options.idle)
      throw new UpError(`the installation in ${folders.data} is running: ${lock.heldBy}`, ['Stop it first.']);
    return work(settings.databaseUrl ?? runningUrl(place));
  }
  const stack = createStack(folders.pids, () => undefined);
  try {
    if (settings.databaseUrl !== undefined) return await work(settings.databaseUrl);
    if (!options.idle && !existsSync(join(folders.data, 'postgres')))
      throw new UpError(`there is no installation in ${folders.data}`, ['RINGMASTER_DATA says where it is.']);
    const urls = await startDatabase({ settings, folders, stack, say: options.say });
    return await work(urls.owner);
  } finally {
    await stack.stop();
    lock.held.release();
  }
}

function runningUrl({ settings, folders }: Place): string {
  const base = `postgresql://127.0.0.1:${settings.ports.postgres}`;
  return urlsOf({ base, database: DATABASE, passwords: keepPasswords(folders.keys) }).owner;
}
