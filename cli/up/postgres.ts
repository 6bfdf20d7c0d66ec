import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chownSync, existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import pg from 'pg';
import { reasonOf, UpError } from './errors.js';
import { endProcess, type ProcessSpec, type StopStep } from './managed-process.js';
import { type PostgresPlace, placePostgres } from './postgres-place.js';
import { findPostgresRuntime, type PostgresRuntime } from './postgres-runtime.js';
import { commandLine, identify, processesWorkingIn, waitForExit } from './process-identity.js';

export type PostgresOptions = Readonly<{
  /** `.ringmaster`, as a real path. */
  dataDir: string;
  /** Where a copy of PostgreSQL's programs may be kept. */
  cacheDir: string;
  port: number;
  logFile: string;
  superuserPassword: string;
  /** False trades safety against power cuts for speed: for tests only. */
  durable: boolean;
}>;

/** A cluster that exists on disk and can be started. */
export type PostgresCluster = Readonly<{ place: PostgresPlace; spec: ProcessSpec; superuserUrl: string }>;

/** Fast shutdown (sessions are ended), then immediate (recovers at the next start). */
const STOP: readonly StopStep[] = [
  { signal: 'SIGINT', waitMs: 15_000 },
  { signal: 'SIGQUIT', waitMs: 5_000 },
];

/**
 * Finds a place and the programs, and creates the cluster when there is none yet (about a second).
 * @throws UpError naming what is missing.
 */
export async function preparePostgres(options: PostgresOptions): Promise<PostgresCluster> {
  const place = placePostgres(options.dataDir);
  const runtime = findPostgresRuntime(place.account, place.account ? dirname(place.home) : options.cacheDir);
  const data = join(place.home, 'data');
  if (!existsSync(data))
    await initialise({ runtime, place, password: options.superuserPassword, durable: options.durable });
  return {
    place,
    spec: postgresSpec({ ...options, runtime, place }),
    superuserUrl: `postgresql://postgres:${options.superuserPassword}@127.0.0.1:${options.port}/postgres`,
  };
}

function postgresSpec(options: PostgresOptions & { runtime: PostgresRuntime; place: PostgresPlace }): ProcessSpec {
  const { place, runtime, port, durable } = options;
  const settings: Record<string, string> = {
    listen_addresses: '127.0.0.1',
    port: `${port}`,
    // TCP with a password only: a socket file has a length limit that deep checkouts exceed.
    unix_socket_directories: '',
    password_encryption: 'scram-sha-256',
    max_connections: '100',
    shared_buffers: '128MB',
    timezone: 'UTC',
    log_timezone: 'UTC',
    log_min_messages: 'warning',
    log_checkpoints: 'off',
    // Many short statements over few rows: compiling them costs more than it saves.
    jit: 'off',
    ...(durable ? {} : { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off', max_wal_size: '256MB' }),
  };
  const data = join(place.home, 'data');
  const program = [runtime.postgres, '-D', data, ...Object.entries(settings).flatMap(([k, v]) => ['-c', `${k}=${v}`])];
  return {
    name: 'postgres',
    argv: [...place.prefix, ...program] as unknown as ProcessSpec['argv'],
    env: postgresEnv(),
    cwd: place.home,
    account: place.account,
    logFile: options.logFile,
    marker: data,
    stop: STOP,
  };
}

const postgresEnv = () => ({ PATH: process.env.PATH ?? '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' });

/**
 * Creates the cluster under another name and renames it when complete: an interrupted creation leaves nothing
 * that looks like a cluster. Sorting is by code point, with Unicode's upper and lower case, whatever the host's locales.
 */
async function initialise(
  options: Readonly<{ runtime: PostgresRuntime; place: PostgresPlace; password: string; durable: boolean }>,
): Promise<void> {
  const { place, runtime } = options;
  for (const left of readdirSync(place.home).filter((name) => name.startsWith('new-'))) {
    rmSync(join(place.home, left), { recursive: true, force: true });
  }
  const staging = join(place.home, `new-${randomBytes(4).toString('hex')}`);
  const passwordFile = `${staging}.password`;
  writeFileSync(passwordFile, `${options.password}\n`, { mode: 0o600 });
  if (place.account) chownSync(passwordFile, place.account.uid, place.account.gid);
  const locale = ['--encoding=UTF8', '--locale-provider=builtin', '--builtin-locale=C.UTF-8', '--locale=C'];
  const access = ['--username=postgres', '--auth=scram-sha-256', `--pwfile=${passwordFile}`];
  const sync = options.durable ? [] : ['--no-sync'];
  try {
    await run(
      [...place.prefix, runtime.initdb, '-D', staging, '--no-instructions', ...access, ...locale, ...sync],
      place,
    );
    renameSync(staging, join(place.home, 'data'));
  } finally {
    rmSync(passwordFile, { force: true });
  }
}

function run(argv: readonly string[], place: PostgresPlace): Promise<void> {
  const [command, ...args] = argv as [string, ...string[]];
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd: place.home,
      env: postgresEnv(),
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: 60_000,
      ...(place.account ? { uid: place.account.uid, gid: place.account.gid } : {}),
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        output += text;
      });
    }
    child.once('error', (error) => reject(new UpError(`cannot run ${command}: ${error.message}`)));
    child.once('close', (code, signal) => {
      if (code === 0) return resolve();
      const lines = output.trimEnd().split('\n').slice(-8);
      reject(new UpError(`PostgreSQL's initdb failed (${signal ?? `exit code ${code}`})`, lines));
    });
  });
}

/**
 * Clears what an earlier server may have left where pid files no longer help: a server or its children still running in
 * the data folder are ended, and a `postmaster.pid` whose number now belongs to another program, or to a server that has
 * ended but that nobody has collected yet, is removed: PostgreSQL would take either for a running server. Any other
 * `postmaster.pid` is PostgreSQL's to judge.
 */
export async function clearStalePostgres(place: PostgresPlace): Promise<void> {
  const data = join(place.home, 'data');
  const left = processesWorkingIn(data)
    .map(identify)
    .filter((identity) => identity !== undefined);
  // Only the server itself still shows its command line; its children rename themselves and end when it does.
  const servers = left.filter(({ pid }) => commandLine(pid).includes(data));
  for (const server of servers) await endProcess(server, STOP);
  for (const child of left) if (!(await waitForExit(child, 10_000))) await endProcess(child, []);

  const lockFile = join(data, 'postmaster.pid');
  if (!existsSync(lockFile)) return;
  const pid = Number(readFileSync(lockFile, 'utf8').split('\n')[0]);
  if (Number.isInteger(pid) && pid > 0 && existsSync(`/proc/${pid}`)) rmSync(lockFile, { force: true });
}

/** Why the server can't be used yet; undefined when it can. @throws UpError when waiting won't help. */
export async function probePostgres(superuserUrl: string): Promise<string | undefined> {
  const client = new pg.Client({ connectionString: superuserUrl, connectionTimeoutMillis: 2_000 });
  client.on('error', () => {});
  try {
    await client.connect();
    await client.query('select 1');
    return undefined;
  } catch (error) {
    const code = (error as { code?: string }).code;
    if (code === '28P01') {
      throw new UpError('PostgreSQL does not accept the password kept in keys/database.json', [
        'Was .ringmaster/keys replaced? Restore it, or move .ringmaster away to begin anew.',
      ]);
    }
    return reasonOf(error);
  } finally {
    await client.end().catch(() => {});
  }
}
