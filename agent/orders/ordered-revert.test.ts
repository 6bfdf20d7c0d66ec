/** A revert that was ordered: covered by its permit when it begins, and not asked any more once it has. */
import { afterEach, describe, expect, test } from '@jest/globals';
import { boot, offer, permit, removeWorlds, toTheEnd, type World, world } from '../../test/helpers/agent-rig.js';
import { ORDER, orderDoc } from '../../test/helpers/fake-host.js';

afterEach(removeWorlds);

const START_BY = 2_000_000;
const REVERT = ORDER.replace(/1$/, '2');
const hook = { onFailure: 'fail' as const, timeoutSeconds: 5 };
const doc = orderDoc({
  orderId: REVERT,
  kind: 'revert',
  reverts: ORDER,
  hooks: [
    { name: 'drain', when: 'before', ...hook },
    { name: 'undrain', when: 'after', ...hook },
  ],
});
const revertPermit = (startBy = START_BY) => permit({ orderId: REVERT, startBy });
const entryOf = (agent: ReturnType<typeof boot>) => agent.ledger.entry(REVERT);
const typesOf = (agent: ReturnType<typeof boot>) =>
  entryOf(agent)
    .reports.map((r) => r.type)
    .filter((type) => type !== 'note');
const ANNOUNCED = ['accept', 'staged', 'revertBegun'];
const BEFORE = { app: '1', lib: '1' };
const AFTER = { app: '2', lib: '2' };
const versionsOf = (w: World) => Object.fromEntries(w.host.versions);
const backs = (w: World) => w.host.runs.filter((run) => run.startsWith('back'));

/** A changed host whose agent was killed between the announcement that it goes back, which is on disk, and doing so. */
async function announced(): Promise<World> {
  for (let at = 1; at < 40; at++) {
    const w = world();
    await toTheEnd(w, orderDoc());
    const agent = boot(w, { at, when: 'after' });
    await Promise.resolve()
      .then(() => offer(agent.ledger, doc, revertPermit()))
      .then(() => agent.executor.work())
      .catch(() => undefined);
    const known = agent.ledger.book.orders[REVERT]?.core.state;
    agent.close();
    const again = boot(w);
    const found = again.ledger.book.orders[REVERT]?.core.state;
    again.close();
    if (known === 'staged' && found === 'reverting') {
      expect([backs(w), versionsOf(w), w.hooksRun]).toEqual([[], AFTER, ['before drain']]);
      return w;
    }
  }
  throw new Error('never announced');
}

describe('announced, and not begun before the agent died', () => {
  const gone: [string, Partial<World>, string][] = [
    ['its permit has ended', { time: START_BY + 1 }, 'the permit has ended'],
    ["the owner's own window is over", { windowOpen: false }, "outside the owner's own windows"],
    ["the host's clock is off", { skew: 180_000 }, "this endpoint's clock is 3 min ahead of the server's"],
  ];
  test.each(gone)('%s: taken back, untouched, and begun when it is covered again', async (_, over, reason) => {
    const w = Object.assign(await announced(), over);
    const agent = boot(w);
    await agent.executor.work();
    expect([entryOf(agent).core.state, entryOf(agent).reports.find((r) => r.type === 'notBegun')]).toEqual([
      'staged',
      expect.objectContaining({ reason }),
    ]);
    expect([backs(w), versionsOf(w), w.hooksRun]).toEqual([[], AFTER, ['before drain', 'after undrain']]);
    Object.assign(w, { windowOpen: true, skew: 0 });
    agent.ledger.permit(revertPermit(w.time));
    await agent.executor.work();
    agent.close();
    expect(typesOf(agent)).toEqual([...ANNOUNCED, 'notBegun', 'revertBegun', 'reverted']);
    expect([backs(w), versionsOf(w), w.hooksRun.slice(2)]).toEqual([
      [`back ${REVERT}`],
      BEFORE,
      ['before drain', 'after undrain'],
    ]);
  });

  test('to the last millisecond of its permit it begins', async () => {
    const w = await announced();
    w.time = START_BY;
    const agent = boot(w);
    await agent.executor.work();
    agent.close();
    expect([typesOf(agent), versionsOf(w)]).toEqual([[...ANNOUNCED, 'reverted'], BEFORE]);
  });

  test('as long as the time is not known, nothing is done and nothing said', async () => {
    const w = await announced();
    w.heard = false;
    const agent = boot(w);
    await agent.executor.work();
    expect([typesOf(agent), backs(w)]).toEqual([ANNOUNCED, []]);
    expect(agent.executor.waiting.get(REVERT)).toBe("the server's time is not known yet");
    w.heard = true;
    w.time += agent.executor.retryInMs() ?? 0;
    await agent.executor.work();
    agent.close();
    expect(versionsOf(w)).toEqual(BEFORE);
  });

  test('past its deadline it is given up, and nothing is touched', async () => {
    const w = await announced();
    w.time = doc.expiresAt;
    const agent = boot(w);
    await agent.executor.work();
    agent.close();
    expect([typesOf(agent), entryOf(agent).dropped, backs(w)]).toEqual([
      [...ANNOUNCED, 'notBegun'],
      'its deadline passed before it began',
      [],
    ]);
  });
});

test('others at work when it is to begin: it waits for them, but not past its permit', async () => {
  const w = world();
  await toTheEnd(w, orderDoc());
  const agent = boot(w);
  w.host.lockedOut = "another package manager has dpkg's lock";
  offer(agent.ledger, doc, revertPermit());
  await agent.executor.work();
  expect([entryOf(agent).core.state, entryOf(agent).reports.at(-1)]).toMatchObject([
    'reverting',
    { type: 'note', text: "announced, but not started yet: another package manager has dpkg's lock" },
  ]);
  for (let i = 0; i < 20 && entryOf(agent).core.state === 'reverting'; i++) {
    w.time += agent.executor.retryInMs() ?? 60_000;
    await agent.executor.work();
  }
  agent.close();
  expect(w.time).toBeGreaterThan(START_BY);
  expect([typesOf(agent), backs(w)]).toEqual([[...ANNOUNCED, 'notBegun'], []]);
});

describe('packages that others left half done, where it is to begin', () => {
  const HALF = 'lib is half installed';
  /** Its agent lives again, in time; `meanwhile` happens while the host is put right. */
  const broken = async (meanwhile: (w: World, agent: ReturnType<typeof boot>) => void) => {
    const w = await announced();
    w.host.auditText = HALF;
    let repairs = 0;
    const agent = boot(w);
    Object.assign(w.host.provider, {
      repair: async () => {
        repairs += 1;
        if (repairs === 1) meanwhile(w, agent);
        if (w.host.auditText === '') return [];
        w.host.auditText = '';
        return ['dpkg --configure -a'];
      },
    });
    return { w, agent, repairs: () => repairs };
  };
  const later = async (w: World, agent: ReturnType<typeof boot>) => {
    w.time += agent.executor.retryInMs() ?? 0;
    await agent.executor.work();
  };

  test('are put right first', async () => {
    const { w, agent } = await broken(() => undefined);
    await agent.executor.work();
    agent.close();
    expect([typesOf(agent), versionsOf(w), w.host.auditText]).toEqual([[...ANNOUNCED, 'reverted'], BEFORE, '']);
  });

  test.each<[string, Partial<World>]>([
    ['its permit ends', { time: START_BY + 1 }],
    ["the owner's own window ends", { windowOpen: false }],
  ])('%s while they are: not begun', async (_, over) => {
    const { w, agent } = await broken((now) => Object.assign(now, over));
    await agent.executor.work();
    expect([typesOf(agent), backs(w), w.host.auditText]).toEqual([[...ANNOUNCED, 'notBegun'], [], '']);
    w.windowOpen = true;
    agent.ledger.permit(revertPermit(w.time));
    await agent.executor.work();
    agent.close();
    expect([typesOf(agent).slice(-2), versionsOf(w)]).toEqual([['revertBegun', 'reverted'], BEFORE]);
  });

  test('are left to others as long as those are at work: nothing waits for their lock', async () => {
    const { w, agent, repairs } = await broken(() => undefined);
    w.host.others = "another package manager has dpkg's lock";
    await agent.executor.work();
    expect([repairs(), backs(w), entryOf(agent).reports.at(-1)]).toEqual([
      0,
      [],
      expect.objectContaining({ text: `announced, but not started yet: ${w.host.others}` }),
    ]);
    w.host.others = null;
    await later(w, agent);
    agent.close();
    expect([repairs(), versionsOf(w)]).toEqual([1, BEFORE]);
  });

  test('killed over that: the repair is finished, covered or not, before anything is taken back', async () => {
    const { w, agent, repairs } = await broken((_, dying) => {
      dying.die();
      throw new Error('killed');
    });
    await agent.executor.work().catch(() => undefined);
    agent.close();
    Object.assign(w, { time: START_BY + 1 });
    w.host.others = "another package manager has dpkg's lock";
    const next = boot(w);
    await next.executor.work();
    expect([entryOf(next).core.state, repairs()]).toEqual(['reverting', 1]);
    w.host.others = null;
    await later(w, next);
    expect([typesOf(next), backs(w), w.host.auditText]).toEqual([[...ANNOUNCED, 'notBegun'], [], '']);
    // And only once: announced anew it is a start like any other.
    next.ledger.permit(revertPermit(w.time));
    await next.executor.work();
    next.close();
    expect([typesOf(next).slice(-2), repairs()]).toEqual([['revertBegun', 'reverted'], 3]);
  });
});

test('one that has begun is finished, whenever its agent lives again', async () => {
  const w = world();
  await toTheEnd(w, orderDoc());
  const agent = boot(w);
  const { run } = w.host.provider;
  Object.assign(w.host.provider, {
    run: async (...args: Parameters<typeof run>) => {
      await run(...args);
      agent.die();
      // The package manager was half way.
      w.host.versions.set('lib', '2');
      throw new Error('killed');
    },
  });
  offer(agent.ledger, doc, revertPermit());
  await agent.executor.work().catch(() => undefined);
  agent.close();
  Object.assign(w.host.provider, {
    run: async (...[tx, direction]: Parameters<typeof run>) => run(tx, direction, { again: true }),
  });
  w.time = START_BY + 86_400_000;
  w.windowOpen = false;
  const next = boot(w);
  await next.executor.work();
  next.close();
  expect([typesOf(next), versionsOf(w)]).toEqual([[...ANNOUNCED, 'reverted'], BEFORE]);
});

test('an endpoint that undoes its own change asks for nothing', async () => {
  const w = world();
  w.host.behaviour.forward = 'half';
  const agent = boot(w, { at: 8, when: 'after' });
  const mine = orderDoc();
  await Promise.resolve()
    .then(() => offer(agent.ledger, mine))
    .then(() => agent.executor.work())
    .catch(() => undefined);
  agent.close();
  const next = boot(w);
  expect(next.ledger.entry(ORDER).core.state).toBe('reverting');
  w.time = START_BY + 86_400_000;
  w.windowOpen = false;
  await next.executor.work();
  next.close();
  expect([next.ledger.entry(ORDER).core.state, versionsOf(w)]).toEqual(['reverted', BEFORE]);
});
