/** A whole Ringmaster in a temporary folder, as `ringmaster up` runs it, and a simulated fleet beside it in its own process. */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { DATABASE } from '../cli/up/database-roles.js';
import { makeRepository } from '../sim/repository.js';

const dist = dirname(dirname(fileURLToPath(import.meta.url)));

export interface Installation {
  readonly url: string;
  /** The first administrator's API token. */
  readonly token: string;
  readonly temporalAddress: string;
  readonly dataDir: string;
  /** The owner's, for looking. */
  readonly pool: pg.Pool;
  /** @throws Error with the answer unless it is a 2xx. */
  api<T = Record<string, unknown>>(method: string, path: string, body?: unknown): Promise<T>;
  startFleet(options: readonly string[]): Promise<SimulatedFleet>;
  /** Process ids by name; the simulator's once it runs. */
  pids(): Readonly<Record<string, number>>;
  /** Ends everything and removes the folder. */
  end(): Promise<void>;
}

export interface SimulatedFleet {
  /** Settles when all have enrolled and sent their first inventory. */
  readonly enrolled: Promise<void>;
  ask<T = Record<string, unknown>>(command: object): Promise<T>;
}

export interface InstallOptions {
  /** What it is for: in the folder's name and the administrator's token. */
  readonly purpose: string;
  /** Tried first; without it, or when it or one after it is taken: any five in a row that are free. */
  readonly port?: number;
  /** Takes the server's own package sources as repositories, as a real installation does; else only the simulated one. */
  readonly realRepositories?: boolean;
  /** One line for the person at the terminal. */
  readonly say: (line: string) => void;
}

/** @throws Error when something did not come up; nothing is left then. */
export async function install(options: InstallOptions): Promise<Installation> {
  const { say } = options;
  const home = mkdtempSync(join(tmpdir(), `ringmaster-${options.purpose}-`));
  const dataDir = join(home, 'data');
  const port = await freePorts(5, options.port);
  const url = `http://127.0.0.1:${port}`;
  const token = `rmt_${randomBytes(24).toString('base64url')}`;
  const log = openSync(join(home, 'up.log'), 'a');
  const up = spawn(process.execPath, [join(dist, 'cli/main.js'), 'up'], {
    stdio: ['ignore', log, log],
    env: {
      ...process.env,
      NODE_ENV: 'production',
      RINGMASTER_DATA: dataDir,
      RINGMASTER_PORT: `${port}`,
      RINGMASTER_BOOTSTRAP_TOKEN: token,
      ...(options.realRepositories === true ? {} : { RINGMASTER_DEFAULT_REPOSITORIES: 'off' }),
      RINGMASTER_LOG_LEVEL: process.env.RINGMASTER_LOG_LEVEL ?? 'warn',
    },
  });
  let fleet: ChildProcess | null = null;
  let pool: pg.Pool | null = null;
  const end = async () => {
    fleet?.kill('SIGTERM');
    await pool?.end().catch(() => undefined);
    if (up.exitCode === null) {
      up.kill('SIGTERM');
      await new Promise((resolve) => up.once('exit', resolve));
    }
    if (process.env.RINGMASTER_BENCH_KEEP === undefined) rmSync(home, { recursive: true, force: true });
    else say(`kept: ${home}`);
  };
  const api: Installation['api'] = async (method, path, body) => {
    const reply = await fetch(new URL(path, url), {
      method,
      headers: {
        authorization: `Bearer ${token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await reply.text();
    if (!reply.ok) throw new Error(`${method} ${path}: ${reply.status} ${text.slice(0, 500)}`);
    return text === '' ? null : JSON.parse(text);
  };
  try {
    await until('the installation', 180, async () => {
      if (up.exitCode !== null)
        throw new Error(`it ended: ${readFileSync(join(home, 'up.log'), 'utf8').slice(-2_000)}`);
      return readFileSync(join(home, 'up.log'), 'utf8').includes('is up after');
    });
    const passwords = JSON.parse(readFileSync(join(dataDir, 'keys/database.json'), 'utf8'));
    pool = new pg.Pool({
      connectionString: `postgresql://ringmaster_owner:${passwords.owner}@127.0.0.1:${port + 1}/${DATABASE}`,
      max: 10,
    });
    pool.on('error', () => undefined);
    if (options.realRepositories !== true) {
      const repository = await makeRepository(join(home, 'repository'));
      await api('PUT', '/v1/repositories/simulated', repository.body);
    }
  } catch (error) {
    await end();
    throw error;
  }
  const pids = () => ({
    ...Object.fromEntries(
      ['postgres', 'temporal', 'worker', 'api'].map((name) => [
        name,
        JSON.parse(readFileSync(join(dataDir, 'pids', `${name}.json`), 'utf8')).identity.pid as number,
      ]),
    ),
    ...(fleet?.pid === undefined ? {} : { simulator: fleet.pid }),
  });
  return {
    url,
    token,
    temporalAddress: `127.0.0.1:${port + 2}`,
    dataDir,
    pool,
    api,
    pids,
    end,
    async startFleet(options) {
      const count = Number(options[options.indexOf('--endpoints') + 1]);
      const joinToken = await api<{ token: string }>('POST', '/v1/join-tokens', {
        uses: count,
        expiresInSeconds: 86_400,
      });
      fleet = spawn(
        process.execPath,
        [join(dist, 'sim/main.js'), '--url', url, '--token', joinToken.token, ...options],
        {
          stdio: ['pipe', 'pipe', 'inherit'],
        },
      );
      return talkTo(fleet);
    },
  };
}

function talkTo(fleet: ChildProcess): SimulatedFleet {
  const waiting = new Map<number, (answer: Record<string, unknown>) => void>();
  let asked = 0;
  let done: () => void = () => undefined;
  const enrolled = new Promise<void>((resolve, reject) => {
    done = resolve;
    fleet.once('exit', (code) => reject(new Error(`the simulator ended with ${code}`)));
  });
  enrolled.catch(() => undefined);
  createInterface({ input: fleet.stdout as NodeJS.ReadableStream }).on('line', (line) => {
    const message = JSON.parse(line) as Record<string, unknown>;
    if (message.event === 'enrolled') done();
    if (typeof message.id === 'number') waiting.get(message.id)?.(message);
  });
  return {
    enrolled,
    ask: (command) =>
      new Promise((resolve, reject) => {
        asked += 1;
        const id = asked;
        waiting.set(id, (answer) => {
          waiting.delete(id);
          if (answer.ok === true) resolve(answer as never);
          else reject(new Error(String(answer.error)));
        });
        fleet.stdin?.write(`${JSON.stringify({ id, ...command })}\n`);
      }),
  };
}

/** @throws Error when it did not come to pass in so many seconds. */
export async function until(what: string, seconds: number, look: () => Promise<boolean>, everyMs = 100): Promise<void> {
  for (const end = performance.now() + seconds * 1_000; performance.now() < end; ) {
    if (await look()) return;
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
  throw new Error(`not within ${seconds} s: ${what}`);
}

/** The first of so many free ports in a row. @param wanted tried first */
async function freePorts(count: number, wanted?: number): Promise<number> {
  for (let tries = 0; tries < 50; tries++) {
    const first = tries === 0 && wanted !== undefined ? wanted : 20_000 + Math.floor(Math.random() * 20_000);
    const free = await Promise.all(Array.from({ length: count }, (_, i) => isFree(first + i)));
    if (free.every(Boolean)) return first;
  }
  throw new Error(`found no ${count} free ports in a row`);
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
