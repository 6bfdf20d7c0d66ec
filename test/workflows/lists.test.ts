import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import type { WorkflowExecutionInfo } from '@temporalio/client';
import { createDatabase, type TestDatabase } from '../helpers/postgres.js';
import { approvalRule, changeSpec, ringSpec, scriptedWorld } from '../helpers/scripted-activities.js';
import { type ScriptedWorker, startScriptedWorker } from '../helpers/scripted-worker.js';
import { startDevServer, type TestTemporal } from '../helpers/temporal.js';
import { bundleFromSources } from '../helpers/workflow-rig.js';

jest.setTimeout(60_000);

let database: TestDatabase;
let bundle: { code: string };
beforeAll(async () => {
  [database, bundle] = await Promise.all([createDatabase(), bundleFromSources()]);
});
afterAll(() => database?.drop());

/** One ring that soaks for long, or one that waits for an approval. */
const soaking = changeSpec([ringSpec({ soakMinutes: 600 })]);
const asking = changeSpec([ringSpec({ approvals: [approvalRule()] })]);

async function until<T>(look: () => Promise<T | undefined>): Promise<T> {
  for (let i = 0; i < 400; i += 1) {
    const found = await look();
    if (found !== undefined) return found;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error('never came');
}

describe('lists in Temporal', () => {
  let temporal: TestTemporal;
  let worker: ScriptedWorker;
  beforeAll(async () => {
    temporal = await startDevServer();
    const { activities } = scriptedWorld({ now: async () => Date.now(), rings: 1 });
    worker = await startScriptedWorker({ pool: database.pool, address: temporal.address, bundle, activities });
  });
  afterAll(async () => {
    await worker?.stop();
    await temporal?.stop();
  });

  const listed = (query: string) =>
    until(async () => {
      for await (const found of worker.client.workflow.list({ query })) return found as WorkflowExecutionInfo;
      return undefined;
    });

  it('find a change and its ring by change, kind, stage and what they wait for', async () => {
    const id = await worker.start(soaking);
    const change = await listed(
      `RmChange='${id}' AND WorkflowType='patchCycle' AND RmStage='test' AND RmWaitingFor='soak'`,
    );
    expect(change.searchAttributes).toMatchObject({ RmKind: ['patch'] });
    const ring = await listed(`RmChange='${id}' AND WorkflowType='ring' AND RmWaitingFor='soak'`);
    expect(ring.searchAttributes).toMatchObject({ RmKind: ['patch'], RmStage: ['test'] });
    expect(worker.warnings).toEqual([]);
  });

  it('find what waits for an approval, and its request', async () => {
    const id = await worker.start(asking);
    await listed(`RmChange='${id}' AND WorkflowType='patchCycle' AND RmWaitingFor='approval'`);
    await listed(`RmChange='${id}' AND WorkflowType='approval' AND RmWaitingFor='approval'`);
  });

  it('say closed, and that nothing is waited for, once it is over', async () => {
    const id = await worker.start(changeSpec([ringSpec()]));
    const { searchAttributes } = await listed(`RmChange='${id}' AND WorkflowType='patchCycle' AND RmStage='closed'`);
    expect(searchAttributes).not.toHaveProperty('RmWaitingFor');
  });
});

describe('a Temporal nobody has told of our attributes', () => {
  it('carries changes from start to end all the same', async () => {
    const temporal = await startDevServer({ searchAttributes: 'none' });
    const { activities } = scriptedWorld({ now: async () => Date.now(), rings: 1 });
    const worker = await startScriptedWorker({ pool: database.pool, address: temporal.address, bundle, activities });
    const id = await worker.start(changeSpec([ringSpec()]));
    await expect(worker.client.workflow.getHandle(`change/${id}`).result()).resolves.toMatchObject({
      outcome: 'completed',
    });
    expect(worker.warnings).toEqual(['Temporal does not know our search attributes; started without them']);
    await worker.stop();
    await temporal.stop();
  });
});
