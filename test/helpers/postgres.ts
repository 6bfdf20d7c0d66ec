import { createHash, randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { isRoot } from '../../cli/up/account.js';
import {
  type DatabasePasswords,
  generatePasswords,
  restrictDatabase,
  setRole,
  urlsOf,
} from '../../cli/up/database-roles.js';
import { hostLock } from '../../cli/up/host-lock.js';
import { preparePostgres, probePostgres } from '../../cli/up/postgres.js';
import { listMigrations, migrate, migrationsDirectory } from '../../db/migrate.js';
import { createPool } from '../../db/pool.js';
import { type Lifeline, startOnLifeline } from './lifeline.js';
import { freePorts } from './ports.js';
import { testCacheDir } from './temporal.js';

/** A real PostgreSQL for tests: not durable, in a temporary folder, gone with the process that needs it. */
export type TestPostgres = Readonly<{
  superuserUrl: string;
  passwords: DatabasePasswords;
  /** Process id of the server, for tests that kill it. */
  serverPid: number;
  keeperPid: number;
}>;

export type TestDatabase = Readonly<{
  name: string;
  /** As the owner of the schema. */
  url: string;
  /** As the role of the web tier and of the worker, with only their rights. */
  apiUrl: string;
  workerUrl: string;
  /** A pool as the owner; ended by `drop`. */
  pool: pg.Pool;
  drop: () => Promise<void>;
}>;

/**
 * Starts a server of one's own (about 1.5 s), e.g. to kill it. Most tests want `createDatabase` instead.
 * @param options.watchPid the process with which it ends; default: this one. `data`: keep the cluster in this folder, and
 * start again from it.
 */
export async function startPostgres(
  options: Readonly<{
    watchPid?: number;
    data?: string;
    port?: number;
    passwords?: DatabasePasswords;
    /** What was committed survives `kill -9` of the server (not a power cut); for tests that kill it. */
    durable?: boolean;
  }> = {},
): Promise<TestPostgres & { stop: () => Promise<void> }> {
  const directory = options.data ?? mkdtempSync(join(tmpdir(), 'ringmaster-pg-'));
  // As root the server is another user, which must get in.
  if (isRoot()) chmodSync(directory, 0o755);
  const port = options.port ?? ((await freePorts(1))[0] as number);
  const passwords = options.passwords ?? generatePasswords();
  const cluster = await preparePostgres({
    dataDir: directory,
    cacheDir: testCacheDir(),
    port,
    logFile: join(directory, 'postgres.log'),
    superuserPassword: passwords.superuser,
    durable: false,
  });
  const { spec } = cluster;
  const lifeline: Lifeline = await startOnLifeline({
    // When a row was committed, whatever it says itself: what must not follow a stop is judged by it (after-stop.ts).
    argv: [
      ...spec.argv,
      ...['-c', 'track_commit_timestamp=on'],
      ...(options.durable ? ['-c', 'synchronous_commit=on'] : []),
    ],
    env: spec.env,
    cwd: spec.cwd,
    account: spec.account,
    signal: 'SIGQUIT',
    log: spec.logFile,
    watchPid: options.watchPid,
    remove: options.data === undefined ? directory : undefined,
  });
  for (let i = 0; ; i++) {
    const reason = await probePostgres(cluster.superuserUrl);
    if (reason === undefined) break;
    if (i === 200)
      throw new Error(`PostgreSQL for tests does not start: ${reason}\n${readFileSync(spec.logFile, 'utf8')}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const client = new pg.Client({ connectionString: cluster.superuserUrl });
  await client.connect();
  for (const role of ['owner', 'api', 'worker'] as const) await setRole(client, `ringmaster_${role}`, passwords[role]);
  await client.end();
  const { keeperPid, serverPid, stop } = lifeline;
  return { superuserUrl: cluster.superuserUrl, passwords, serverPid, keeperPid, stop };
}

let shared: Promise<TestPostgres> | undefined;

/**
 * The server that all test files of a jest run share (see `jest-global.mjs`); outside of jest, this process's own.
 * Started by whoever asks first.
 */
export function testPostgres(): Promise<TestPostgres> {
  shared ??= findShared();
  return shared;
}

async function findShared(): Promise<TestPostgres> {
  const run = process.env.RINGMASTER_TEST_RUN;
  if (!run) return startPostgres();
  const file = join(run, 'postgres.json');
  const lock = await hostLock(`test run ${run}`, 'a test', () => {});
  try {
    if (existsSync(file)) return JSON.parse(readFileSync(file, 'utf8'));
    const { stop: _, ...started } = await startPostgres({ watchPid: Number(process.env.RINGMASTER_TEST_RUN_PID) });
    mkdirSync(join(run, 'keepers'), { recursive: true });
    writeFileSync(join(run, 'keepers', `${started.keeperPid}`), '');
    writeFileSync(`${file}.new`, JSON.stringify(started));
    renameSync(`${file}.new`, file);
    return started;
  } finally {
    lock.release();
  }
}

/**
 * A new database with this checkout's schema: a copy of a template that is migrated once per server.
 * @param options.empty without any migration. `server`: one of the test's own.
 */
export async function createDatabase(
  options: Readonly<{ empty?: boolean; server?: TestPostgres }> = {},
): Promise<TestDatabase> {
  const server = options.server ?? (await testPostgres());
  const name = `test_${randomBytes(6).toString('hex')}`;
  const admin = new pg.Client({ connectionString: server.superuserUrl });
  await admin.connect();
  try {
    const template = options.empty ? 'template0' : await migratedTemplate(admin, server);
    await admin.query(`create database ${name} template ${template} owner ringmaster_owner`);
    await restrictDatabase(admin, name);
  } finally {
    await admin.end();
  }
  const urls = urlsOf({ base: server.superuserUrl, database: name, passwords: server.passwords });
  const pool = createPool({ url: urls.owner, applicationName: 'test' });
  return {
    name,
    url: urls.owner,
    apiUrl: urls.api,
    workerUrl: urls.worker,
    pool,
    drop: async () => {
      await pool.end().catch(() => {});
      const client = new pg.Client({ connectionString: server.superuserUrl });
      await client.connect();
      await client.query(`drop database if exists ${name} with (force)`);
      await client.end();
    },
  };
}

/** Named after the migrations' text, so that an edited migration gets a template of its own. */
async function migratedTemplate(admin: pg.Client, server: TestPostgres): Promise<string> {
  const hash = createHash('sha256');
  for (const name of listMigrations()) hash.update(readFileSync(join(migrationsDirectory, `${name}.sql`)));
  const template = `template_${hash.digest('hex').slice(0, 16)}`;
  await admin.query('select pg_advisory_lock(823041978)');
  try {
    const { rowCount } = await admin.query('select from pg_database where datname = $1', [template]);
    if (rowCount === 0) {
      // Renamed when complete: a test killed in the middle must not leave a template that is half migrated.
      const making = `${template}_new`;
      await admin.query(`drop database if exists ${making} with (force)`);
      await admin.query(`create database ${making} owner ringmaster_owner`);
      await migrate({
        databaseUrl: urlsOf({ base: server.superuserUrl, database: making, passwords: server.passwords }).owner,
      });
      await admin.query(`alter database ${making} rename to ${template}`);
    }
  } finally {
    await admin.query('select pg_advisory_unlock(823041978)');
  }
  return template;
}
