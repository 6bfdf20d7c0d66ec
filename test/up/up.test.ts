import { spawn, spawnSync } from 'node:child_process';
import { chownSync, cpSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { Client, Connection } from '@temporalio/client';
import pg from 'pg';
import { identify, isRunning, waitForExit } from '../../cli/up/process-identity.js';
import { testCacheDir } from '../helpers/temporal.js';
import { buildCli, Installation } from './installation.js';

jest.setTimeout(120_000);

let cli: Awaited<ReturnType<typeof buildCli>>;
let one: Installation;
beforeAll(async () => {
  cli = await buildCli();
});
afterAll(() => cli.remove());
beforeEach(async () => {
  one = await Installation.create(cli.main);
});
afterEach(() => one.remove());

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const ALL = ['agent', 'api', 'postgres', 'temporal', 'worker'];

async function withTemporal<T>(installation: Installation, work: (client: Client) => Promise<T>): Promise<T> {
  const connection = await Connection.connect({ address: `127.0.0.1:${installation.port + 2}` });
  try {
    return await work(new Client({ connection }));
  } finally {
    await connection.close();
  }
}

/** Starts a workflow that nobody works on: it waits, and must be found waiting after every death. */
const startWaiting = (installation: Installation) =>
  withTemporal(installation, (client) =>
    client.workflow.start('waits', {
      taskQueue: 'nobody',
      workflowId: 'change/1',
      searchAttributes: { RmChange: ['1'] },
    }),
  );

const waitingStatus = (installation: Installation) =>
  withTemporal(installation, async (client) => (await client.workflow.getHandle('change/1').describe()).status.name);

async function query(installation: Installation, sql: string): Promise<pg.QueryResult> {
  const { owner } = installation.readJson('keys', 'database.json');
  const client = new pg.Client({
    connectionString: `postgresql://ringmaster_owner:${owner}@127.0.0.1:${installation.port + 1}/ringmaster`,
  });
  await client.connect();
  try {
    return await client.query(sql);
  } finally {
    await client.end();
  }
}

/** `nobody`, who may read what a checkout of root's holds and is otherwise no more than anybody. Elsewhere than as root all tests are. */
const NOBODY = 65_534;
const READS = ['inh-caps', 'ambient-caps', 'bounding-set'].map((set) => `--${set}=-all,+dac_read_search`);
const AS_NOBODY = ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups', ...READS];
const canBecomeNobody = process.getuid?.() === 0 && spawnSync('setpriv', [...AS_NOBODY.slice(1), 'true']).status === 0;

const uidOf = (pid: number) => Number(/^Uid:\t(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);

describe('ringmaster up', () => {
  test('says what runs where, hands each program its own part, and stops cleanly', async () => {
    const { output, stop } = await one.up();
    expect(output()).toContain(`http://127.0.0.1:${one.port}`);
    const token = /shown this once:\n {2}(rm_\S+)/.exec(output())?.[1];
    expect(token).toBeDefined();
    expect(one.runningNames()).toEqual(ALL);

    const [worker, api] = [one.readJson('worker-env.json'), one.readJson('api-env.json')];
    expect(worker.DATABASE_URL).toMatch(/^postgresql:\/\/ringmaster_worker:/);
    expect(worker.RINGMASTER_KEYS_DIR).toBe(join(one.data, 'keys/worker'));
    expect(worker.RINGMASTER_BOOTSTRAP_TOKEN).toBeUndefined();
    expect(api.DATABASE_URL).toMatch(/^postgresql:\/\/ringmaster_api:/);
    expect(api.RINGMASTER_KEYS_DIR).toBeUndefined();
    expect(api.RINGMASTER_BOOTSTRAP_TOKEN).toBe(token);
    while (!existsSync(join(one.data, 'agent/state-started.json'))) await sleep(50);
    expect(one.readJson('agent', 'state-started.json')).toMatchObject({
      command: 'run',
      config: { joinToken: 'join-me', scanOnly: true, server: `http://127.0.0.1:${one.port}` },
    });
    while (!output().includes('this machine     3 updates pending')) await sleep(50);
    expect(statSync(join(one.data, 'keys')).mode & 0o077).toBe(0);
    for (const file of ['keys/database.json', 'temporal.db', 'agent/config.json', 'logs/api.log']) {
      expect([file, statSync(join(one.data, file)).mode & 0o077]).toEqual([file, 0]);
    }

    const processes = Object.values(one.processes());
    await stop();
    expect(output()).toMatch(
      /stopping agent …\nstopping (api|worker) …\nstopping (api|worker) …\nstopping (postgres|temporal) …/,
    );
    expect(output().trimEnd()).toMatch(/stopping (postgres|temporal) …\nstopped\.$/);
    expect(processes.filter(isRunning)).toEqual([]);
    expect(one.processes()).toEqual({});
    expect(existsSync(join(one.data, 'postgres/data/postmaster.pid'))).toBe(false);

    const again = await one.up();
    expect(again.output()).not.toContain('shown this once');
    expect(one.readJson('api-env.json').RINGMASTER_BOOTSTRAP_TOKEN).toBeUndefined();
    expect(one.runningNames()).toEqual(ALL);
    await again.stop();
  });

  test('after kill -9 of everything the next start finds every row and every workflow where it was', async () => {
    const { supervisor } = await one.up();
    await startWaiting(one);
    await query(one, 'create table kept as select 42 as answer');
    await one.killAll(supervisor);
    expect(one.runningNames()).toEqual([]);

    const { stop } = await one.up();
    expect(await waitingStatus(one)).toBe('RUNNING');
    expect((await query(one, 'select answer from kept')).rows).toEqual([{ answer: 42 }]);
    await stop();
  });

  test('after kill -9 of the supervisor alone the next one takes the servers over and restarts the programs', async () => {
    const { supervisor } = await one.up();
    await startWaiting(one);
    const before = one.processes();
    process.kill(supervisor, 'SIGKILL');

    const { output, stop } = await one.up();
    const after = one.processes();
    expect(output()).toContain('ended worker of an earlier start');
    for (const name of ['postgres', 'temporal']) expect(after[name]).toEqual(before[name]);
    for (const name of ['worker', 'api', 'agent']) {
      expect(after[name]).not.toEqual(before[name]);
      expect(isRunning(before[name] as never)).toBe(false);
    }
    expect(await waitingStatus(one)).toBe('RUNNING');
    await stop();
    expect(output()).toMatch(/\nstopped\.\n$/);
    expect(Object.values(after).filter(isRunning)).toEqual([]);
  });

  test('starts again what dies, with the data it had', async () => {
    const { stop } = await one.up();
    await startWaiting(one);
    for (const name of ALL) {
      const before = one.process(name);
      process.kill(before.pid, 'SIGKILL');
      await waitForExit(before, 10_000);
      while (one.process(name).pid === before.pid || !isRunning(one.process(name))) {
        await sleep(50);
      }
    }
    for (let status: string | undefined; status !== 'RUNNING'; ) {
      status = await waitingStatus(one).catch(() => undefined);
    }
    await stop();
  });

  test('a second start on the same data refuses and disturbs nothing', async () => {
    const { stop } = await one.up();
    const second = one.upAndFail();
    expect(second.status).toBe(1);
    expect(second.output).toMatch(/already running .*process \d+, http:/);
    expect(one.runningNames()).toEqual(ALL);
    await stop();
  });

  test('two run side by side on ports of their own', async () => {
    const two = await Installation.create(cli.main);
    try {
      const runs = await Promise.all([one.up(), two.up()]);
      await startWaiting(one);
      expect(one.runningNames()).toEqual(ALL);
      expect(two.runningNames()).toEqual(ALL);
      await expect(waitingStatus(two)).rejects.toThrow(/not found/);
      await runs[0].stop();
      expect(two.runningNames()).toEqual(ALL);
      await runs[1].stop();
    } finally {
      await two.remove();
    }
  });

  test('never ends a process that merely got the id of one of ours', async () => {
    const { supervisor } = await one.up();
    await one.killAll(supervisor);
    const stranger = spawn('sleep', ['600'], { stdio: 'ignore' });
    try {
      const identity = identify(stranger.pid as number);
      for (const name of ALL) {
        const file = join(one.data, 'pids', `${name}.json`);
        const content = JSON.parse(readFileSync(file, 'utf8'));
        writeFileSync(file, JSON.stringify({ ...content, identity: { ...content.identity, pid: stranger.pid } }));
      }
      // PostgreSQL's own lock file, too, now names a living process, which it would respect for ever.
      const lockFile = join(one.data, 'postgres/data/postmaster.pid');
      writeFileSync(lockFile, readFileSync(lockFile, 'utf8').replace(/^\d+/, `${stranger.pid}`));
      const { stop } = await one.up();
      expect(identity && isRunning(identity)).toBe(true);
      await stop();
      expect(identity && isRunning(identity)).toBe(true);
    } finally {
      stranger.kill('SIGKILL');
    }
  });

  test('ends a server that no pid file names any more before it starts one', async () => {
    const { supervisor } = await one.up();
    const before = one.process('postgres');
    process.kill(supervisor, 'SIGKILL');
    writeFileSync(join(one.data, 'pids/postgres.json'), 'half a f');
    const { stop } = await one.up();
    expect(isRunning(before)).toBe(false);
    await stop();
  });

  test('works below a folder that only its owner may enter', async () => {
    const hidden = await Installation.create(cli.main, 0o700);
    try {
      const { supervisor } = await hidden.up();
      await query(hidden, 'create table kept as select 1 as one');
      expect(statSync(`/proc/${hidden.process('postgres').pid}`).uid).not.toBe(0);
      await hidden.killAll(supervisor);
      const { stop } = await hidden.up();
      expect((await query(hidden, 'select * from kept')).rows).toEqual([{ one: 1 }]);
      await stop();
    } finally {
      await hidden.remove();
    }
  });

  (canBecomeNobody ? test : test.skip)('needs no root: starts, is there again after a crash, and stops', async () => {
    chownSync(one.root, NOBODY, NOBODY);
    // What root has downloaded, in a place where others may run it; they would download it themselves.
    const env = { HOME: one.root, RINGMASTER_CACHE: join(one.root, 'cache') };
    if (existsSync(testCacheDir())) cpSync(testCacheDir(), env.RINGMASTER_CACHE, { recursive: true });
    else mkdirSync(env.RINGMASTER_CACHE);
    chownSync(env.RINGMASTER_CACHE, NOBODY, NOBODY);
    const { supervisor, output } = await one.up(env, AS_NOBODY);
    expect(one.runningNames()).toEqual(ALL);
    const pids = [supervisor, ...Object.values(one.processes()).map(({ pid }) => pid)];
    expect(pids.map(uidOf)).toEqual(pids.map(() => NOBODY));
    expect(output()).toMatch(/shown this once:\n {2}rm_\S+/);
    await query(one, 'create table kept as select 1 as one');
    await one.killAll(supervisor);
    const again = await one.up(env, AS_NOBODY);
    expect((await query(one, 'select * from kept')).rows).toEqual([{ one: 1 }]);
    expect(statSync(join(one.data, 'keys')).mode & 0o077).toBe(0);
    await again.stop();
    expect(again.output().trimEnd()).toMatch(/stopped\.$/);
    expect([one.processes(), one.strays()]).toEqual([{}, []]);
  });

  test('refuses with the reason: a taken port, a program not built, a setting that makes no sense', async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(one.port + 1, '127.0.0.1', resolve));
    const { output } = one.upAndFail();
    taken.close();
    expect(output).toMatch(new RegExp(`port ${one.port + 1} \\(PostgreSQL\\) is in use[^]*RINGMASTER_PORT`));
    expect(one.processes()).toEqual({});
    expect(one.upAndFail({ RINGMASTER_PROGRAMS_DIR: one.data }).output).toMatch(/not built: worker\/main\.js/);
    expect(one.upAndFail({ RINGMASTER_PORT: '84x0' }).output).toMatch(/RINGMASTER_PORT .*"84x0"/);
    expect(one.upAndFail({ TEMPORAL_ADDRESS: '127.0.0.1:1' }).output).toMatch(
      /cannot use Temporal at TEMPORAL_ADDRESS/,
    );
    expect(one.upAndFail({ DATABASE_URL: 'mysql://x' }).output).toMatch(/DATABASE_URL must look like/);
    expect(one.processes()).toEqual({});
  });
});
