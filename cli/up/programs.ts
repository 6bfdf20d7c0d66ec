import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { DatabaseUrls } from './database-roles.js';
import { UpError } from './errors.js';
import type { ProcessSpec } from './managed-process.js';
import type { DataFolders, UpSettings } from './settings.js';

export const WORKER_PROGRAM = 'worker/main.js';
export const API_PROGRAM = 'api/main.js';
export const AGENT_PROGRAM = 'agent-bundle/ringmaster-agent.mjs';

export const PROGRAM_STOP = [{ signal: 'SIGTERM', waitMs: 10_000 }] as const;

/** @throws UpError when a program was not built. */
export function checkPrograms(programsDir: string): void {
  const missing = [WORKER_PROGRAM, API_PROGRAM, AGENT_PROGRAM].filter((file) => !existsSync(join(programsDir, file)));
  if (missing.length > 0) {
    throw new UpError(`not built: ${missing.join(', ')} (in ${programsDir})`, ['Run: npm run build']);
  }
}

export type ProgramContext = Readonly<{
  settings: UpSettings;
  folders: DataFolders;
  urls: DatabaseUrls;
  temporalAddress: string;
}>;

/** What the supervisor knows and programs must not inherit: each gets only its own part. */
const WITHHELD = [
  'DATABASE_URL',
  'RINGMASTER_API_DATABASE_URL',
  'RINGMASTER_WORKER_DATABASE_URL',
  'RINGMASTER_BOOTSTRAP_TOKEN',
];

function program(
  options: Readonly<{
    name: string;
    file: string;
    args?: readonly string[];
    env: Record<string, string>;
    umask?: number;
  }> &
    Pick<ProgramContext, 'settings' | 'folders'>,
): ProcessSpec {
  const { settings, folders, name } = options;
  const inherited = Object.entries(process.env).filter(
    (entry): entry is [string, string] => entry[1] !== undefined && !WITHHELD.includes(entry[0]),
  );
  const path = join(settings.programsDir, options.file);
  return {
    name,
    argv: [process.execPath, '--enable-source-maps', path, ...(options.args ?? [])],
    env: { ...Object.fromEntries(inherited), ...options.env },
    cwd: folders.data,
    logFile: join(folders.logs, `${name}.log`),
    ...(options.umask === undefined ? {} : { umask: options.umask }),
    marker: path,
    stop: PROGRAM_STOP,
  };
}

const common = ({ settings, folders, temporalAddress }: ProgramContext) => ({
  RINGMASTER_HOST: settings.host,
  RINGMASTER_PORT: `${settings.ports.http}`,
  RINGMASTER_DATA: folders.data,
  TEMPORAL_ADDRESS: temporalAddress,
  TEMPORAL_NAMESPACE: settings.temporalNamespace,
});

/** The worker alone gets the folder with signing keys. Serves its metrics on 127.0.0.1:`RINGMASTER_METRICS_PORT`. */
export function workerSpec(context: ProgramContext): ProcessSpec {
  const env = {
    ...common(context),
    DATABASE_URL: context.urls.worker,
    RINGMASTER_KEYS_DIR: context.folders.workerKeys,
    RINGMASTER_DISKS: disksOf(context),
    RINGMASTER_METRICS_PORT: `${context.settings.ports.workerMetrics}`,
  };
  return program({ ...context, name: 'worker', file: WORKER_PROGRAM, env, umask: 0o077 });
}

/** Folders of the servers that are ours, beside those somebody named. */
function disksOf({ settings, folders }: ProgramContext): string {
  return [
    ...(settings.databaseUrl === undefined ? [`postgresql=${join(folders.data, 'postgres')}`] : []),
    ...(settings.temporalAddress === undefined ? [`temporal=${folders.data}`] : []),
    ...(process.env.RINGMASTER_DISKS === undefined ? [] : [process.env.RINGMASTER_DISKS]),
  ].join(',');
}

/** @param bootstrapToken the first administrator's API token, to be put in place if there is no administrator yet. */
export function apiSpec(context: ProgramContext, bootstrapToken: string | undefined): ProcessSpec {
  const env = {
    ...common(context),
    DATABASE_URL: context.urls.api,
    // Where the pages send people who want to see a workflow; an address of one's own is passed on as it is.
    ...(context.settings.temporalAddress === undefined && process.env.RINGMASTER_TEMPORAL_UI_URL === undefined
      ? { RINGMASTER_TEMPORAL_UI_URL: `http://127.0.0.1:${context.settings.ports.temporalUi}` }
      : {}),
    ...(bootstrapToken === undefined ? {} : { RINGMASTER_BOOTSTRAP_TOKEN: bootstrapToken }),
  };
  return program({ ...context, name: 'api', file: API_PROGRAM, env, umask: 0o077 });
}

/** The agent of this machine: it gets nothing but its configuration file. */
export function agentSpec(context: Pick<ProgramContext, 'settings' | 'folders'>, configFile: string): ProcessSpec {
  return program({ ...context, name: 'agent', file: AGENT_PROGRAM, args: ['run', '--config', configFile], env: {} });
}
