/** A whole Ringmaster in a temporary folder, as `ringmaster up` runs it, and a simulated fleet beside it in its own process. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { DATABASE } from '../cli/up/database-roles.js';
import { makeRepository } from '../sim/repository.js';
import type { Usages } from './processes.js';
import { usageOf } from './processes.js';

const dist = dirname(dirname(fileURLToPath(import.meta.url)));
const TOKEN = 'rmt_bench-administrator';

export interface Installation {
  readonly url: string;
  readonly temporalAddress: string;
  readonly dataDir: string;
  /** The owner's, for looking. */
  readonly pool: pg.Pool;
  /** @throws Error with the answer unless it is a 2xx. */
  api<T = Record<string, unknown>>(method: string, path: string, body?: unknown): Promise<T>;
  startFleet(options: readonly string[]): Promise<SimulatedFleet>;
  usage(): Usages;
  end(): Promise<void>;
}

export interface SimulatedFleet {
  /** Settles when all have enrolled and sent their first inventory. */
  readonly enrolled: Promise<void>;
  ask<T = Record<string, unknown>>(command: object): Promise<T>;
}

/** @param say one line for the person at the terminal */
export async function install(say: (line: string) => void): Promise<Installation> {
  const home = mkdtempSync(join(tmpdir(), 'ringmaster-bench-'));
  const dataDir = join(home, 'data');
  const port = await freePorts(5);
  const url = `http://127.0.0.1:${port}`;
  const log = openSync(join(home, 'up.log'), 'a');
  const up = spawn(process.execPath, [join(dist, 'cli/main.js'), 'up'], {
    stdio: ['ignore', log, log],
    env: {
      ...process.env,
      NODE_ENV: 'production',
      RINGMASTER_DATA: dataDir,
      RINGMASTER_PORT: `${port}`,
      RINGMASTER_BOOTSTRAP_TOKEN: TOKEN,
      RINGMASTER_DEFAULT_REPOSITORIES: 'off',
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
        authorization: `Bearer ${TOKEN}`,
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
    const repository = await makeRepository(join(home, 'repository'));
    await api('PUT', '/v1/repositories/simulated', repository.body);
    await api('PUT', '/v1/policy-sets/bench', { precedence: 1, document: OPEN_ALWAYS });
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
    temporalAddress: `127.0.0.1:${port + 2}`,
    dataDir,
    pool,
    api,
    usage: () => usageOf(pids()),
    end,
    async startFleet(options) {
      const count = Number(options[options.indexOf('--endpoints') + 1]);
      const { token } = await api<{ token: string }>('POST', '/v1/join-tokens', {
        uses: count,
        expiresInSeconds: 86_400,
      });
      fleet = spawn(process.execPath, [join(dist, 'sim/main.js'), '--url', url, '--token', token, ...options], {
        stdio: ['pipe', 'pipe', 'inherit'],
      });
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

const OPEN_ALWAYS = {
  appliesTo: { all: true },
  hours: { communicate: { always: true }, stage: { always: true }, apply: { always: true } },
  freezeCalendars: [],
  reboot: 'ifNeeded',
  expectedMinutes: 1,
  healthChecks: [{ type: 'port', port: 8088 }],
  hooks: [],
  stageRateLimit: null,
};

/** @throws Error when it did not come to pass in so many seconds. */
export async function until(what: string, seconds: number, look: () => Promise<boolean>, everyMs = 100): Promise<void> {
  for (const end = performance.now() + seconds * 1_000; performance.now() < end; ) {
    if (await look()) return;
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
  throw new Error(`not within ${seconds} s: ${what}`);
}

/** The first of so many free ports in a row. */
async function freePorts(count: number): Promise<number> {
  for (let tries = 0; tries < 50; tries++) {
    const first = 20_000 + Math.floor(Math.random() * 20_000);
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
