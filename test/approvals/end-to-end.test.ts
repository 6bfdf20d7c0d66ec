import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { Client, Connection } from '@temporalio/client';
import { NativeConnection, Worker } from '@temporalio/worker';
import { submitDecision } from '../../db/approvals/decision.js';
import { inTransaction } from '../../db/pool.js';
import type { ApprovalRule } from '../../domain/approval/rule.js';
import { type RunningDuties, startDuties } from '../../worker/loops.js';
import { mailDuty } from '../../worker/mail-duty.js';
import { relayOutbox } from '../../worker/relay.js';
import { approvalWorkflowId, TASK_QUEUE } from '../../workflows/ids.js';
import type { ApprovalInput, ApprovalResult } from '../../workflows/messages.js';
import { addressesIn, visibleText } from '../helpers/html.js';
import { approvalRule, scriptedWorld } from '../helpers/scripted-activities.js';
import type { SeededAccount, SeededChange } from '../helpers/seed-change.js';
import { startDevServer, type TestTemporal } from '../helpers/temporal.js';
import { bundleFromSources } from '../helpers/workflow-rig.js';
import { ApprovalRig, FROM, quiet } from './rig.js';

jest.setTimeout(120_000);
let rig: ApprovalRig;
let temporal: TestTemporal;
let connection: Connection;
let native: NativeConnection;
let client: Client;
let worker: Worker;
let working: Promise<void>;
let duties: RunningDuties;

beforeAll(async () => {
  rig = await ApprovalRig.start({ judge: false });
  const [server, workflowBundle] = await Promise.all([startDevServer(), bundleFromSources()]);
  temporal = server;
  connection = await Connection.connect({ address: temporal.address });
  native = await NativeConnection.connect({ address: temporal.address });
  client = new Client({ connection });
  worker = await Worker.create({
    connection: native,
    taskQueue: TASK_QUEUE,
    workflowBundle,
    activities: { ...scriptedWorld({ now: async () => Date.now(), rings: 2 }).activities, ...rig.activities },
  });
  working = worker.run();
  const { workerPool: pool, clock } = rig;
  duties = startDuties({
    clock,
    log: quiet,
    duties: [
      {
        name: 'outbox',
        everyMs: 50,
        run: async () => (await relayOutbox({ pool, client, clock, log: quiet })) === 50,
      },
      {
        ...mailDuty({
          pool,
          clock,
          log: quiet,
          settings: { smtpUrl: rig.mailbox.url, mailFrom: FROM, dataDir: '/nowhere' },
        }),
        everyMs: 50,
      },
    ],
  });
}, 180_000);

afterAll(async () => {
  await duties?.stop();
  worker?.shutdown();
  await working;
  await native?.close();
  await connection?.close();
  await temporal?.stop();
  await rig?.stop();
});

async function start(change: SeededChange, rule: ApprovalRule) {
  const requestId = randomUUID();
  const workflowId = approvalWorkflowId({ changeId: change.changeId, ring: 1, requestId });
  const input: ApprovalInput = { requestId, changeId: change.changeId, ring: 1, rule, planDigest: change.planDigest };
  const handle = await client.workflow.start<(i: ApprovalInput) => Promise<ApprovalResult>>('approval', {
    workflowId,
    taskQueue: TASK_QUEUE,
    args: [input],
  });
  return { asked: { ...change, requestId, people: [] }, handle, workflowId };
}

async function mailed(person: SeededAccount): Promise<string> {
  for (let i = 0; i < 400; i += 1) {
    const mail = rig.mailbox.to(person.email).find((m) => m.subject.startsWith('Approve or reject'));
    if (mail !== undefined) return addressesIn(mail.text)[0] as string;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  throw new Error(`${person.name} got no mail`);
}

async function verdict(decisionId: string): Promise<{ state: string; reason: string | null }> {
  for (let i = 0; i < 400; i += 1) {
    const { rows } = await rig.db.pool.query(
      'SELECT state, refused_reason AS reason FROM approval_decision WHERE id = $1',
      [decisionId],
    );
    if (rows[0].state !== 'submitted') return rows[0];
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  throw new Error('nobody judged it');
}

describe('from the mail to the workflow', () => {
  it('a POST on the mailed page is carried to the workflow, judged there and approves; after its end nothing does', async () => {
    const ada = await rig.account('Ada', { secondChannel: 'ada.e2e@example.test' });
    const bob = await rig.account('Bob');
    const change = await rig.smallChange((await rig.account('Requester')).id);
    const rule = approvalRule({ from: { accounts: [ada.id, bob.id] } });
    const { asked, handle, workflowId } = await start(change, rule);

    const url = await mailed(ada);
    for (let i = 0; i < 200 && rig.codeMailedTo('ada.e2e@example.test', asked) === null; i += 1)
      await new Promise((resolve) => setTimeout(resolve, 25));
    const code = rig.codeMailedTo('ada.e2e@example.test', asked) as string;
    const browser = rig.browser();
    const page = await browser.send('GET', url, {});
    const fields = { _csrf: page.field('_csrf'), planDigest: page.field('planDigest'), decision: 'approve', code };
    const reply = await browser.post(new URL(url).pathname, fields);
    expect([reply.status, visibleText(reply.text)]).toEqual([200, expect.stringContaining('has been counted')]);
    await expect(handle.result()).resolves.toEqual({ kind: 'approved', reason: '1 approved' });
    expect(await rig.state(asked)).toBe('approved');
    const { rows } = await rig.db.pool.query(
      `SELECT done_at, result FROM outbox WHERE workflow_id = $1 AND topic = 'decision'`,
      [workflowId],
    );
    expect(rows).toEqual([
      { done_at: expect.any(Date), result: { kind: 'done', result: { verdict: 'counted', reason: null } } },
    ]);

    const late = await rig
      .decide({ asked, person: bob, browser: await rig.signedIn(bob) })
      .catch((error: Error) => error);
    expect(String(late)).toContain('has no field'); // the page offers no form any more
    // One whose page was open before, and whose POST passed the page's own look at the request.
    const decisionId = await inTransaction(rig.db.pool, (db) =>
      submitDecision(db, {
        requestId: asked.requestId,
        workflowId,
        accountId: bob.id,
        decision: 'reject',
        comment: '',
        planDigest: change.planDigest,
        proof: 'session',
        code: null,
        now: rig.clock(),
      }),
    );
    expect(await verdict(decisionId)).toEqual({ state: 'refused', reason: 'the workflow is over' });
    expect(await rig.audit(asked)).toEqual([
      'approval.opened',
      'approval.decisionSubmitted',
      'approval.decided',
      'approval.approved',
      'approval.decisionSubmitted',
      'approval.decisionRefused',
    ]);
  });

  it('a rejection ends it as rejected, though it was handed over twice', async () => {
    const ada = await rig.account('Ada');
    const change = await rig.smallChange((await rig.account('Requester')).id);
    const { asked, handle } = await start(change, approvalRule({ from: { accounts: [ada.id] }, quorum: 1 }));
    await mailed(ada);
    const browser = await rig.signedIn(ada);
    expect((await rig.decide({ asked, person: ada, browser, fields: { decision: 'reject' } })).status).toBe(200);
    // The relay died before it noted the answer: the same Update again.
    await rig.db.pool.query('UPDATE outbox SET done_at = NULL, next_attempt_at = now() WHERE done_at IS NOT NULL');
    await expect(handle.result()).resolves.toMatchObject({ kind: 'rejected' });
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(await rig.decisions(asked)).toMatchObject([{ state: 'counted', decision: 'reject' }]);
    expect(await rig.state(asked)).toBe('rejected');
  });

  it('a decision on an old plan is refused by the workflow without being looked at', async () => {
    const ada = await rig.account('Ada');
    const change = await rig.smallChange((await rig.account('Requester')).id);
    const { asked, handle } = await start(change, approvalRule({ from: { accounts: [ada.id] } }));
    await mailed(ada);
    const fields = { planDigest: 'c'.repeat(64) };
    const page = await rig.decide({ asked, person: ada, browser: await rig.signedIn(ada), fields });
    expect([page.status, visibleText(page.text)]).toEqual([409, expect.stringContaining('the plan has changed')]);
    await handle.signal('void', 'the plan has become wider');
    await expect(handle.result()).resolves.toEqual({ kind: 'voided', reason: 'the plan has become wider' });
    expect(await rig.state(asked)).toBe('voided');
  });

  it('two people at the same moment make a quorum of two', async () => {
    const [ada, bob] = [await rig.account('Ada'), await rig.account('Bob')];
    const change = await rig.smallChange((await rig.account('Requester')).id);
    const { asked, handle } = await start(change, approvalRule({ from: { accounts: [ada.id, bob.id] }, quorum: 2 }));
    await Promise.all([mailed(ada), mailed(bob)]);
    const browsers = [await rig.signedIn(ada), await rig.signedIn(bob)] as const;
    const pages = await Promise.all([
      rig.decide({ asked, person: ada, browser: browsers[0] }),
      rig.decide({ asked, person: bob, browser: browsers[1] }),
    ]);
    expect(pages.map((p) => p.status)).toEqual([200, 200]);
    await expect(handle.result()).resolves.toEqual({ kind: 'approved', reason: '2 approved' });
  });
});
