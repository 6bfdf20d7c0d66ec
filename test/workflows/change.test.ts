import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { STRAGGLERS } from '../../domain/change/spec.js';
import { DAY, HOUR } from '../../domain/time.js';
import { approvalWorkflowId } from '../../workflows/ids.js';
import {
  approvalRule,
  changeSpec,
  counts,
  pumpResult,
  ringSpec,
  scriptedWorld,
} from '../helpers/scripted-activities.js';
import { startTimeSkipping } from '../helpers/temporal.js';
import { untilTold } from '../helpers/until-told.js';
import { bundleFromSources, withWorker } from '../helpers/workflow-rig.js';

jest.setTimeout(120_000);

let env: TestWorkflowEnvironment;
let bundle: { code: string };
beforeAll(async () => {
  [env, bundle] = await Promise.all([startTimeSkipping(), bundleFromSources()]);
});
afterAll(() => env?.teardown());

const now = () => env.currentTimeMs();
type Script = NonNullable<Parameters<typeof scriptedWorld>[0]['script']>;
const world = (rings: number, script: Script = {}) => scriptedWorld({ now, rings, script });
const rings = (n: number, over = {}) => Array.from({ length: n }, (_, i) => ringSpec({ name: `ring ${i}`, ...over }));

describe('a change, weeks of waiting in seconds', () => {
  it('runs stage by stage through four rings, waiting for windows days apart and soaking between', async () => {
    const waited = new Set<number>();
    const it4 = world(4, {
      pump: async (args) => {
        if (args.ring === 0 || waited.has(args.ring)) return pumpResult();
        waited.add(args.ring);
        return pumpResult({
          kind: 'windowsClosed',
          nextOpen: (await now()) + 6 * DAY,
          counts: counts({ pending: 10, succeeded: 0 }),
        });
      },
    });
    await withWorker({
      env,
      bundle,
      activities: it4.activities,
      body: async (start) => {
        const began = await now();
        const change = await start(changeSpec(rings(4, { soakMinutes: 24 * 60 })));
        await expect(change.handle.result()).resolves.toEqual({ outcome: 'completed', reason: null });
        const days = ((await now()) - began) / DAY;
        expect(days).toBeGreaterThan(3 * 6 + 4);
      },
    });
    expect(it4.named('openRing').map((c) => c.ring)).toEqual([0, 1, 2, 3]);
    expect([...new Set(it4.named('project').map((c) => c.stage))]).toEqual([
      'discover',
      'obtain',
      'test',
      'prepare',
      'deploy',
      'confirm',
      'closed',
    ]);
    const waits = it4.named('project').map((c) => c.waitingFor);
    expect(waits).toContain('Ring 1 of 3 (ring 1) waits for hours of operation: 10 endpoints, open now');
    expect(waits.at(-1)).toBeNull();
  });

  it('sends content ahead for a day at most, and says so to the pumps too; rings come all the same', async () => {
    const pumped: { began: number; until: unknown }[] = [];
    const it3 = world(3, {
      planStaging: () => ({ orders: 20 }),
      pump: async ({ target, until }) => {
        if (target !== 'stage') return pumpResult();
        pumped.push({ began: await now(), until });
        return pumpResult({ kind: 'windowsClosed', nextOpen: (await now()) + 15 * HOUR });
      },
    });
    await withWorker({
      env,
      bundle,
      activities: it3.activities,
      body: async (start) => {
        const change = await start(changeSpec(rings(3)));
        await expect(change.handle.result()).resolves.toEqual({ outcome: 'completed', reason: null });
      },
    });
    expect(it3.named('openRing').map((c) => c.ring)).toEqual([0, 1, 2]);
    // Two lanes, each pumped in two windows: the third would open after the day is over.
    expect(pumped).toHaveLength(4);
    expect(new Set(pumped.map(({ until }) => until)).size).toBe(1);
    const day = Number(pumped[0]?.until) - Number(pumped[0]?.began);
    expect(day).toBeGreaterThan(23 * HOUR);
    expect(day).toBeLessThanOrEqual(DAY);
  });

  it('opens a ring only after its approval, with exactly the approved digest', async () => {
    const w = world(2);
    await withWorker({
      env,
      bundle,
      activities: w.activities,
      body: async (start) => {
        const change = await start(changeSpec([ringSpec(), ringSpec({ approvals: [approvalRule()] })]));
        await env.sleep('1 hour');
        expect(w.named('openRing').map((c) => c.ring)).toEqual([0]);
        expect((await change.progress()).waitingFor).toContain('Ring 1 waits for approval');
        const requestId = String(w.named('openApproval')[0]?.requestId);
        const request = env.client.workflow.getHandle(
          approvalWorkflowId({ changeId: change.changeId, ring: 1, requestId }),
        );
        await expect(
          request.executeUpdate('decide', { args: [{ decisionId: 'd0', planDigest: 'some other plan' }] }),
        ).rejects.toMatchObject({ cause: { message: 'the plan has changed since this page was shown' } });
        await request.executeUpdate('decide', { args: [{ decisionId: 'd1', planDigest: 'digest-1' }] });
        await expect(change.handle.result()).resolves.toMatchObject({ outcome: 'completed' });
        expect(w.named('openRing').at(-1)).toMatchObject({
          ring: 1,
          approvedDigest: 'digest-1',
          approvals: [requestId],
        });
      },
    });
  });

  it('reminds, escalates and expires, and never approves by itself', async () => {
    const w = world(2);
    await withWorker({
      env,
      bundle,
      activities: w.activities,
      body: async (start) => {
        const change = await start(changeSpec([ringSpec(), ringSpec({ approvals: [approvalRule()] })]));
        await env.sleep('8 days');
        expect(w.named('remindApproval')).toHaveLength(2);
        expect(w.named('escalateApproval')).toHaveLength(1);
        expect(w.named('closeApproval')).toMatchObject([{ state: 'expired' }]);
        expect((await change.progress()).waitingFor).toMatch(/Ring 1 stays shut: approval expired/);
        await change.command({ verb: 'resume' });
        await env.sleep('1 hour');
        expect(w.named('openApproval')).toHaveLength(2);
        expect(w.named('openRing').map((c) => c.ring)).toEqual([0]);
        await change.command({ verb: 'abort' });
        await expect(change.handle.result()).resolves.toMatchObject({ outcome: 'aborted' });
      },
    });
  });

  it('voids approvals when a new plan is wider, and asks again on the new digest', async () => {
    const w = world(2);
    await withWorker({
      env,
      bundle,
      activities: w.activities,
      body: async (start) => {
        const change = await start(changeSpec([ringSpec(), ringSpec({ approvals: [approvalRule()] })]));
        await env.sleep('1 hour');
        await change.command({ verb: 'replan' });
        await env.sleep('1 hour');
        expect(w.named('openApproval').map((c) => c.planDigest)).toEqual(['digest-1', 'digest-2']);
        expect(w.named('closeApproval')).toMatchObject([{ state: 'voided' }]);
        await change.command({ verb: 'abort' });
        await change.handle.result();
      },
    });
  });

  it('an approval given while a wider plan is being made approves nothing', async () => {
    const [approved, approve] = untilTold();
    const [content, obtained] = untilTold();
    const w = world(2, {
      // The approver's decision is being judged while the plan widens; both end as badly timed as they can.
      judgeDecision: () => approved.then(() => undefined),
      obtainContent: (_, call) => (call === 1 ? undefined : content.then(() => undefined)),
    });
    await withWorker({
      env,
      bundle,
      activities: w.activities,
      body: async (start) => {
        const change = await start(changeSpec([ringSpec(), ringSpec({ approvals: [approvalRule()] })]));
        await env.sleep('1 hour');
        const asked = w.named('openApproval')[0] as { requestId: string };
        const decision = env.client.workflow
          .getHandle(approvalWorkflowId({ changeId: change.changeId, ring: 1, requestId: asked.requestId }))
          .executeUpdate('decide', { args: [{ decisionId: 'd', planDigest: 'digest-1' }] });
        while (w.named('judgeDecision').length === 0) await new Promise((resolve) => setTimeout(resolve, 20));
        const replan = change.command({ verb: 'replan' });
        while (w.named('obtainContent').length < 2) await new Promise((resolve) => setTimeout(resolve, 20));
        approve();
        await decision;
        obtained();
        await replan;
        await env.sleep('1 hour');
        expect(w.named('openApproval').map((c) => c.planDigest)).toEqual(['digest-1', 'digest-2']);
        expect(w.named('openRing').map((c) => c.ring)).toEqual([0]);
        await change.command({ verb: 'abort' });
        await change.handle.result();
      },
    });
  });

  it('a rejection keeps the ring shut', async () => {
    const w = world(2, {
      judgeDecision: () => ({
        verdict: 'counted',
        decision: 'reject',
        reason: null,
        by: 'Ada',
        approvals: 0,
        quorumMet: false,
      }),
    });
    await withWorker({
      env,
      bundle,
      activities: w.activities,
      body: async (start) => {
        const change = await start(changeSpec([ringSpec(), ringSpec({ approvals: [approvalRule()] })]));
        await env.sleep('1 hour');
        const requestId = String(w.named('openApproval')[0]?.requestId);
        const request = env.client.workflow.getHandle(
          approvalWorkflowId({ changeId: change.changeId, ring: 1, requestId }),
        );
        await request.executeUpdate('decide', { args: [{ decisionId: 'd1', planDigest: 'digest-1' }] });
        await env.sleep('30 days');
        expect((await change.progress()).waitingFor).toMatch(/approval rejected \(rejected by Ada\)/);
        expect(w.named('openRing').map((c) => c.ring)).toEqual([0]);
        await change.command({ verb: 'abort' });
        await expect(change.handle.result()).resolves.toMatchObject({ outcome: 'aborted' });
      },
    });
  });
});

describe('stops', () => {
  const halted = (by: string) => pumpResult({ kind: 'halted', haltReason: '2 failed, budget 1', haltedBy: by });

  it('a spent budget rolls the ring back when its policy says so', async () => {
    const w = world(3, {
      pump: ({ ring, target }) => (ring === 1 && target === 'change' ? halted('budget') : undefined),
    });
    await withWorker({
      env,
      bundle,
      activities: w.activities,
      body: async (start) => {
        const change = await start(changeSpec(rings(3, { haltAction: 'rollback' })));
        await expect(change.handle.result()).resolves.toMatchObject({
          outcome: 'rolledBack',
          reason: '2 failed, budget 1',
        });
      },
    });
    expect(w.named('startRollback')).toMatchObject([{ ring: 1, by: 'ring policy', ignoreWindows: false }]);
    expect(
      w
        .named('pump')
        .filter((c) => c.ring === 1)
        .map((c) => c.target),
    ).toEqual(['change', 'revert']);
    expect(w.named('openRing').map((c) => c.ring)).toEqual([0, 1]);
  });

  it('a spent budget waits for a person otherwise; resume goes on', async () => {
    const w = world(2, { pump: ({ ring }, call) => (ring === 0 && call === 1 ? halted('budget') : undefined) });
    await withWorker({
      env,
      bundle,
      activities: w.activities,
      body: async (start) => {
        const change = await start(changeSpec(rings(2)));
        await env.sleep('20 days');
        expect((await change.progress()).waitingFor).toMatch(/Ring 0 of 1 \(ring 0\) is halted: 2 failed, budget 1/);
        await change.command({ verb: 'resume' });
        await expect(change.handle.result()).resolves.toMatchObject({ outcome: 'completed' });
        expect(w.named('clearHalt')).toHaveLength(1);
      },
    });
  });

  it('a pause between rings is waited out', async () => {
    const w = world(2);
    await withWorker({
      env,
      bundle,
      activities: w.activities,
      body: async (start) => {
        const change = await start(changeSpec(rings(2, { soakMinutes: 60 })));
        await env.sleep('10 minutes');
        await change.command({ verb: 'pause' });
        await env.sleep('10 days');
        expect(await change.progress()).toMatchObject({ paused: true, waitingFor: expect.stringContaining('Paused') });
        expect(w.named('openRing')).toHaveLength(1);
        await change.command({ verb: 'resume' });
        await expect(change.handle.result()).resolves.toMatchObject({ outcome: 'completed' });
      },
    });
  });

  it('an abort settles the open ring and opens no other', async () => {
    const w = world(3, { pump: async () => pumpResult({ kind: 'windowsClosed', nextOpen: (await now()) + DAY }) });
    await withWorker({
      env,
      bundle,
      activities: w.activities,
      body: async (start) => {
        const change = await start(changeSpec(rings(3)));
        await env.sleep('2 hours');
        await change.command({ verb: 'abort', reason: 'wrong month' });
        await expect(change.handle.result()).resolves.toEqual({ outcome: 'aborted', reason: 'wrong month' });
      },
    });
    expect(w.named('settleRing')).toMatchObject([{ ring: 0, reason: 'wrong month' }]);
    expect(w.named('openRing')).toHaveLength(1);
  });

  it('a rollback of the whole change undoes the running ring, then the earlier ones, last first', async () => {
    const w = world(3, {
      pump: async ({ ring, target }) =>
        ring === 2 && target === 'change'
          ? pumpResult({ kind: 'windowsClosed', nextOpen: (await now()) + DAY })
          : undefined,
    });
    await withWorker({
      env,
      bundle,
      activities: w.activities,
      body: async (start) => {
        const change = await start(changeSpec(rings(3)));
        await env.sleep('1 hour');
        await change.command({ verb: 'rollback', reason: 'bad update', ignoreWindows: true });
        await expect(change.handle.result()).resolves.toMatchObject({ outcome: 'rolledBack', reason: 'bad update' });
      },
    });
    expect(w.named('startRollback').map((c) => c.ring)).toEqual([2, 1, 0]);
    expect(w.named('startRollback')).toMatchObject([{ ignoreWindows: true }, {}, {}]);
  });

  it('at the deadline it winds up, confirms what is in, and says expired', async () => {
    const w = world(2, {
      pump: async ({ ring }) =>
        ring === 1 ? pumpResult({ kind: 'windowsClosed', nextOpen: (await now()) + DAY }) : undefined,
    });
    await withWorker({
      env,
      bundle,
      activities: w.activities,
      body: async (start) => {
        const change = await start(changeSpec(rings(2), { deadlineMinutes: 5 * 24 * 60 }));
        await expect(change.handle.result()).resolves.toMatchObject({ outcome: 'expired' });
      },
    });
    expect(w.named('confirm')).toHaveLength(1);
    expect(w.named('closeChange')).toMatchObject([{ outcome: 'expired' }]);
  });

  it('what is held by its numbers is promoted only by a person', async () => {
    const w = world(2, {
      evaluateRing: ({ ring }) =>
        ring === 0 ? { kind: 'hold', reason: '80 % of 10 succeeded, 95 % needed', counts: counts() } : undefined,
    });
    await withWorker({
      env,
      bundle,
      activities: w.activities,
      body: async (start) => {
        const change = await start(changeSpec(rings(2)));
        await env.sleep('5 days');
        expect((await change.progress()).waitingFor).toContain('80 % of 10 succeeded');
        expect(w.named('openRing')).toHaveLength(1);
        await change.command({ verb: 'resume' });
        await expect(change.handle.result()).resolves.toMatchObject({ outcome: 'completed' });
      },
    });
  });
});

describe('stragglers and long rings', () => {
  it('are caught up in a lane of their own that outlives their ring', async () => {
    let laneWindows = 0;
    const w = world(3, {
      moveStragglers: ({ ring }) => ({ moved: ring === 1 ? 1 : 0 }),
      pump: async ({ ring }) => {
        if (ring !== STRAGGLERS) return undefined;
        laneWindows += 1;
        return laneWindows < 4
          ? pumpResult({ kind: 'windowsClosed', nextOpen: (await now()) + 5 * DAY, counts: counts({ pending: 1 }) })
          : undefined;
      },
    });
    await withWorker({
      env,
      bundle,
      activities: w.activities,
      body: async (start) => {
        const change = await start(changeSpec(rings(3)));
        await expect(change.handle.result()).resolves.toMatchObject({ outcome: 'completed' });
      },
    });
    expect(laneWindows).toBe(4);
    const opened = w.named('openRing').map((c) => c.ring);
    expect([...opened].sort()).toEqual([0, 1, STRAGGLERS, 2].sort());
    const confirmAt = w.calls.findIndex((c) => c.name === 'confirm');
    const lastLanePump = w.calls.findLastIndex((c) => c.name === 'pump' && c.args.ring === STRAGGLERS);
    expect(confirmAt).toBeGreaterThan(lastLanePump);
  });

  it('goes on in a new history when the old one is long, and hears what is said meanwhile', async () => {
    let pumps = 0;
    const w = world(1, {
      pump: async () => {
        pumps += 1;
        return pumps < 420 ? pumpResult({ kind: 'windowsClosed', nextOpen: (await now()) + HOUR }) : undefined;
      },
    });
    await withWorker({
      env,
      bundle,
      activities: w.activities,
      body: async (start) => {
        const change = await start(changeSpec(rings(1)));
        const ring = env.client.workflow.getHandle(`change/${change.changeId}/ring/0`);
        while ((await ring.describe().catch(() => null)) === null) await env.sleep('1 minute');
        const first = (await ring.describe()).runId;
        const days = 15;
        for (let day = 0; day < days; day += 1) {
          await env.sleep('1 day');
          await change.command({ verb: 'skip', endpointId: `e-${day}` });
        }
        await expect(change.handle.result()).resolves.toMatchObject({ outcome: 'completed' });
        expect((await ring.describe()).runId).not.toBe(first);
        expect(w.named('skipEndpoint')).toHaveLength(days);
        expect(w.named('openRing')).toHaveLength(1);
      },
    });
  });
});
