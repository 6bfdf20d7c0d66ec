import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, it, jest } from '@jest/globals';
import { STRAGGLERS } from '../../domain/change/spec.js';
import { approvalWorkflowId } from '../../workflows/ids.js';
import type { Command } from '../../workflows/messages.js';
import { createDatabase, type TestDatabase } from '../helpers/postgres.js';
import { approvalRule, changeSpec, pumpResult, ringSpec, scriptedWorld } from '../helpers/scripted-activities.js';
import { type ScriptedWorker, startScriptedWorker } from '../helpers/scripted-worker.js';
import { startDevServer, type TestTemporal } from '../helpers/temporal.js';
import { bundleFromSources } from '../helpers/workflow-rig.js';

jest.setTimeout(120_000);

/** How often a decision is made at the very moment the ring goes on in a new history. */
const ROUNDS = 12;

let database: TestDatabase;
let temporal: TestTemporal;
beforeAll(async () => {
  // Every turn of a ring is long enough to go on in a new history.
  const dynamicConfig = ['limit.historyCount.suggestContinueAsNew=5'];
  [database, temporal] = await Promise.all([createDatabase(), startDevServer({ dynamicConfig })]);
});
afterAll(async () => {
  await temporal?.stop();
  await database?.drop();
});

/** The runs of a workflow id, oldest first, by following what each went on as. */
async function runsOf(worker: ScriptedWorker, workflowId: string): Promise<number> {
  let runs = 0;
  for await (const _ of worker.client.workflow.list({ query: `WorkflowId='${workflowId}'` })) runs += 1;
  return runs;
}

it('a decision arriving during continue-as-new', async () => {
  let worker: ScriptedWorker | undefined;
  let changeId = '';
  const answers: Promise<unknown>[] = [];
  const command = (words: Pick<Command, 'verb' | 'endpointId'>) => {
    const commandId = randomUUID();
    const handle = worker?.client.workflow.getHandle(`change/${changeId}`);
    const args: [Command] = [{ ...words, commandId, by: 'ada@example.test' }];
    // Twice, as after a lost acknowledgement: carried out once.
    const send = () => handle?.executeUpdate('command', { updateId: commandId, args });
    answers.push(Promise.all([send(), send()]));
  };
  let lanePumps = 0;
  let decided = false;
  const w = scriptedWorld({
    now: async () => Date.now(),
    rings: 2,
    script: {
      moveStragglers: ({ ring }) => ({ moved: ring === 0 ? 1 : 0 }),
      pump: async ({ ring }) => {
        if (ring !== STRAGGLERS) return pumpResult();
        lanePumps += 1;
        if (lanePumps > ROUNDS) return decided ? pumpResult() : pumpResult({ kind: 'windowsClosed', nextOpen: 0 });
        // The words leave as this answer does: the ring hears them while it ends one history and begins the next.
        command({ verb: 'skip', endpointId: `e-${lanePumps}` });
        command({ verb: 'resume' });
        if (lanePumps === Math.ceil(ROUNDS / 2)) void decide();
        return pumpResult({ kind: 'halted', haltedBy: 'person', haltReason: 'paused' });
      },
    },
  });
  const decide = async () => {
    const requestId = String(w.named('openApproval')[0]?.requestId);
    const request = worker?.client.workflow.getHandle(approvalWorkflowId({ changeId, ring: 1, requestId }));
    const send = (decisionId: string) =>
      request?.executeUpdate('decide', { updateId: decisionId, args: [{ decisionId, planDigest: 'digest-1' }] });
    await send('d1');
    decided = true;
  };
  worker = await startScriptedWorker({
    pool: database.pool,
    address: temporal.address,
    bundle: await bundleFromSources(),
    activities: w.activities,
  });
  changeId = await worker.start(changeSpec([ringSpec(), ringSpec({ approvals: [approvalRule()] })]));
  const change = worker.client.workflow.getHandle(`change/${changeId}`);
  await expect(change.result()).resolves.toEqual({ outcome: 'completed', reason: null });

  await Promise.all(answers);
  // Each `resume` freed the halted lane, or it would never have pumped again; each `skip` was carried out, once.
  expect(lanePumps).toBeGreaterThan(ROUNDS);
  expect(w.named('skipEndpoint').map((c) => c.endpointId)).toEqual(
    Array.from({ length: ROUNDS }, (_, i) => `e-${i + 1}`),
  );
  expect(w.named('judgeDecision')).toHaveLength(1);
  expect(w.named('openRing').map((c) => c.ring)).toEqual([0, STRAGGLERS, 1]);
  // And all of that while the lane went from history to history.
  expect(await runsOf(worker, `change/${changeId}/ring/${STRAGGLERS}`)).toBeGreaterThan(ROUNDS / 2);
  await worker.stop();
});
