/**
 * The whole system as separate processes that can be killed one by one: PostgreSQL (durable) and Temporal (with its file) of
 * its own, the built worker and web tier, and real agents on simulated machines. All of it ends with the test's process.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from '@jest/globals';
import pg from 'pg';
import { launcherText } from '../../agent/self/launcher.js';
import { generatePasswords } from '../../cli/up/database-roles.js';
import type { ChangeSpec, RingSpec } from '../../domain/change/spec.js';
import { recordServer } from './histories.js';
import { startOnLifeline } from './lifeline.js';
import { freePorts } from './ports.js';
import { createDatabase, startPostgres, type TestDatabase } from './postgres.js';
import { repositoryRoot } from './repository.js';
import { type CommitGate, startCommitGate } from './stack/commit-gate.js';
import { Host } from './stack/hosts.js';
import { prepareKillPoints } from './stack/kill-points.js';
import { Processes } from './stack/processes.js';
import { type AgentProxy, startProxy } from './stack/proxy.js';
import { openPolicy, type SeededPackage, seedCatalogue } from './stack/seed.js';
import { startDevServer } from './temporal.js';

export const BOOTSTRAP_TOKEN = 'rmt_kill-tests-administrator';
export const OLD = '1.0-1';
export const NEW = '2.0-1';

export interface HostPlan {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  /** The agent reaches the web tier through a {@link AgentProxy} of its own. */
  readonly proxied?: boolean;
  /** Started by the agent's launcher, as a service is: it can update itself. */
  readonly launched?: boolean;
  /** It can be stopped at its own journal's writes, see {@link Host.standAt}. */
  readonly journalPoints?: boolean;
  /** Of the agent's configuration, in place of what is usual here. */
  readonly config?: Readonly<Record<string, unknown>>;
}

export interface Answer {
  readonly status: number;
  readonly body: any;
}

export interface Stack {
  readonly processes: Processes;
  readonly hosts: readonly Host[];
  /** As superuser, to the system's database. */
  readonly pool: pg.Pool;
  readonly apiUrl: string;
  readonly temporalAddress: string;
  readonly dataDir: string;
  readonly keysDir: string;
  /** To the database as the worker's role. */
  readonly workerUrl: string;
  host(name: string): Host;
  /** Between the web tier and PostgreSQL. */
  readonly commitGate: CommitGate;
  /** Of a host that is `proxied`. */
  proxy(name: string): AgentProxy;
  api(method: string, path: string, body?: unknown): Promise<Answer>;
  /** @throws Error with the web tier's answer when it refuses. @returns the change's id */
  createChange(spec: ChangeSpec): Promise<string>;
  rows<T = any>(sql: string, values?: readonly unknown[]): Promise<T[]>;
  waitFor(what: string, look: () => Promise<unknown> | unknown, seconds?: number): Promise<void>;
  /** Starts another worker beside the first. */
  addWorker(name: string): Promise<void>;
  end(): Promise<void>;
}

const programs = () => process.env.RINGMASTER_PROGRAMS_DIR ?? join(repositoryRoot, 'dist');
const CHILD_ENV = { PATH: process.env.PATH ?? '/usr/bin:/bin', NODE_ENV: 'production' };

/** @param options.packages names; each is installed everywhere as {@link OLD} and offered as {@link NEW} */
export async function startStack(options: {
  readonly hosts: readonly HostPlan[];
  readonly packages: readonly string[];
  /** More versions the catalogue knows. */
  readonly more?: readonly SeededPackage[];
  readonly policy?: Record<string, unknown>;
  /** `key=value` pairs for Temporal, for limits that a test wants to reach soon. */
  readonly temporalConfig?: readonly string[];
  /** Of the worker and the web tier, beside what they need. */
  readonly env?: Readonly<Record<string, string>>;
}): Promise<Stack> {
  const home = mkdtempSync(join(tmpdir(), 'ringmaster-stack-'));
  const [databasePort, temporalPort, apiPort] = (await freePorts(3)) as [number, number, number];
  const processes = new Processes();
  const proxies = new Map<string, AgentProxy>();
  const apiUrl = `http://127.0.0.1:${apiPort}`;
  const dataDir = join(home, 'data');
  const keysDir = join(home, 'keys');
  const logs = join(home, 'logs');
  for (const folder of [dataDir, join(dataDir, 'content'), logs, join(home, 'postgres')])
    mkdirSync(folder, { recursive: true });

  const passwords = generatePasswords();
  const startDatabase = async () => {
    const server = await startPostgres({
      data: join(home, 'postgres'),
      port: databasePort,
      passwords,
      durable: true,
    });
    return { ...server, pid: server.serverPid };
  };
  let first: Awaited<ReturnType<typeof startDatabase>> | undefined;
  await processes.add('postgres', async () => {
    const server = await startDatabase();
    first ??= server;
    return server;
  });
  if (first === undefined) throw new Error('PostgreSQL did not start');
  const database: TestDatabase = await createDatabase({ server: first });
  await database.pool.end();
  const superuserUrl = new URL(first.superuserUrl);
  superuserUrl.pathname = `/${database.name}`;
  const pool = new pg.Pool({ connectionString: superuserUrl.href, max: 4, application_name: 'kill-test' });
  pool.on('error', () => undefined);
  await prepareKillPoints(pool);
  const commitGate = await startCommitGate(database.apiUrl);

  await processes.add('temporal', async () => {
    const server = await startDevServer({
      databaseFile: join(home, 'temporal.sqlite'),
      port: temporalPort,
      dynamicConfig: options.temporalConfig ?? [],
    });
    return { ...server, pid: server.serverPid };
  });

  const program =
    (name: string, file: string, env: Record<string, string>, args: readonly string[] = []) =>
    async () => {
      const { serverPid, stop } = await startOnLifeline({
        argv: file.startsWith('/') ? [file, ...args] : [process.execPath, join(programs(), file), ...args],
        env: { ...CHILD_ENV, HOME: home, ...env },
        cwd: home,
        signal: 'SIGTERM',
        killAfterMs: 4_000,
        log: join(logs, `${name}.log`),
      });
      return { pid: serverPid, stop };
    };
  const common = {
    RINGMASTER_DATA: dataDir,
    RINGMASTER_PORT: `${apiPort}`,
    TEMPORAL_ADDRESS: `127.0.0.1:${temporalPort}`,
    RINGMASTER_DEFAULT_REPOSITORIES: 'off',
    RINGMASTER_LOG_LEVEL: process.env.TEST_LOG_LEVEL ?? 'info',
    ...options.env,
  };
  const addWorker = (name: string) =>
    processes.add(
      name,
      program(name, 'worker/main.js', {
        ...common,
        DATABASE_URL: database.workerUrl,
        RINGMASTER_KEYS_DIR: keysDir,
      }),
    );
  await addWorker('worker');
  await processes.add(
    'api',
    program('api', 'api/main.js', {
      ...common,
      DATABASE_URL: commitGate.url,
      RINGMASTER_BOOTSTRAP_TOKEN: BOOTSTRAP_TOKEN,
      RINGMASTER_POLL_SECONDS: '1',
    }),
  );

  const rows: Stack['rows'] = async (sql, values = []) => (await pool.query(sql, [...values])).rows as never;
  const api: Stack['api'] = async (method, path, body) => {
    const reply = await fetch(new URL(path, apiUrl), {
      method,
      headers: {
        authorization: `Bearer ${BOOTSTRAP_TOKEN}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(30_000),
    });
    const text = await reply.text();
    return { status: reply.status, body: text === '' ? null : JSON.parse(text) };
  };
  const end = async () => {
    await recordServer({ address: common.TEMPORAL_ADDRESS, name: expect.getState().testPath?.split('/').at(-1) ?? '' });
    await pool.end().catch(() => undefined);
    await processes.end();
    await Promise.all([commitGate, ...proxies.values()].map((between) => between.close()));
    if (process.env.RINGMASTER_TEST_KEEP === undefined) rmSync(home, { recursive: true, force: true });
    else console.error(`kept: ${home}`);
  };
  const logTails = () =>
    ['worker', 'api'].map((name) => `--- ${name}\n${tailOf(join(logs, `${name}.log`))}`).join('\n');

  const hosts = options.hosts.map(({ name }) => new Host(name, join(home, 'hosts', name)));
  const host = (name: string): Host => {
    const found = hosts.find((one) => one.name === name);
    if (found === undefined) throw new Error(`there is no host ${name}`);
    return found;
  };
  const waitFor: Stack['waitFor'] = async (what, look, seconds = 60) => {
    let last: unknown;
    for (const until = performance.now() + seconds * 1_000; performance.now() < until; ) {
      try {
        last = await look();
        if (last) return;
      } catch (error) {
        last = error;
      }
      await new Promise((resolve) => setTimeout(resolve, 40));
    }
    const why = last instanceof Error ? last.message : JSON.stringify(last);
    throw new Error(`not within ${seconds} s: ${what}; last: ${why}\n${await describeOrders(pool)}\n${logTails()}`);
  };

  try {
    await seedCatalogue({
      pool,
      contentDir: join(dataDir, 'content'),
      packages: [
        ...options.packages.flatMap((name) => [
          { name, version: OLD },
          { name, version: NEW },
        ]),
        ...(options.more ?? []),
      ],
    });
    await waitFor('the web tier and the keys', async () => {
      const token = await api('POST', '/v1/join-tokens', {});
      return token.status === 201;
    });
    const policy = await api('PUT', '/v1/policy-sets/simulated', {
      precedence: 1,
      document: openPolicy(options.policy),
    });
    if (policy.status >= 300) throw new Error(`policy: ${JSON.stringify(policy.body)}`);
    await Promise.all(
      options.hosts.map(async ({ name, labels, proxied, launched, journalPoints, config: over }) => {
        const it = host(name);
        it.make({
          packages: options.packages.map((p) => ({ name: p, version: OLD })),
          available: options.packages.map((p) => ({ name: p, version: NEW })),
        });
        const token = await api('POST', '/v1/join-tokens', { labels });
        if (proxied) proxies.set(name, await startProxy(apiUrl));
        const config = join(it.stateDir, 'config.json');
        writeFileSync(
          config,
          JSON.stringify({
            server: proxies.get(name)?.url ?? apiUrl,
            name,
            stateDir: it.stateDir,
            limitsFile: join(it.stateDir, 'limits.json'),
            hooksDir: join(it.stateDir, 'hooks.d'),
            checksDir: join(it.stateDir, 'checks.d'),
            joinToken: token.body.token,
            zone: 'Etc/UTC',
            provider: 'simulated',
            minPollSeconds: 0.2,
            healthGraceSeconds: 1,
            reportBatchSeconds: 0.2,
            ...over,
          }),
        );
        await processes.add(
          it.process,
          launched
            ? program(it.process, writeLauncher(it.stateDir), {}, ['run', '--config', config])
            : program(it.process, 'agent-bundle/ringmaster-agent.mjs', journalPoints ? it.journalPointsEnv : {}, [
                'run',
                '--config',
                config,
              ]),
          { keep: true },
        );
      }),
    );
    await waitFor('every host enrolled and scanned', async () => {
      const [row] = await rows('SELECT count(DISTINCT endpoint_id)::int AS n FROM scan WHERE complete');
      return row.n === hosts.length;
    });
  } catch (error) {
    await end();
    throw error;
  }

  return {
    processes,
    hosts,
    pool,
    apiUrl,
    temporalAddress: common.TEMPORAL_ADDRESS,
    dataDir,
    keysDir,
    workerUrl: database.workerUrl,
    host,
    commitGate,
    proxy: (name) => proxies.get(name) as AgentProxy,
    api,
    rows,
    waitFor,
    addWorker,
    end,
    async createChange(spec) {
      const reply = await api('POST', '/v1/changes', spec);
      if (reply.status !== 201) throw new Error(`change refused: ${JSON.stringify(reply.body)}`);
      return reply.body.id;
    },
  };
}

/** A small ring without approvals; all of its share, four at a time, nothing forgiven. */
export const ringOf = (over: Partial<RingSpec> = {}): RingSpec => ({
  name: 'all',
  select: { sharePercent: 100 },
  maxInFlight: 4,
  errorBudget: { count: 0 },
  successThresholdPercent: 0,
  minSample: 0,
  soakMinutes: 0,
  approvals: [],
  deadlineMinutes: 60,
  haltAction: 'pause',
  ...over,
});

/** One change over the hosts with these labels, for one package. */
export const changeOf = (args: {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly packages: readonly string[];
  readonly rings?: readonly RingSpec[];
  readonly over?: Partial<ChangeSpec>;
}): ChangeSpec => ({
  kind: 'patch',
  name: args.name,
  reason: 'a test',
  scope: { labels: args.labels },
  rings: args.rings ?? [ringOf()],
  priority: 0,
  deadlineMinutes: 120,
  offlineAfterMinutes: 60,
  parameters: { include: { packages: [...args.packages] }, confirmMinutes: 1, discoverMinutes: 1 },
  ...args.over,
});

function writeLauncher(stateDir: string): string {
  const file = join(stateDir, 'launch');
  const bundle = join(programs(), 'agent-bundle/ringmaster-agent.mjs');
  const text = launcherText({ node: process.execPath, bundle, slots: join(stateDir, 'slots'), trialSeconds: 6 });
  writeFileSync(file, text, { mode: 0o755 });
  return file;
}

function tailOf(path: string): string {
  try {
    const lines = readFileSync(path, 'utf8').split('\n');
    return lines
      .map((line) => line.slice(0, 300))
      .slice(-12)
      .join('\n');
  } catch {
    return 'no log';
  }
}

async function describeOrders(pool: pg.Pool): Promise<string> {
  try {
    const { rows } = await pool.query(
      `SELECT c.name, c.stage, c.waiting_for, c.halted, o.ring, o.kind, o.state, o.reason, count(*)::int AS n
         FROM change c LEFT JOIN order_state o ON o.change_id = c.id GROUP BY 1, 2, 3, 4, 5, 6, 7, 8 ORDER BY 1, 5, 6`,
    );
    return rows.map((row) => JSON.stringify(row)).join('\n');
  } catch (error) {
    return `no orders to show: ${(error as Error).message}`;
  }
}
