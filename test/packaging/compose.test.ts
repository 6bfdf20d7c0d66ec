// docker-compose.yml against reality. No container runs here: what it says is compared with the build and the programs'
// settings, and the very processes it starts are started natively, with its environments, and carry a change through.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Connection } from '@temporalio/client';
import pg from 'pg';
import { readSettings as readApiSettings } from '../../api/settings.js';
import { readMigrateSettings } from '../../cli/migrate/settings.js';
import { withSecretFiles } from '../../db/secret-files.js';
import { readSettings as readWorkerSettings } from '../../worker/settings.js';
import { type Compose, environmentOf, readCompose, type Service } from '../helpers/compose.js';
import { startOnLifeline } from '../helpers/lifeline.js';
import { freePorts } from '../helpers/ports.js';
import { startPostgres } from '../helpers/postgres.js';
import { repositoryRoot } from '../helpers/repository.js';
import { Host } from '../helpers/stack/hosts.js';
import { Processes } from '../helpers/stack/processes.js';
import { openPolicy, seedCatalogue } from '../helpers/stack/seed.js';
import { changeOf, NEW, OLD } from '../helpers/stack.js';
import { startDevServer } from '../helpers/temporal.js';

const programs = process.env.RINGMASTER_PROGRAMS_DIR ?? join(repositoryRoot, 'dist');
const OURS = ['api', 'worker', 'migrate'] as const;
const JOBS = ['migrate', 'temporal-schema'];
const compose: Compose = readCompose();
const service = (name: string): Service => compose.services[name] as Service;

let home: string;
let secrets: string;
beforeAll(() => {
  home = mkdtempSync(join(tmpdir(), 'ringmaster-compose-'));
  mkdirSync(join(home, 'docker'));
  const script = join(home, 'docker/make-secrets.sh');
  writeFileSync(script, readFileSync(join(repositoryRoot, 'docker/make-secrets.sh')), { mode: 0o755 });
  for (let i = 0; i < 2; i++) expect(spawnSync('sh', [script]).status).toBe(0);
  secrets = join(home, 'secrets');
});
afterAll(() => rmSync(home, { recursive: true, force: true }));

/** Which variables a reader of settings looks at, by watching it. */
function namesRead(read: (env: NodeJS.ProcessEnv) => unknown, env: Record<string, string>): Set<string> {
  const names = new Set<string>();
  const watched = new Proxy(env, {
    get: (target, name) => {
      names.add(String(name));
      return target[name as string];
    },
  });
  read(watched);
  return names;
}

const READERS: Record<(typeof OURS)[number], (env: NodeJS.ProcessEnv) => unknown> = {
  api: readApiSettings,
  worker: readWorkerSettings,
  migrate: readMigrateSettings,
};

describe('what the file says', () => {
  test('every secret is one that make-secrets.sh makes, and is kept from other users by its folder', () => {
    expect(statSync(secrets).mode & 0o777).toBe(0o700);
    for (const [name, { file }] of Object.entries(compose.secrets)) {
      expect(file).toBe(`./secrets/${name}`);
      expect(readFileSync(join(secrets, name), 'utf8').trim().length).toBeGreaterThanOrEqual(32);
    }
    for (const { secrets: used = [] } of Object.values(compose.services))
      for (const name of used) expect(compose.secrets).toHaveProperty(name);
  });

  test('every command is a program that the build produces, and every target a stage of the Dockerfile', () => {
    const dockerfile = readFileSync(join(repositoryRoot, 'Dockerfile'), 'utf8');
    const stages = [...dockerfile.matchAll(/^FROM \S+ AS (\S+)$/gm)].map((match) => match[1]);
    for (const name of OURS) {
      expect(stages).toContain(service(name).build?.target);
      const argv = service(name).command ?? [];
      const file = argv.find((part) => part.startsWith('dist/')) ?? 'dist/cli/main.js';
      expect(existsSync(join(programs, file.replace(/^dist\//, '')))).toBe(true);
      expect(dockerfile).toContain(`"${file}"`);
    }
    for (const copied of dockerfile.matchAll(/^COPY (?!--from)(.*) \S+$/gm))
      for (const source of (copied[1] ?? '').split(' ')) expect(existsSync(join(repositoryRoot, source))).toBe(true);
  });

  test('every mounted file is there, scripts pass a shell, and every volume is named', () => {
    for (const { volumes = [] } of Object.values(compose.services)) {
      for (const [from = ''] of volumes.map((volume) => volume.split(':'))) {
        if (!from.startsWith('./')) expect(compose.volumes).toHaveProperty(from);
        else expect(existsSync(join(repositoryRoot, from))).toBe(true);
        if (from.endsWith('.sh')) expect(spawnSync('sh', ['-n', join(repositoryRoot, from)]).status).toBe(0);
      }
    }
  });

  test.each(OURS)('%s: every variable set is one it reads, and it starts with exactly these', (name) => {
    const env = environmentOf(service(name), [['/run/secrets', secrets]]);
    const complete = name === 'migrate' ? env : (withSecretFiles(env) as Record<string, string>);
    const read = namesRead(READERS[name], complete);
    const files = ['DATABASE_PASSWORD_FILE', 'DATABASE_ADMIN_PASSWORD_FILE'];
    // Read by the programs' main files beside their settings.
    const beside = ['RINGMASTER_LOG_LEVEL'];
    for (const variable of Object.keys(env)) {
      const plain = files.includes(variable) ? variable : variable.replace(/_FILE$/, '');
      expect(files.includes(plain) || beside.includes(plain) || read.has(plain) ? '' : variable).toBe('');
    }
  });

  test('a variable nobody reads would be noticed', () => {
    const env = { ...environmentOf(service('api'), [['/run/secrets', secrets]]), RINGMASTER_NOTHING: 'x' };
    const read = namesRead(READERS.api, withSecretFiles(env) as Record<string, string>);
    expect(read.has('RINGMASTER_NOTHING')).toBe(false);
    expect(read.has('RINGMASTER_PORT')).toBe(true);
  });

  test('the web tier has neither the signing keys, nor the worker’s password, nor the right to write content', () => {
    const { volumes = [], secrets: held = [], environment = {} } = service('api');
    expect(volumes).toEqual(['data:/data:ro']);
    expect(held).not.toContain('worker_password');
    expect(Object.keys(environment)).not.toContain('RINGMASTER_KEYS_DIR');
    const withKeys = Object.entries(compose.services).filter(([, s]) => s.volumes?.some((v) => v.startsWith('keys:')));
    expect(withKeys.map(([name]) => name)).toEqual(['worker']);
  });

  test('whatever runs on is watched, restarted, given time to stop, and pinned; jobs end', () => {
    for (const [name, it] of Object.entries(compose.services)) {
      expect(it.image).toMatch(/:\d+\.\d+/);
      if (JOBS.includes(name)) {
        expect({ name, restart: it.restart, health: it.healthcheck }).toEqual({
          name,
          restart: 'on-failure:5',
          health: { disable: true },
        });
        continue;
      }
      expect({ name, restart: it.restart, health: (it.healthcheck?.test?.length ?? 0) > 1 }).toEqual({
        name,
        restart: 'unless-stopped',
        health: true,
      });
      expect(it.stop_grace_period).toMatch(/^\d+s$/);
    }
    for (const name of OURS)
      expect(service(name)).toMatchObject({ user: '1000:1000', read_only: true, cap_drop: ['ALL'] });
    expect([service('api').deploy?.replicas, service('worker').deploy?.replicas]).toEqual([2, 2]);
    expect(service('temporal').environment).toMatchObject({ NUM_HISTORY_SHARDS: '512' });
  });

  test('nobody waits for somebody who never gets there', () => {
    for (const { depends_on = {} } of Object.values(compose.services)) {
      for (const [name, { condition }] of Object.entries(depends_on)) {
        expect(compose.services).toHaveProperty(name);
        expect(condition).toBe(JOBS.includes(name) ? 'service_completed_successfully' : 'service_healthy');
      }
    }
  });

  const client = spawnSync('docker', ['compose', 'version'], { encoding: 'utf8' });
  const maybe = client.status === 0 ? test : test.skip;
  maybe(`docker compose config agrees${client.status === 0 ? '' : ' (docker compose is not installed here)'}`, () => {
    const checked = spawnSync('docker', ['compose', 'config', '--quiet'], { cwd: repositoryRoot, encoding: 'utf8' });
    expect(checked.stderr).toBe('');
  });
});

describe('the processes it starts, without containers', () => {
  test('two api and two worker on what the migration job prepared carry a change to its end', async () => {
    const [postgresPort, ...apiPorts] = (await freePorts(3)) as [number, number, number];
    const processes = new Processes();
    const dataDir = join(home, 'data');
    for (const folder of ['data/content', 'keys', 'postgres']) mkdirSync(join(home, folder), { recursive: true });
    try {
      const postgres = await startPostgres({ data: join(home, 'postgres'), port: postgresPort });
      await processes.add('postgres', async () => ({ ...postgres, pid: postgres.serverPid }));
      writeFileSync(join(secrets, 'postgres_password'), `${postgres.passwords.superuser}\n`);
      const temporal = await startDevServer();
      await processes.add('temporal', async () => ({ ...temporal, pid: temporal.serverPid }));
      const replace = (port: number) =>
        [
          ['postgres:5432', `127.0.0.1:${postgresPort}`],
          ['temporal:7233', temporal.address],
          ['/run/secrets', secrets],
          ['0.0.0.0', '127.0.0.1'],
          ['/data', dataDir],
          ['/keys', join(home, 'keys')],
          ['8420', `${port}`],
          ['9464', `${port}`],
        ] as const;
      const base = { PATH: process.env.PATH ?? '/usr/bin:/bin', HOME: home, NODE_ENV: 'production' };
      const argvOf = (name: string) =>
        name === 'migrate'
          ? [process.execPath, join(programs, 'cli/main.js'), ...(service(name).command ?? [])]
          : (service(name).command ?? []).map((part) =>
              part === 'node' ? process.execPath : part.replace(/^dist\//, `${programs}/`),
            );

      for (let times = 0; times < 2; times++) {
        const [command = '', ...args] = argvOf('migrate');
        const env = { ...base, ...environmentOf(service('migrate'), replace(0)) };
        const job = spawnSync(command, args, { cwd: home, env, encoding: 'utf8', timeout: 60_000 });
        expect({ status: job.status, stderr: job.stderr }).toEqual({ status: 0, stderr: '' });
        expect(job.stdout).toContain(times === 0 ? 'Migrated:' : 'up to date');
      }

      const start = (name: 'api' | 'worker', replica: number, port: number) =>
        processes.add(`${name}-${replica}`, async () => {
          const { serverPid, stop } = await startOnLifeline({
            argv: argvOf(name),
            env: { ...base, ...environmentOf(service(name), replace(port)), RINGMASTER_POLL_SECONDS: '1' },
            cwd: home,
            signal: 'SIGTERM',
            killAfterMs: 4_000,
            log: join(home, `${name}-${replica}.log`),
          });
          return { pid: serverPid, stop };
        });
      const metricsPorts = await freePorts(2);
      await Promise.all([
        ...apiPorts.map((port, i) => start('api', i + 1, port)),
        ...metricsPorts.map((port, i) => start('worker', i + 1, port)),
      ]);

      const token = readFileSync(join(secrets, 'bootstrap_token'), 'utf8').trim();
      const api = async (replica: number, method: string, path: string, body?: unknown) => {
        const reply = await fetch(`http://127.0.0.1:${apiPorts[replica]}${path}`, {
          method,
          headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
          ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        });
        return { status: reply.status, body: JSON.parse(await reply.text()) };
      };
      const until = async (what: string, look: () => Promise<unknown>) => {
        let last: unknown;
        for (const end = performance.now() + 45_000; performance.now() < end; ) {
          last = await look().catch((error: Error) => error.message);
          if (last === true) return;
          await new Promise((resolve) => setTimeout(resolve, 100));
        }
        const logs = ['api-1', 'worker-1'].map((n) => readFileSync(join(home, `${n}.log`), 'utf8').slice(-1_500));
        throw new Error(`never: ${what}; last: ${JSON.stringify(last)}\n${logs.join('\n')}`);
      };
      // Exactly what the file asks to know whether a replica is well.
      for (const [name, ports] of [
        ['api', apiPorts],
        ['worker', metricsPorts],
      ] as const) {
        for (const port of ports) {
          const probe = (service(name).healthcheck?.test ?? [])
            .slice(1)
            .map((part) => part.replace(/8420|9464/, `${port}`));
          await until(`${name} is healthy`, async () => spawnSync(process.execPath, probe.slice(1)).status === 0);
        }
      }
      await until(
        'keys and administrator are in place',
        async () => (await api(0, 'POST', '/v1/join-tokens', {})).status === 201,
      );

      const superuser = new URL(postgres.superuserUrl);
      superuser.pathname = '/ringmaster';
      const pool = new pg.Pool({ connectionString: superuser.href, max: 2 });
      pool.on('error', () => undefined);
      try {
        await seedCatalogue({
          pool,
          contentDir: join(dataDir, 'content'),
          packages: [OLD, NEW].map((version) => ({ name: 'app', version })),
        });
        expect(
          (await api(1, 'PUT', '/v1/policy-sets/open', { precedence: 1, document: openPolicy() })).status,
        ).toBeLessThan(300);
        for (const replica of [0, 1]) {
          const host = new Host(`host-${replica}`, join(home, `host-${replica}`));
          host.make({ packages: [{ name: 'app', version: OLD }], available: [{ name: 'app', version: NEW }] });
          const joined = await api(replica, 'POST', '/v1/join-tokens', { labels: { site: 'compose' } });
          const config = join(host.stateDir, 'config.json');
          writeFileSync(
            config,
            JSON.stringify({
              server: `http://127.0.0.1:${apiPorts[replica]}`,
              name: host.name,
              stateDir: host.stateDir,
              joinToken: joined.body.token,
              zone: 'Etc/UTC',
              provider: 'simulated',
              minPollSeconds: 0.2,
              healthGraceSeconds: 1,
              reportBatchSeconds: 0.2,
            }),
          );
          await processes.add(host.process, async () => {
            const { serverPid, stop } = await startOnLifeline({
              argv: [process.execPath, join(programs, 'agent-bundle/ringmaster-agent.mjs'), 'run', '--config', config],
              env: base,
              cwd: home,
              signal: 'SIGTERM',
              log: join(home, `${host.name}.log`),
            });
            return { pid: serverPid, stop };
          });
        }
        const count = async (sql: string) => (await pool.query(sql)).rows[0].n as number;
        await until(
          'both hosts scanned',
          async () => (await count('SELECT count(DISTINCT endpoint_id)::int AS n FROM scan')) === 2,
        );

        const pollers = await pollersOf(temporal.address, 'ringmaster');
        expect(pollers).toBe(2);
        const change = await api(
          1,
          'POST',
          '/v1/changes',
          changeOf({ name: 'both replicas', labels: { site: 'compose' }, packages: ['app'] }),
        );
        expect(change.status).toBe(201);
        await until(
          'the change is closed',
          async () => (await count('SELECT count(*)::int AS n FROM change WHERE closed_at IS NOT NULL')) === 1,
        );
        const { rows } =
          await pool.query(`SELECT c.outcome, count(*)::int AS orders FROM change c JOIN order_state o ON o.change_id = c.id
           WHERE o.kind = 'change' AND o.state = 'succeeded' GROUP BY 1`);
        expect(rows).toEqual([{ outcome: 'completed', orders: 2 }]);
      } finally {
        await pool.end();
      }
      // Keys made by two workers at once are one set of whole keys.
      expect(readFileSync(join(home, 'keys/worker.pem'), 'utf8')).toContain('END PRIVATE KEY');
      expect(
        createHash('sha256')
          .update(readFileSync(join(home, 'keys/codes.key')))
          .digest('hex'),
      ).toHaveLength(64);
    } finally {
      await processes.end();
    }
  }, 120_000);
});

/** How many workers ask for work, as Temporal sees them. */
async function pollersOf(address: string, namespace: string): Promise<number> {
  const connection = await Connection.connect({ address });
  try {
    const reply = await connection.workflowService.describeTaskQueue({
      namespace,
      taskQueue: { name: 'ringmaster' },
      taskQueueType: 1,
    });
    return new Set((reply.pollers ?? []).map((poller) => poller.identity)).size;
  } finally {
    await connection.close();
  }
}
