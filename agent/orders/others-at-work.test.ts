/** Others have the package manager's lock: nothing of an order begins past its permit, and that is no failure of it. */
import { afterEach, describe, expect, test } from '@jest/globals';
import { boot, offer, permit, removeWorlds, type World, world } from '../../test/helpers/agent-rig.js';
import { ORDER, orderDoc } from '../../test/helpers/fake-host.js';

afterEach(removeWorlds);

const OTHERS = "another package manager has dpkg's lock: process 7 (unattended-upgr)";
const hook = { onFailure: 'fail' as const, timeoutSeconds: 5 };
const hooks = [
  { name: 'drain', when: 'before' as const, ...hook },
  { name: 'undrain', when: 'after' as const, ...hook },
];
const versionsOf = (w: World) => Object.fromEntries(w.host.versions);

function begin(w: World, over: Parameters<typeof orderDoc>[0] = {}, startBy = 2_000_000) {
  const agent = boot(w);
  offer(agent.ledger, orderDoc(over), null);
  const entry = () => agent.ledger.entry(ORDER);
  return {
    agent,
    entry,
    said: () => entry().reports.map((r) => ('text' in r ? r.text : r.type)),
    permit: async (until = startBy) => {
      agent.ledger.permit(permit({ startBy: until }));
      await agent.executor.work();
    },
    later: async () => {
      w.time += agent.executor.retryInMs() ?? 0;
      await agent.executor.work();
    },
  };
}

test('while they are at work it stays staged, says so once, and starts on a permit of then', async () => {
  const w = world();
  const { agent, entry, said, permit, later } = begin(w, { hooks });
  await agent.executor.work();
  w.host.others = OTHERS;
  await permit();
  expect([entry().core.state, said().at(-1), agent.executor.waiting.get(ORDER)]).toEqual([
    'staged',
    `waits: ${OTHERS}`,
    OTHERS,
  ]);
  expect(agent.executor.retryInMs()).toBe(2_000);
  for (let i = 0; i < 20 && w.time <= 2_000_000; i++) await later();
  expect(w.time).toBeGreaterThan(2_000_000);
  // Nothing to look at by the clock any more: it waits for a permit.
  expect(agent.executor.retryInMs()).toBe(null);
  w.host.others = null;
  await later();
  // They are gone, and so is the permit.
  expect([entry().core.state, w.host.runs, w.hooksRun]).toEqual(['staged', [], []]);
  await permit(w.time + 1_000);
  agent.close();
  expect(said()).toEqual(['accept', 'staged', `waits: ${OTHERS}`, 'apply', 'applied', 'healthy']);
});

test('nor is it staged: half installed packages are their doing', async () => {
  const w = world();
  Object.assign(w.host, { others: OTHERS, auditText: 'half-installed' });
  const { agent, entry, said, later } = begin(w);
  await agent.executor.work();
  expect(entry().core.state).toBe('accepted');
  Object.assign(w.host, { others: null, auditText: '' });
  await later();
  agent.close();
  expect(said()).toEqual(['accept', `waits: ${OTHERS}`, 'staged']);
});

test('those that come while the start is prepared: hooks are undone, and run again later', async () => {
  const w = world();
  const { agent, entry, permit, later } = begin(w, { hooks });
  await agent.executor.work();
  const { snapshot } = w.host.provider;
  Object.assign(w.host.provider, {
    snapshot: async (...args: Parameters<typeof snapshot>) => {
      w.host.others = w.hooksRun.length === 0 ? OTHERS : null;
      return snapshot(...args);
    },
  });
  await permit();
  expect([entry().core.state, w.hooksRun]).toEqual(['staged', ['before drain', 'after undrain']]);
  w.host.others = null;
  await later();
  agent.close();
  expect(entry().core.state).toBe('succeeded');
  expect(w.hooksRun).toEqual(['before drain', 'after undrain', 'before drain', 'after undrain']);
});

test('those that come after the announcement: it begins as soon as they are gone, announced once', async () => {
  const w = world();
  const { agent, entry, said, permit, later } = begin(w);
  await agent.executor.work();
  w.host.lockedOut = OTHERS;
  await permit();
  await later();
  expect([entry().core.state, w.host.runs]).toEqual(['applying', []]);
  w.host.lockedOut = null;
  await later();
  agent.close();
  expect(said()).toEqual([
    'accept',
    'staged',
    'apply',
    `announced, but not started yet: ${OTHERS}`,
    'applied',
    'healthy',
  ]);
});

const covers: [string, (w: World) => void, string][] = [
  ['the permit', () => undefined, 'the permit has ended'],
  ["the owner's own window", (w) => Object.assign(w, { windowOpen: false }), 'the permit has ended'],
];
test.each(covers)('and not past %s: it fails, untouched, and nothing is put back', async (_, change, reason) => {
  const w = world();
  const { agent, entry, said, permit, later } = begin(w);
  await agent.executor.work();
  w.host.lockedOut = OTHERS;
  await permit();
  change(w);
  if (!w.windowOpen) {
    w.host.lockedOut = null;
    await later();
    expect([entry().core.state, w.host.runs]).toEqual(['applying', []]);
  }
  for (let i = 0; i < 20 && w.time <= 2_000_000; i++) await later();
  expect(w.time).toBeGreaterThan(2_000_000);
  w.host.lockedOut = null;
  await later();
  agent.close();
  expect(said().at(-1)).toBe('failed');
  expect(entry().reports.at(-1)).toMatchObject({
    cause: `announced, but not started in time: ${reason} (${OTHERS})`,
  });
  expect([w.host.runs, versionsOf(w)]).toEqual([[], { app: '1', lib: '1' }]);
});

describe('on the way back', () => {
  /** A change that undoes itself and waits for others on the way, by now for the twentieth time. */
  const waiting = async () => {
    const w = world();
    const started = begin(w);
    await started.agent.executor.work();
    w.host.behaviour.forward = 'half';
    const { run, judge } = w.host.provider;
    let fails = 0;
    Object.assign(w.host.provider, {
      run: async (...args: Parameters<typeof run>) => {
        if (args[1] === 'forward') return run(...args);
        if (fails > 0) {
          fails -= 1;
          throw new Error('dpkg-query: the disk does not answer');
        }
        return run(...args);
      },
      judge: async (...[tx, direction]: Parameters<typeof w.host.provider.judge>) => {
        if (direction === 'forward') w.host.lockedOut = OTHERS;
        return judge(tx, direction);
      },
    });
    await started.permit();
    for (let i = 0; i < 20; i++) await started.later();
    expect([started.entry().core.state, started.agent.executor.retryInMs()]).toEqual(['reverting', 300_000]);
    return {
      w,
      ...started,
      failTimes: (times: number) => {
        fails = times;
      },
    };
  };

  test('however often it waited for them, what fails in passing is tried again', async () => {
    const { w, agent, entry, later, failTimes } = await waiting();
    failTimes(7);
    for (let i = 0; i < 7; i++) await later();
    expect(entry().core.state).toBe('reverting');
    w.host.lockedOut = null;
    await later();
    agent.close();
    expect([entry().core.state, versionsOf(w)]).toEqual(['reverted', { app: '1', lib: '1' }]);
  });

  test('and what fails again and again ends it, as ever', async () => {
    const { agent, entry, later, failTimes } = await waiting();
    failTimes(8);
    for (let i = 0; i < 8; i++) await later();
    agent.close();
    expect(entry().reports.at(-1)).toMatchObject({
      type: 'revertFailed',
      cause: 'dpkg-query: the disk does not answer',
    });
  });

  test('half way, it says so once, and goes on as soon as they are gone', async () => {
    const w = world();
    const { agent, entry, said, permit, later } = begin(w);
    await agent.executor.work();
    w.host.behaviour.forward = 'half';
    const { run } = w.host.provider;
    let half = true;
    Object.assign(w.host.provider, {
      run: async (...args: Parameters<typeof run>) =>
        half && args[1] === 'back' ? { interrupted: false, output: '', notYet: OTHERS } : run(...args),
    });
    await permit();
    await later();
    expect([entry().core.state, agent.executor.waiting.get(ORDER)]).toEqual(['reverting', OTHERS]);
    half = false;
    await later();
    agent.close();
    expect([said().slice(-3), versionsOf(w)]).toEqual([
      ['revertBegun', `going back waits: ${OTHERS}`, 'reverted'],
      { app: '1', lib: '1' },
    ]);
  });
});
