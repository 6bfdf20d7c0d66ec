import { chmodSync, mkdirSync, realpathSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { UpError } from './errors.js';

/** Everything `up` is told from outside, checked. Paths are absolute. */
export type UpSettings = Readonly<{
  /** Holds worker/main.js, api/main.js and agent-bundle/ringmaster-agent.mjs. */
  programsDir: string;
  dataDir: string;
  cacheDir: string;
  host: string;
  ports: Readonly<{ http: number; postgres: number; temporal: number; temporalUi: number; workerMetrics: number }>;
  databaseUrl: string | undefined;
  apiDatabaseUrl: string | undefined;
  workerDatabaseUrl: string | undefined;
  temporalAddress: string | undefined;
  temporalNamespace: string;
  bootstrapToken: string | undefined;
}>;

export const DEFAULT_PORT = 8420;
/** PostgreSQL, Temporal, its UI and the worker's metrics follow the HTTP port, in this order. */
export const PORTS_IN_A_ROW = 5;

/**
 * @param options.env the process's environment. `root`: the checkout. `programsDir`: the built programs.
 * @throws UpError naming the variable that can't be understood.
 */
export function readSettings(
  options: Readonly<{ env: NodeJS.ProcessEnv; root: string; programsDir: string }>,
): UpSettings {
  const { env } = options;
  const text = (name: string) => (env[name] === undefined || env[name] === '' ? undefined : env[name]);
  const portText = text('RINGMASTER_PORT') ?? `${DEFAULT_PORT}`;
  const http = Number(portText);
  if (!/^\d+$/.test(portText) || http < 1 || http > 65_535 - PORTS_IN_A_ROW + 1) {
    throw new UpError(
      `RINGMASTER_PORT must be a port number from 1 to ${65_535 - PORTS_IN_A_ROW + 1}, not "${portText}"`,
    );
  }
  for (const name of ['DATABASE_URL', 'RINGMASTER_API_DATABASE_URL', 'RINGMASTER_WORKER_DATABASE_URL']) {
    const url = text(name);
    if (url !== undefined && !(URL.canParse(url) && /^postgres(ql)?:$/.test(new URL(url).protocol))) {
      throw new UpError(`${name} must look like postgresql://role:password@host:5432/database`);
    }
  }
  const temporalAddress = text('TEMPORAL_ADDRESS');
  if (temporalAddress !== undefined && !/^[^\s/]+:\d+$/.test(temporalAddress)) {
    throw new UpError(`TEMPORAL_ADDRESS must look like host:7233, not "${temporalAddress}"`);
  }
  return {
    programsDir: resolve(text('RINGMASTER_PROGRAMS_DIR') ?? options.programsDir),
    dataDir: resolve(text('RINGMASTER_DATA') ?? join(options.root, '.ringmaster')),
    cacheDir: resolve(
      text('RINGMASTER_CACHE') ?? join(text('XDG_CACHE_HOME') ?? join(homedir(), '.cache'), 'ringmaster'),
    ),
    host: text('RINGMASTER_HOST') ?? '127.0.0.1',
    ports: { http, postgres: http + 1, temporal: http + 2, temporalUi: http + 3, workerMetrics: http + 4 },
    databaseUrl: text('DATABASE_URL'),
    apiDatabaseUrl: text('RINGMASTER_API_DATABASE_URL'),
    workerDatabaseUrl: text('RINGMASTER_WORKER_DATABASE_URL'),
    temporalAddress,
    temporalNamespace: text('TEMPORAL_NAMESPACE') ?? 'default',
    bootstrapToken: text('RINGMASTER_BOOTSTRAP_TOKEN'),
  };
}

/** The folders of one installation. */
export type DataFolders = Readonly<{
  data: string;
  keys: string;
  workerKeys: string;
  logs: string;
  pids: string;
  agent: string;
}>;

/**
 * Makes `.ringmaster/` and what is below it. Others may pass through the top (PostgreSQL's account must), not list it;
 * keys, logs, pids and the agent's files are for us alone.
 * @throws UpError when it can't be written.
 */
export function makeDataFolders(dataDir: string): DataFolders {
  try {
    mkdirSync(dataDir, { recursive: true });
    chmodSync(dataDir, 0o711);
    const data = realpathSync(dataDir);
    const folder = (...names: string[]) => {
      const path = join(data, ...names);
      mkdirSync(path, { recursive: true, mode: 0o700 });
      return path;
    };
    return {
      data,
      keys: folder('keys'),
      workerKeys: folder('keys', 'worker'),
      logs: folder('logs'),
      pids: folder('pids'),
      agent: folder('agent'),
    };
  } catch (cause) {
    throw new UpError(
      `cannot write to ${dataDir}: ${(cause as Error).message}`,
      ['RINGMASTER_DATA chooses another folder.'],
      {
        cause,
      },
    );
  }
}
