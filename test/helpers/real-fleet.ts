/**
 * The whole system over real hosts: hosts of the lab with the agent installed as an administrator would, and PostgreSQL,
 * Temporal, a mail server, the built worker and web tier as processes that can be killed. All of it ends with the test.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import type { ChangeSpec } from '../../domain/change/spec.js';
import { installAgent, type Lab, type LabOptions, upLab } from '../../lab/index.js';
import { startOnLifeline } from './lifeline.js';
import { type Mailbox, startMailbox } from './mailbox.js';
import { freePorts } from './ports.js';
import { createDatabase, testPostgres } from './postgres.js';
import { describeChanges, tailOf } from './real-fleet/describe.js';
import { archiveRepositories, labRepository, openPolicy } from './real-fleet/documents.js';
import { RealHost } from './real-fleet/host.js';
import { repositoryRoot } from './repository.js';
import { startDevServer } from './temporal.js';

const ADMINISTRATOR = 'rmt_real-hosts-administrator';
const programs = () => process.env.RINGMASTER_PROGRAMS_DIR ?? join(repositoryRoot, 'dist');

export interface HostPlan {
  readonly labels: Readonly<Record<string, string>>;
  /** Done in the host before its agent is installed; what it installs is what the first inventory finds. */
  readonly before?: (host: RealHost) => Promise<void>;
}

export interface RealFleet {
  readonly lab: Lab;
  readonly mailbox: Mailbox;
  readonly hosts: readonly RealHost[];
  readonly apiUrl: string;
  /** As superuser. */
  readonly pool: pg.Pool;
  /** By its number in the lab, from 1. */
  host(index: number): RealHost;
  /** @throws Error with the web tier's answer when it refuses. @returns the reply's body */
  // biome-ignore lint/suspicious/noExplicitAny: tests say what they expect by looking at it
  api<T = any>(method: string, path: string, body?: unknown): Promise<T>;
  endpointId(index: number): Promise<string>;
  /** @returns the change's id */
  createChange(spec: ChangeSpec): Promise<string>;
  /** As superuser. */
  // biome-ignore lint/suspicious/noExplicitAny: as above
  rows<T = any>(sql: string, values?: readonly unknown[]): Promise<T[]>;
  /** Looks until it gets something true, and returns that. */
  waitFor<T>(what: string, look: () => Promise<T> | T, seconds?: number): Promise<NonNullable<T>>;
  /** Resolves with the change's row once it is closed. */
  closed(changeId: string, seconds?: number): Promise<ClosedChange>;
  /** The change's orders of hosts, by number of the host. */
  orders(changeId: string, kind?: 'change' | 'revert'): Promise<readonly FleetOrder[]>;
  killWorker(): Promise<void>;
  startWorker(): Promise<void>;
  end(): Promise<void>;
}

export interface ClosedChange {
  readonly outcome: string;
  readonly summary: Readonly<Record<string, unknown>>;
}

export interface FleetOrder {
  readonly id: string;
  readonly host: number;
  readonly ring: number;
  readonly homeRing: number;
  readonly state: string;
  readonly reason: string | null;
  readonly startedAt: Date | null;
  readonly windowOpened: Date | null;
}

/**
 * @param options.hosts in the order of their numbers. `furnish` runs once the lab is up and before any host is prepared:
 * it publishes packages.
 * @param options.archive whether the catalogue also knows the distribution's own archive.
 */
export async function startRealFleet(options: {
  readonly hosts: readonly HostPlan[];
  readonly lab?: LabOptions;
  readonly furnish?: (lab: Lab) => Promise<unknown>;
  readonly archive?: boolean;
  readonly policies?: Readonly<Record<string, { readonly precedence: number; readonly document: object }>>;
}): Promise<RealFleet> {
  const home = mkdtempSync(join(tmpdir(), 'ringmaster-fleet-'));
  const undo: (() => Promise<unknown> | unknown)[] = [() => rmSync(home, { recursive: true, force: true })];
  const end = async () => {
    for (const step of undo.splice(0).reverse()) await Promise.resolve(step()).catch((error) => console.error(error));
  };
  const undoing = <T>(made: T, step: () => Promise<unknown>): T => {
    undo.push(step);
    return made;
  };
  try {
    return await start();
  } catch (error) {
    await end();
    throw error;
  }

  async function start(): Promise<RealFleet> {
    const logs = join(home, 'logs');
    for (const folder of ['data/content', 'keys', 'logs']) mkdirSync(join(home, folder), { recursive: true });
    const [lab, database, temporal, mailbox] = await Promise.all([
      upLab(options.hosts.length, options.lab).then((made) => undoing(made, () => made.down())),
      createDatabase().then((made) => undoing(made, () => made.drop())),
      startDevServer().then((made) => undoing(made, () => made.stop())),
      startMailbox().then((made) => undoing(made, () => made.close())),
    ]);
    const superuser = new URL((await testPostgres()).superuserUrl);
    superuser.pathname = `/${database.name}`;
    const pool = new pg.Pool({ connectionString: superuser.href, max: 4, application_name: 'real-hosts-test' });
    pool.on('error', () => undefined);
    undo.push(() => pool.end());

    const [port] = (await freePorts(1)) as [number];
    const apiUrl = `http://${lab.gatewayAddress}:${port}`;
    const common = {
      PATH: process.env.PATH ?? '/usr/bin:/bin',
      NODE_ENV: 'production',
      HOME: home,
      RINGMASTER_HOST: lab.gatewayAddress,
      RINGMASTER_PORT: `${port}`,
      RINGMASTER_DATA: join(home, 'data'),
      RINGMASTER_LOG_LEVEL: process.env.TEST_LOG_LEVEL ?? 'info',
      TEMPORAL_ADDRESS: temporal.address,
    };
    const program = (name: 'worker' | 'api', env: Record<string, string>) =>
      startOnLifeline({
        argv: [process.execPath, join(programs(), name, 'main.js')],
        env: { ...common, ...env },
        cwd: home,
        signal: 'SIGTERM',
        killAfterMs: 8_000,
        log: join(logs, `${name}.log`),
      });
    const beginWorker = () =>
      program('worker', {
        DATABASE_URL: database.workerUrl,
        RINGMASTER_KEYS_DIR: join(home, 'keys'),
        RINGMASTER_SMTP_URL: mailbox.url,
        RINGMASTER_DEFAULT_REPOSITORIES: 'off',
      });
    let worker = await beginWorker();
    undo.push(() => worker.stop());
    const web = await program('api', {
      DATABASE_URL: database.apiUrl,
      RINGMASTER_BOOTSTRAP_TOKEN: ADMINISTRATOR,
      RINGMASTER_POLL_SECONDS: '2',
    });
    undo.push(() => web.stop());

    const api: RealFleet['api'] = async (method, path, body) => {
      const reply = await fetch(new URL(path, apiUrl), {
        method,
        headers: {
          // A machine that stalls may send on a kept connection just when its other side has closed it.
          connection: 'close',
          authorization: `Bearer ${ADMINISTRATOR}`,
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal: AbortSignal.timeout(30_000),
      });
      const text = await reply.text();
      if (!reply.ok) throw new Error(`${method} ${path}: ${reply.status} ${text}`);
      return text === '' ? null : JSON.parse(text);
    };
    const rows: RealFleet['rows'] = async (sql, values = []) => (await pool.query(sql, [...values])).rows as never;
    const waitFor: RealFleet['waitFor'] = async (what, look, seconds = 240) => {
      let last: unknown;
      for (const until = performance.now() + seconds * 1_000; performance.now() < until; ) {
        try {
          const found = await look();
          if (found) return found;
          last = found;
        } catch (error) {
          last = error;
        }
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
      const why = last instanceof Error ? last.message : JSON.stringify(last);
      const tails = ['worker', 'api'].map((name) => `--- ${name}\n${tailOf(join(logs, `${name}.log`))}`);
      throw new Error(
        [`not within ${seconds} s: ${what}; last: ${why}`, await describeChanges(pool), ...tails].join('\n'),
      );
    };

    const hosts = lab.hosts.map(({ index }) => new RealHost(lab, index));
    const host = (index: number): RealHost => {
      const found = hosts[index - 1];
      if (found === undefined) throw new Error(`there is no host ${index}`);
      return found;
    };
    await options.furnish?.(lab);
    await waitFor('the web tier and the keys', () => api('POST', '/v1/join-tokens', {}), 60);
    const policies = options.policies ?? { open: { precedence: 1, document: openPolicy() } };
    for (const [name, body] of Object.entries(policies)) await api('PUT', `/v1/policy-sets/${name}`, body);
    const repositories = { ...labRepository(lab), ...(options.archive === true ? archiveRepositories(lab) : {}) };
    for (const [name, config] of Object.entries(repositories))
      await api('PUT', `/v1/repositories/${name}`, { kind: 'apt', config });
    await Promise.all(
      options.hosts.map(async ({ labels, before }, at) => {
        await before?.(host(at + 1));
        const { token } = await api('POST', '/v1/join-tokens', { labels });
        await installAgent(lab, at + 1, { gatewayUrl: apiUrl, joinToken: token });
      }),
    );
    await waitFor('every host enrolled and scanned', async () => {
      const [row] = await rows('SELECT count(DISTINCT endpoint_id)::int AS n FROM scan WHERE complete');
      return row.n === hosts.length;
    });

    return {
      lab,
      mailbox,
      hosts,
      apiUrl,
      pool,
      host,
      api,
      rows,
      waitFor,
      endpointId: async (index) =>
        (await rows('SELECT id FROM endpoint WHERE name = $1', [host(index).name]))[0]?.id ?? '',
      createChange: async (spec) => (await api('POST', '/v1/changes', spec)).id,
      closed: (changeId, seconds = 400) =>
        waitFor(
          `change ${changeId} closed`,
          async () =>
            (await rows('SELECT outcome, summary FROM change WHERE id = $1 AND closed_at IS NOT NULL', [changeId]))[0],
          seconds,
        ),
      orders: (changeId, kind = 'change') =>
        rows(
          `SELECT o.id, substring(e.name from '[0-9]+$')::int AS host, o.ring, o.home_ring AS "homeRing", o.state, o.reason,
                  o.started_at AS "startedAt", o.next_open AS "windowOpened"
             FROM order_state o JOIN endpoint e ON e.id = o.endpoint_id WHERE o.change_id = $1 AND o.kind = $2 ORDER BY 2, o.attempt`,
          [changeId, kind],
        ),
      killWorker: async () => {
        process.kill(worker.serverPid, 'SIGKILL');
        await worker.stop();
      },
      startWorker: async () => {
        worker = await beginWorker();
      },
      end,
    };
  }
}
