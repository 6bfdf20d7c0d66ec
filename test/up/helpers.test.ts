import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { expect, jest, test } from '@jest/globals';
import { Client, Connection } from '@temporalio/client';
import pg from 'pg';
import { identify, waitForExit } from '../../cli/up/process-identity.js';
import { createDatabase, startPostgres } from '../helpers/postgres.js';
import { startDevServer, startTimeSkipping } from '../helpers/temporal.js';

jest.setTimeout(60_000);

test('a dev server knows our search attributes at once', async () => {
  const server = await startDevServer();
  const connection = await Connection.connect({ address: server.address });
  const workflowId = randomUUID();
  await new Client({ connection }).workflow.start('any', {
    taskQueue: 'nobody',
    workflowId,
    searchAttributes: { RmChange: ['c1'], RmWaitingFor: ['approval'] },
  });
  const description = await new Client({ connection }).workflow.getHandle(workflowId).describe();
  expect(description.searchAttributes).toMatchObject({ RmChange: ['c1'], RmWaitingFor: ['approval'] });
  await connection.close();
  await server.stop();
  expect(identify(server.serverPid)).toBeUndefined();
});

test('the time-skipping server sleeps a month in no time', async () => {
  const environment = await startTimeSkipping();
  const before = await environment.currentTimeMs();
  await environment.sleep('30 days');
  expect((await environment.currentTimeMs()) - before).toBeGreaterThanOrEqual(30 * 24 * 3600 * 1000);
  await environment.teardown();
});

test('databases are copies of one template, apart from each other, and the roles have only their rights', async () => {
  const [one, two] = await Promise.all([createDatabase(), createDatabase()]);
  await one.pool.query('create table only_here ()');
  await expect(two.pool.query('select from only_here')).rejects.toThrow(/does not exist/);
  const api = new pg.Client({ connectionString: one.apiUrl });
  await api.connect();
  await expect(api.query('create table mine ()')).rejects.toThrow(/permission denied/);
  await expect(api.query('select count(*) from change')).resolves.toBeDefined();
  await api.end();
  await Promise.all([one.drop(), two.drop()]);
});

test('a server of its own can be killed, and leaves nothing', async () => {
  const server = await startPostgres();
  const keeper = identify(server.keeperPid);
  process.kill(server.serverPid, 'SIGKILL');
  expect(keeper && (await waitForExit(keeper, 10_000))).toBe(true);
  expect(existsSync(`/proc/${server.serverPid}`)).toBe(false);
});
