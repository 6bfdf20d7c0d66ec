/** `ringmaster up` with the real programs: a change that waits for an approval outlives kill -9 of every process. */
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { Client, Connection } from '@temporalio/client';
import pg from 'pg';
import { identify, type ProcessIdentity, waitForExit } from '../../cli/up/process-identity.js';
import { startOnLifeline } from '../helpers/lifeline.js';
import { repositoryRoot } from '../helpers/repository.js';
import { approvalRule } from '../helpers/scripted-activities.js';
import { Host } from '../helpers/stack/hosts.js';
import { openPolicy, seedCatalogue } from '../helpers/stack/seed.js';
import { changeOf, NEW, OLD, ringOf } from '../helpers/stack.js';
import { Installation } from './installation.js';

jest.setTimeout(120_000);

const programs = process.env.RINGMASTER_PROGRAMS_DIR ?? join(repositoryRoot, 'dist');
const cli = join(programs, 'cli/main.js');
const TOKEN = 'rmt_real-programs-administrator';
const PACKAGE = 'app';
const LABELS = { team: 'kept' };
const ENV = {
  RINGMASTER_PROGRAMS_DIR: programs,
  RINGMASTER_BOOTSTRAP_TOKEN: TOKEN,
  RINGMASTER_DEFAULT_REPOSITORIES: 'off',
  RINGMASTER_POLL_SECONDS: '1',
};
const onDebian = /^ID=debian$/m.test(readFileSync('/etc/os-release', 'utf8'));

type EndpointReply = {
  name: string;
  simulated: boolean;
  scanOnly: boolean;
  lastScan: string | null;
  availableUpdates: number;
};
type ChangeReply = {
  stage: string;
  waitingFor: string | null;
  outcome: string | null;
  closedAt: string | null;
  planDigest: string | null;
  plan: object | null;
  approvals: { id: string; state: string; planDigest: string }[];
};

let one: Installation;
let running: Awaited<ReturnType<Installation['up']>>;
let agentPid: number;
let changeId: string;
let before: ChangeReply;

beforeAll(async () => {
  one = await Installation.create(cli);
  running = await one.up(ENV);
  await Promise.all([seed(), addManager()]);
  agentPid = await startSimulatedHost();
});
afterAll(() => one.remove());

async function api<T>(method: string, path: string, body?: unknown): Promise<T> {
  const reply = await fetch(`http://127.0.0.1:${one.port}${path}`, {
    method,
    headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    signal: AbortSignal.timeout(30_000),
  });
  const text = await reply.text();
  if (!reply.ok) throw new Error(`${method} ${path}: ${reply.status} ${text}`);
  return JSON.parse(text) as T;
}

/** As catalogue and content store would be after a repository's refresh. */
async function seed(): Promise<void> {
  const { owner } = one.readJson('keys', 'database.json');
  const pool = new pg.Pool({
    connectionString: `postgresql://ringmaster_owner:${owner}@127.0.0.1:${one.port + 1}/ringmaster`,
    max: 1,
  });
  const packages = [OLD, NEW].map((version) => ({ name: PACKAGE, version }));
  await seedCatalogue({ pool, contentDir: join(one.data, 'content'), packages }).finally(() => pool.end());
  await api('PUT', '/v1/policy-sets/open', { precedence: 1, document: openPolicy() });
}

const addManager = () =>
  api('POST', '/v1/accounts', { name: 'A manager', email: 'manager@example.test', roles: ['Manager'] });

/** A machine made up in a folder, with the real agent. @returns the agent's process id */
async function startSimulatedHost(): Promise<number> {
  const host = new Host('simulated', join(one.root, 'host'));
  host.make({ packages: [{ name: PACKAGE, version: OLD }], available: [{ name: PACKAGE, version: NEW }] });
  const { token } = await api<{ token: string }>('POST', '/v1/join-tokens', { labels: LABELS });
  const config = {
    server: `http://127.0.0.1:${one.port}`,
    name: 'simulated',
    stateDir: host.stateDir,
    joinToken: token,
    zone: 'Etc/UTC',
    provider: 'simulated',
    minPollSeconds: 0.2,
  };
  const file = join(one.root, 'simulated.json');
  writeFileSync(file, JSON.stringify(config));
  const { serverPid } = await startOnLifeline({
    argv: [process.execPath, join(programs, 'agent-bundle/ringmaster-agent.mjs'), 'run', '--config', file],
    env: one.env(),
    cwd: one.root,
    signal: 'SIGTERM',
    log: join(one.root, 'simulated.log'),
  });
  return serverPid;
}

const readChange = () => api<ChangeReply>('GET', `/v1/changes/${changeId}`);

/** @throws Error with the last look and the end of the worker's log when it never is as wanted. */
async function until<T>(what: string, look: () => Promise<T>, wanted: (seen: T) => boolean): Promise<T> {
  let seen: T | Error = new Error('not looked yet');
  for (const end = performance.now() + 60_000; performance.now() < end; ) {
    seen = await look().catch((error: Error) => error);
    if (!(seen instanceof Error) && wanted(seen)) return seen;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  const log = readFileSync(join(one.data, 'logs/worker.log'), 'utf8').split('\n').slice(-12).join('\n');
  throw new Error(`${what}: ${seen instanceof Error ? seen.message : JSON.stringify(seen)}\n${log}`);
}

/** Activities and decisions that Temporal waits for; one whose worker was killed is tried again after minutes only. */
async function underWay(): Promise<number> {
  const connection = await Connection.connect({ address: `127.0.0.1:${one.port + 2}` });
  try {
    const { workflow } = new Client({ connection });
    let count = 0;
    for await (const { workflowId } of workflow.list({ query: 'ExecutionStatus = "Running"' })) {
      const { raw } = await workflow.getHandle(workflowId).describe();
      count += (raw.pendingActivities?.length ?? 0) + (raw.pendingWorkflowTask ? 1 : 0);
    }
    return count;
  } finally {
    await connection.close();
  }
}

const endpoints = async () => (await api<{ items: EndpointReply[] }>('GET', '/v1/endpoints')).items;

describe('ringmaster up, the real programs', () => {
  (onDebian ? test : test.skip)('enrols this machine to be looked at only, and tells its pending updates', async () => {
    const here = (items: EndpointReply[]) => items.find((item) => item.name === hostname());
    const found = here(
      await until('this machine scanned', endpoints, (items) => (here(items)?.lastScan ?? null) !== null),
    );
    expect(found).toMatchObject({ scanOnly: true, simulated: false });
    const line = await until(
      'this machine on the terminal',
      async () => /^ {2}this machine {5}(\d+) updates? pending \(GET \/v1\/endpoints\)$/m.exec(running.output()),
      (match) => match !== null,
    );
    expect(Number(line?.[1])).toBe(found?.availableUpdates);
  });

  test('watches the disks of what it runs', async () => {
    const free = /^ringmaster_disk_free_bytes\{disk="(\w+)"\} \d+/gm;
    const metrics = () => fetch(`http://127.0.0.1:${one.port}/metrics`).then((reply) => reply.text());
    const text = await until('the disks told', metrics, (said) => said.includes('ringmaster_disk_free_bytes{'));
    expect([...text.matchAll(free)].map(([, disk]) => disk).sort()).toEqual(['content', 'postgresql', 'temporal']);
  });

  test('a change waits for its approval', async () => {
    await until('the host scanned', endpoints, (items) =>
      items.some(({ simulated, lastScan }) => simulated && lastScan !== null),
    );
    const rings = [ringOf({ approvals: [approvalRule({ from: { role: 'Manager' } })] })];
    const spec = changeOf({ name: 'November', labels: LABELS, packages: [PACKAGE], rings });
    changeId = (await api<{ id: string }>('POST', '/v1/changes', spec)).id;
    before = await until('an approval asked for', readChange, ({ waitingFor, approvals }) =>
      Boolean(waitingFor?.startsWith('Ring 0 waits for approval') && approvals.length > 0),
    );
    await until('nothing under way', underWay, (count) => count === 0);
    expect(before).toMatchObject({ closedAt: null, approvals: [{ state: 'open', planDigest: before.planDigest }] });
  });

  test('after kill -9 of everything it waits for the same approval', async () => {
    const agent = identify(agentPid) as ProcessIdentity;
    process.kill(agentPid, 'SIGKILL');
    await waitForExit(agent, 10_000);
    await one.killAll(running.supervisor);
    await until(
      'nothing left',
      async () => one.strays(),
      (left) => left.length === 0,
    );

    running = await one.up(ENV);
    const { stage, waitingFor, plan, approvals } = await readChange();
    expect({ stage, waitingFor, plan, approvals }).toEqual({
      stage: before.stage,
      waitingFor: before.waitingFor,
      plan: before.plan,
      approvals: before.approvals,
    });
  });

  test('its workflow still listens: an abort closes it', async () => {
    await api('POST', `/v1/changes/${changeId}/abort`, { reason: 'not needed any more' });
    const after = await until('the change closed', readChange, ({ closedAt }) => closedAt !== null);
    expect(after).toMatchObject({ outcome: 'aborted', planDigest: before.planDigest });
    expect(after.approvals).toMatchObject([{ id: before.approvals[0]?.id, state: 'voided' }]);
  });

  test('the audit log holds', () => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [cli, 'audit', 'verify'], {
      env: one.env(),
      encoding: 'utf8',
    });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toMatch(/^The chain holds: [1-9]\d* entries/);
  });

  test('Ctrl-C ends all of it', async () => {
    const supervisor = identify(running.supervisor) as ProcessIdentity;
    process.kill(running.supervisor, 'SIGINT');
    expect(await waitForExit(supervisor, 40_000)).toBe(true);
    expect(running.output()).toMatch(/\nstopped\.\n$/);
    await until(
      'nothing left',
      async () => one.strays(),
      (left) => left.length === 0,
    );
  });
});
