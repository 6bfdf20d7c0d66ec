import { afterEach, describe, expect, test } from '@jest/globals';
import { boot, offer, permit, removeWorlds, type World, world } from '../../test/helpers/agent-rig.js';
import { ORDER, orderDoc } from '../../test/helpers/fake-host.js';
import { JournalFailed } from './ledger.js';

afterEach(removeWorlds);

const REBOOT_BY = 9_000_000;
const doc = orderDoc({ reboot: 'always' });
const entryOf = (agent: ReturnType<typeof boot>) => agent.ledger.entry(ORDER);
const typesOf = (agent: ReturnType<typeof boot>) =>
  entryOf(agent)
    .reports.map((r) => r.type)
    .filter((type) => type !== 'note');
const BEGUN = ['accept', 'staged', 'apply', 'applied'];

/** A host whose agent was killed between the announcement of a reboot, which is on disk, and the reboot. */
async function announced(): Promise<World> {
  for (let at = 1; at < 40; at++) {
    const w = world();
    const agent = boot(w, { at, when: 'after' });
    try {
      offer(agent.ledger, doc);
      await agent.executor.work();
    } catch (error) {
      if (!(error instanceof JournalFailed)) throw error;
    }
    const known = agent.ledger.book.orders[ORDER]?.core.state;
    agent.close();
    const again = boot(w);
    const found = again.ledger.book.orders[ORDER]?.core.state;
    again.close();
    if (known === 'awaitingReboot' && found === 'rebooting') {
      expect(w.host.boots).toBe(1);
      return w;
    }
  }
  throw new Error('never announced');
}

describe('a reboot that was announced, and not made before the agent died', () => {
  const gone: [string, Partial<World>, string][] = [
    ['its permit has ended', { time: REBOOT_BY + 1 }, 'the permit to reboot has ended'],
    ["the owner's own window is over", { windowOpen: false }, "outside the owner's own windows"],
    ["the host's clock is off", { skew: 180_000 }, "this endpoint's clock is 3 min ahead of the server's"],
  ];
  test.each(gone)('%s: it is taken back, waits, and comes when it is covered again', async (_, over, reason) => {
    const w = Object.assign(await announced(), over);
    const agent = boot(w);
    await agent.executor.work();
    expect([w.host.boots, entryOf(agent).core.state, entryOf(agent).reports.at(-1)]).toEqual([
      1,
      'awaitingReboot',
      expect.objectContaining({ type: 'notRebooted', reason }),
    ]);
    expect(Object.fromEntries(w.host.versions)).toEqual({ app: '2', lib: '2' });
    Object.assign(w, { windowOpen: true, skew: 0 });
    agent.ledger.permit(permit({ rebootBy: w.time }));
    await agent.executor.work();
    agent.close();
    expect(w.host.boots).toBe(2);
    const next = boot(w);
    await next.executor.work();
    next.close();
    expect(typesOf(next)).toEqual([...BEGUN, 'reboot', 'notRebooted', 'reboot', 'booted', 'healthy']);
  });

  test('to the last millisecond of its permit it is made', async () => {
    const w = await announced();
    w.time = REBOOT_BY;
    const agent = boot(w);
    await agent.executor.work();
    agent.close();
    expect([w.host.boots, entryOf(agent).core.state]).toEqual([2, 'rebooting']);
  });

  test('as long as the time is not known, nothing is made and nothing said', async () => {
    const w = await announced();
    w.heard = false;
    const agent = boot(w);
    await agent.executor.work();
    expect([w.host.boots, typesOf(agent)]).toEqual([1, [...BEGUN, 'reboot']]);
    expect(agent.executor.waiting.get(ORDER)).toBe("the server's time is not known yet");
    w.heard = true;
    await agent.executor.work();
    agent.close();
    expect(w.host.boots).toBe(2);
  });

  test('a permit that ends while the server is told', async () => {
    const w = world();
    w.whileTold = () => {
      w.time = REBOOT_BY + 1;
    };
    const agent = boot(w);
    offer(agent.ledger, doc);
    await agent.executor.work();
    agent.close();
    expect([w.host.boots, typesOf(agent)]).toEqual([1, [...BEGUN, 'reboot', 'notRebooted']]);
  });

  test('a host that somebody else restarts after that is not restarted again', async () => {
    const w = await announced();
    w.time = REBOOT_BY + 1;
    const agent = boot(w);
    await agent.executor.work();
    agent.close();
    w.host.boots += 1;
    const next = boot(w);
    await next.executor.work();
    next.close();
    expect(typesOf(next)).toEqual([...BEGUN, 'reboot', 'notRebooted', 'reboot', 'booted', 'healthy']);
    expect(w.host.boots).toBe(2);
  });
});

describe('a host that refuses to go down', () => {
  const refusing = async (rebootBy: number) => {
    const w = world();
    w.rebootFails = 'systemctl reboot: Access denied';
    const agent = boot(w);
    offer(agent.ledger, doc, permit({ rebootBy }));
    await agent.executor.work();
    const tryAgain = async () => {
      w.time += agent.executor.retryInMs() ?? 60_000;
      await agent.executor.work();
    };
    return { w, agent, tryAgain };
  };

  test('until its window is over: what was applied stays, and waits for the next', async () => {
    const { w, agent, tryAgain } = await refusing(1_020_000);
    expect(entryOf(agent).reports.at(-1)).toMatchObject({
      type: 'note',
      text: 'not rebooted yet: systemctl reboot: Access denied',
    });
    for (let i = 0; i < 20; i++) await tryAgain();
    expect(typesOf(agent)).toEqual([...BEGUN, 'reboot', 'notRebooted']);
    expect(entryOf(agent).reports.at(-1)).toMatchObject({ reason: 'the permit to reboot has ended' });
    expect(agent.executor.retryInMs()).toBe(null);
    expect(Object.fromEntries(w.host.versions)).toEqual({ app: '2', lib: '2' });
    w.rebootFails = null;
    agent.ledger.permit(permit({ rebootBy: w.time + 60_000 }));
    await agent.executor.work();
    agent.close();
    expect(w.host.boots).toBe(2);
  });

  test('in a long window: it is seen to wait, tried again and again, and nothing is put back', async () => {
    const { w, agent, tryAgain } = await refusing(1e12);
    for (let i = 0; i < 30; i++) await tryAgain();
    const types = typesOf(agent);
    expect(types.filter((type) => type === 'notRebooted').length).toBeGreaterThan(1);
    // Not one report per try.
    expect(types.length).toBeLessThan(16);
    expect(entryOf(agent).reports.find((r) => r.type === 'notRebooted')).toMatchObject({
      reason: 'systemctl reboot: Access denied',
    });
    w.rebootFails = null;
    await tryAgain();
    agent.close();
    expect(w.host.boots).toBe(2);
    const next = boot(w);
    await next.executor.work();
    next.close();
    expect(typesOf(next).slice(-3)).toEqual(['reboot', 'booted', 'healthy']);
    expect(Object.fromEntries(w.host.versions)).toEqual({ app: '2', lib: '2' });
  });
});
