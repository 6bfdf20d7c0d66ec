/** A plan made anew while a change is under way, in the orders of events that real ones meet too rarely to be waited for. */
import { afterAll, beforeAll, expect, it, jest } from '@jest/globals';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import type { FrozenPlanResult } from '../../activities/contract.js';
import { approvalRule, changeSpec, ringSpec, scriptedWorld } from '../helpers/scripted-activities.js';
import { startTimeSkipping } from '../helpers/temporal.js';
import { untilTold } from '../helpers/until-told.js';
import { bundleFromSources, type RunningChange, withWorker } from '../helpers/workflow-rig.js';

jest.setTimeout(120_000);

let env: TestWorkflowEnvironment;
let bundle: { code: string };
beforeAll(async () => {
  [env, bundle] = await Promise.all([startTimeSkipping(), bundleFromSources()]);
});
afterAll(() => env?.teardown());

type Script = NonNullable<Parameters<typeof scriptedWorld>[0]['script']>;
const world = (script: Script) => scriptedWorld({ now: () => env.currentTimeMs(), rings: 2, script });
const gated = changeSpec([ringSpec(), ringSpec({ approvals: [approvalRule()] })]);

/** The plan of this revision with so many endpoints per ring. */
const plan = (revision: number, widened: boolean, endpoints: readonly number[] = [10, 10]): FrozenPlanResult => ({
  digest: `digest-${revision}`,
  revision,
  rings: endpoints.map((n, ordinal) => ({ ordinal, name: `ring ${ordinal}`, endpoints: n })),
  excluded: 0,
  widened,
  empty: endpoints.every((n) => n === 0),
});

const until = async (look: () => boolean) => {
  while (!look()) await new Promise((resolve) => setTimeout(resolve, 20));
};

it('two at once are made one after the other: what the first has widened, the second that changes nothing does not hide', async () => {
  const [held, first] = untilTold();
  const w = world({
    freezePlan: (_, call) =>
      call === 1 ? plan(1, false) : call === 2 ? held.then(() => plan(2, true)) : plan(2, false),
  });
  await withWorker({
    env,
    bundle,
    activities: w.activities,
    body: async (start) => {
      const change = await start(gated);
      await env.sleep('1 hour');
      const both = [change.command({ verb: 'replan' }), change.command({ verb: 'replan' })];
      await until(() => w.named('freezePlan').length === 2);
      await new Promise((resolve) => setTimeout(resolve, 300));
      expect(w.named('freezePlan')).toHaveLength(2);
      first();
      await Promise.all(both);
      await env.sleep('1 hour');
      expect(w.named('openApproval').map((c) => c.planDigest)).toEqual(['digest-1', 'digest-2']);
      expect((await change.progress()).waitingFor).toBe('Ring 1 waits for approval');
      await change.command({ verb: 'abort' });
      await change.handle.result();
    },
  });
});

it('one that finds nothing to be done in the ring asks nobody about it any more', async () => {
  const w = world({ freezePlan: (_, call) => (call === 1 ? plan(1, false) : plan(2, false, [10, 0])) });
  await withWorker({
    env,
    bundle,
    activities: w.activities,
    body: async (start) => {
      const change = await start(gated);
      await env.sleep('1 hour');
      await change.command({ verb: 'replan' });
      await expect(change.handle.result()).resolves.toMatchObject({ outcome: 'completed' });
      expect(w.named('closeApproval')).toMatchObject([{ state: 'voided' }]);
      expect(w.named('openRing').map((c) => c.ring)).toEqual([0]);
    },
  });
});

it('one that gives an earlier ring something to do has it done first, and asks only then', async () => {
  const w = world({ freezePlan: (_, call) => (call === 1 ? plan(1, false, [0, 10]) : plan(2, true)) });
  await withWorker({
    env,
    bundle,
    activities: w.activities,
    body: async (start) => {
      const change = await start(gated);
      await env.sleep('1 hour');
      expect(w.named('openRing')).toEqual([]);
      await change.command({ verb: 'replan' });
      await env.sleep('1 hour');
      const order = w.calls.filter((c) => ['openRing', 'openApproval'].includes(c.name));
      expect(order.map((c) => [c.name, c.args.ring, c.args.planDigest ?? c.args.approvedDigest])).toEqual([
        ['openApproval', 1, 'digest-1'],
        ['openRing', 0, 'digest-2'],
        ['openApproval', 1, 'digest-2'],
      ]);
      await change.command({ verb: 'abort' });
      await change.handle.result();
    },
  });
});

it('is refused when no ring is left to open', async () => {
  const [scanned, done] = untilTold();
  const w = world({ confirm: () => scanned.then(() => undefined) });
  await withWorker({
    env,
    bundle,
    activities: w.activities,
    body: async (start) => {
      const change = await start(changeSpec([ringSpec(), ringSpec()]));
      await until(() => w.named('confirm').length === 1);
      const refusal = await change.command({ verb: 'replan' }).catch((error: Error) => error.cause);
      expect(refusal).toMatchObject({ message: expect.stringContaining('every ring has had its turn') });
      done();
      await change.handle.result();
    },
  });
});

/** A change of two rings that is paused while its last one ends, and stands still after it. */
async function pausedAfterLastRing(w: ReturnType<typeof world>, body: (change: RunningChange) => Promise<void>) {
  await withWorker({
    env,
    bundle,
    activities: w.activities,
    body: async (start) => {
      const change = await start(changeSpec([ringSpec(), ringSpec()]));
      await until(() => w.named('finishRing').some((c) => c.ring === 1));
      await change.command({ verb: 'pause' });
      lastRing.end();
      for (let state = ''; state !== 'passed'; state = (await change.progress()).rings[1]?.state ?? '')
        await new Promise((resolve) => setTimeout(resolve, 20));
      await body(change);
    },
  });
}
const lastRing = { end: (): void => undefined };
const heldLastRing = (): Script => {
  const [held, end] = untilTold();
  lastRing.end = end;
  return { finishRing: ({ ring }) => (ring === 1 ? held : undefined) };
};

it('asked for while the change stands still after its last ring: a ring it passed over is carried out', async () => {
  const w = world({
    ...heldLastRing(),
    freezePlan: (_, call) => (call === 1 ? plan(1, false, [0, 10]) : plan(2, true, [10, 10])),
  });
  await pausedAfterLastRing(w, async (change) => {
    await change.command({ verb: 'replan' });
    expect(w.named('openRing').map((c) => c.ring)).toEqual([1]);
    await change.command({ verb: 'resume' });
    await expect(change.handle.result()).resolves.toMatchObject({ outcome: 'completed' });
    expect(w.named('openRing').map((c) => [c.ring, c.approvedDigest])).toEqual([
      [1, 'digest-1'],
      [0, 'digest-2'],
    ]);
  });
});

it('and one for which no ring is left is refused', async () => {
  const w = world(heldLastRing());
  await pausedAfterLastRing(w, async (change) => {
    const refusal = await change.command({ verb: 'replan' }).catch((error: Error) => error.cause);
    expect(refusal).toMatchObject({ message: expect.stringContaining('every ring has had its turn') });
    await change.command({ verb: 'resume' });
    await expect(change.handle.result()).resolves.toMatchObject({ outcome: 'completed' });
    expect(w.named('freezePlan')).toHaveLength(1);
  });
});

it('what else is asked for at the end is carried out before the change closes, or refused once it closes', async () => {
  const [scans, scanned] = untilTold();
  const [closing, closed] = untilTold();
  const [retry, retried] = untilTold();
  const w = world({
    confirm: (_, call) => (call === 1 ? scans.then(() => undefined) : undefined),
    finishRing: (_, call) => (call === 3 ? retry : undefined),
    closeChange: () => closing.then(() => undefined),
  });
  await withWorker({
    env,
    bundle,
    activities: w.activities,
    body: async (start) => {
      const change = await start(changeSpec([ringSpec(), ringSpec()]));
      await until(() => w.named('confirm').length === 1);
      await change.command({ verb: 'retryFailed', ring: 0 });
      scanned();
      await until(() => w.named('finishRing').length === 3);
      await until(() => w.calls.some((c) => c.args.waitingFor === 'Waits for what was asked for last'));
      expect([w.named('confirm').length, w.named('closeChange').length]).toEqual([1, 0]);
      retried();
      await until(() => w.named('closeChange').length === 1);
      expect(w.named('confirm')).toHaveLength(2);
      for (const verb of ['retryFailed', 'rollback'] as const) {
        const refusal = await change.command({ verb, ring: 0 }).catch((error: Error) => error.cause);
        expect(refusal).toMatchObject({ message: 'the change is being closed' });
      }
      closed();
      await expect(change.handle.result()).resolves.toMatchObject({ outcome: 'completed' });
    },
  });
});

it('a rollback said while the last scans come in holds, although they prove everything', async () => {
  const [scans, scanned] = untilTold();
  // The workflow must not end before its activity has.
  const w = world({
    confirm: () => scans.then(() => undefined),
    startRollback: () => scans.then(() => ({ orders: 10 })),
  });
  await withWorker({
    env,
    bundle,
    activities: w.activities,
    body: async (start) => {
      const change = await start(changeSpec([ringSpec(), ringSpec()]));
      await until(() => w.named('confirm').length === 1);
      const said = change.command({ verb: 'rollback', reason: 'it makes them slow' });
      await new Promise((resolve) => setTimeout(resolve, 200));
      scanned();
      await said;
      await expect(change.handle.result()).resolves.toMatchObject({
        outcome: 'rolledBack',
        reason: 'it makes them slow',
      });
      expect(w.named('startRollback').map((c) => c.ring)).toEqual([1, 0]);
    },
  });
});

// The last one: the test server's time stands still for good once a workflow has ended before its activity.
it('an abort cuts it short, and those that wait their turn: they are refused, and the change ends', async () => {
  const [content, end] = untilTold();
  const w = world({ obtainContent: (_, call) => (call === 1 ? undefined : content.then(() => undefined)) });
  await withWorker({
    env,
    bundle,
    activities: w.activities,
    body: async (start) => {
      const change = await start(gated);
      await env.sleep('1 hour');
      const replan = change.command({ verb: 'replan' }).catch((error: Error) => error.cause);
      const queued = change.command({ verb: 'replan' }).catch((error: Error) => error.cause);
      await until(() => w.named('obtainContent').length === 2);
      expect((await change.progress()).waitingFor).toBe('Ring 1 waits for approval. The plan is being made anew');
      await change.command({ verb: 'abort', reason: 'enough' });
      for (const refused of [await replan, await queued])
        expect(refused).toMatchObject({ message: 'the change is being stopped' });
      await expect(change.handle.result()).resolves.toEqual({ outcome: 'aborted', reason: 'enough' });
      expect(w.named('freezePlan')).toHaveLength(1);
      expect(w.named('obtainContent')).toHaveLength(2);
      end();
    },
  });
});
