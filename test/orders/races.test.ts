import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import * as orders from '../../db/orders/index.js';
import { createPool, inTransaction } from '../../db/pool.js';
import { MINUTE } from '../../domain/time.js';
import { letOutAfterStop } from '../helpers/after-stop.js';
import { createDatabase, type TestDatabase } from '../helpers/postgres.js';
import { TestAgent } from './agent.js';
import { addChange, addEndpoints, documentsFor, openRing, ordersOf, testSigner } from './fleet.js';

// A loaded machine is slow, not wrong.
jest.setTimeout(300_000);

const T0 = Date.UTC(2026, 0, 10, 22);

let db: TestDatabase;
let pool: TestDatabase['pool'];
let deps: orders.ReleaseDeps;
beforeAll(async () => {
  db = await createDatabase();
  pool = createPool({ url: db.workerUrl, applicationName: 'races', max: 16 });
  deps = { pool, signer: testSigner, documentsFor };
});
afterAll(async () => {
  await pool.end();
  await db.drop();
});

async function openChange(endpoints: readonly string[], args: { priority?: number; spec?: object } = {}) {
  const changeId = await addChange(db.pool, {
    now: T0,
    rings: [{ endpoints, spec: { maxInFlight: 1_000, ...args.spec } }],
    priority: args.priority ?? 0,
  });
  await openRing(db.pool, { changeId, now: T0 });
  await db.pool.query('UPDATE ring SET concurrency = 1000 WHERE change_id = $1', [changeId]);
  return changeId;
}

/** Ticks under one epoch until it is fenced off, or told to stop. */
async function pumping(
  changeId: string,
  stopped: () => boolean,
  begun = orders.beginPump(pool, { changeId, ring: 0 }),
): Promise<{ epoch: number; released: number; fenced: boolean }> {
  const { epoch } = await begun;
  let released = 0;
  while (!stopped()) {
    try {
      released += (await orders.releaseTick(deps, { changeId, ring: 0, target: 'change', epoch, now: T0 })).released;
    } catch (error) {
      if (error instanceof orders.PumpFenced) return { epoch, released, fenced: true };
      throw error;
    }
    // As the pump does: who takes the lock again at once leaves it to nobody.
    await sleep(5);
  }
  return { epoch, released, fenced: false };
}

describe('pumps', () => {
  it('a pump of an older epoch can not release, nor do anything else', async () => {
    const changeId = await openChange(await addEndpoints(db.pool, 3, { seenAt: T0 }));
    const first = await orders.beginPump(pool, { changeId, ring: 0 });
    const second = await orders.beginPump(pool, { changeId, ring: 0 });
    expect(second.epoch).toBe(first.epoch + 1);
    await expect(orders.releaseTick(deps, { changeId, ring: 0, target: 'change', ...first, now: T0 })).rejects.toThrow(
      orders.PumpFenced,
    );
    expect((await ordersOf(pool, changeId)).map((o) => o.state)).toEqual(['pending', 'pending', 'pending']);
    expect(await orders.releaseTick(deps, { changeId, ring: 0, target: 'change', ...second, now: T0 })).toMatchObject({
      released: 3,
    });
  });

  it('a tick that waits for the lock while a newer attempt begins is fenced when it gets it', async () => {
    const changeId = await openChange(await addEndpoints(db.pool, 3, { seenAt: T0 }));
    const { epoch } = await orders.beginPump(pool, { changeId, ring: 0 });
    const blocker = await pool.connect();
    await blocker.query('BEGIN');
    await blocker.query('UPDATE ring SET epoch = epoch + 1 WHERE change_id = $1 AND ordinal = 0', [changeId]);
    const late = orders.releaseTick(deps, { changeId, ring: 0, target: 'change', epoch, now: T0 });
    const fenced = expect(late).rejects.toThrow(orders.PumpFenced);
    await untilBlocked(1);
    await blocker.query('COMMIT');
    blocker.release();
    await fenced;
    expect((await ordersOf(pool, changeId)).map((o) => o.state)).toEqual(['pending', 'pending', 'pending']);
  });

  it('two live pumps on one ring: the older ends, and every order is let out once', async () => {
    const endpoints = await addEndpoints(db.pool, 40, { seenAt: T0 });
    const changeId = await openChange(endpoints, { spec: { maxInFlight: 3 } });
    const agents = endpoints.map((id) => new TestAgent(pool, id));
    let stop = false;
    const begun = orders.beginPump(pool, { changeId, ring: 0 });
    await begun;
    const first = pumping(changeId, () => stop, begun);
    await agents[0]?.run(T0);
    const second = pumping(changeId, () => stop);
    while ((await ordersOf(pool, changeId)).some((o) => o.state !== 'succeeded')) {
      for (const agent of agents) await agent.run(T0);
      const { rows } = await pool.query(
        `SELECT count(*)::int AS n FROM order_state WHERE change_id = $1 AND phase = 'holding'`,
        [changeId],
      );
      expect(rows[0].n).toBeLessThanOrEqual(3);
    }
    stop = true;
    const [one, two] = await Promise.all([first, second]);
    expect(one.fenced).toBe(true);
    expect(two.fenced).toBe(false);
    expect(one.released + two.released).toBe(40);
    const { rows } = await pool.query(
      `SELECT order_id FROM order_event e JOIN order_state o ON o.id = e.order_id WHERE o.change_id = $1 AND e.event = 'release' GROUP BY order_id HAVING count(*) <> 1`,
      [changeId],
    );
    expect(rows).toEqual([]);
  });

  it('pumps of two changes never give one endpoint two mutating orders, and never block each other', async () => {
    for (let round = 0; round < 5; round++) {
      const endpoints = await addEndpoints(db.pool, 60, { seenAt: T0 });
      const changes = await Promise.all([
        openChange(endpoints),
        openChange([...endpoints].reverse()),
        openChange(endpoints, { priority: 5 }),
      ]);
      let stop = false;
      const pumps = changes.map((changeId) => pumping(changeId, () => stop));
      await Promise.all(endpoints.map((id) => new TestAgent(pool, id).run(T0)));
      stop = true;
      await Promise.all(pumps);
      const { rows } = await pool.query(
        `SELECT endpoint_id FROM order_state WHERE phase = 'holding' AND kind IN ('change', 'revert') GROUP BY endpoint_id HAVING count(*) > 1`,
      );
      expect(rows).toEqual([]);
    }
  });
});

describe('a stop against releases and permits', () => {
  it.each(['pause', 'abort', 'stopAll'] as const)('after %s has replied, none commits', async (verb) => {
    for (let round = 0; round < 8; round++) {
      const endpoints = await addEndpoints(db.pool, 40, { seenAt: T0 });
      const changeId = await openChange(endpoints, { spec: { maxInFlight: 4 + round } });
      const agents = endpoints.map((id) => new TestAgent(pool, id));
      let stop = false;
      const busy = [
        pumping(changeId, () => stop),
        ...agents.slice(0, 10).map(async (agent) => {
          while (!stop) {
            await agent.poll(T0);
            agent.step(T0);
          }
        }),
      ];
      await sleep(round * 3);
      await inTransaction(pool, (client) =>
        orders.haltChange(client, { changeId, verb, by: 'p', reason: 'race', now: T0 }),
      );
      const at = await counted(changeId);
      // Everything keeps trying for a while; the rows must not move that way any more.
      await sleep(30);
      const later = await counted(changeId);
      stop = true;
      await Promise.all(busy);
      expect(later).toEqual(at);
      expect(await counted(changeId)).toEqual(at);
      expect(await letOutAfterStop(db.pool, [changeId])).toEqual([]);
      expect(agents.flatMap((agent) => agent.violations)).toEqual([]);
    }
  });

  it('waits for a release that is under way, and then sees it', async () => {
    const changeId = await openChange(await addEndpoints(db.pool, 3, { seenAt: T0 }));
    const { epoch } = await orders.beginPump(pool, { changeId, ring: 0 });
    let inside = () => {};
    const entered = new Promise<void>((resolve) => (inside = resolve));
    let goOn = () => {};
    const gate = new Promise<void>((resolve) => (goOn = resolve));
    const slow: orders.DocumentsFor = async (...args) => {
      inside();
      await gate;
      return documentsFor(...args);
    };
    const release = orders.releaseTick(
      { ...deps, documentsFor: slow },
      { changeId, ring: 0, target: 'change', epoch, now: T0 },
    );
    await entered;
    const stop = inTransaction(pool, (client) =>
      orders.haltChange(client, { changeId, verb: 'abort', by: 'p', reason: 'r', now: T0 }),
    );
    await untilBlocked(1);
    goOn();
    expect(await release).toMatchObject({ released: 3 });
    await stop;
    expect(await orders.withdrawOpen(pool, { changeId, ring: null, reason: 'r', now: T0 })).toMatchObject({
      withdrawn: 3,
    });
  });
});

describe('reports against everything else', () => {
  it('many endpoints failing at once halt the ring once, and no report is lost to a deadlock', async () => {
    const endpoints = await addEndpoints(db.pool, 30, { seenAt: T0 });
    const changeId = await openChange(endpoints, { spec: { errorBudget: { count: 3 } } });
    await orders
      .beginPump(pool, { changeId, ring: 0 })
      .then(({ epoch }) => orders.releaseTick(deps, { changeId, ring: 0, target: 'change', epoch, now: T0 }));
    let stop = false;
    const pump = pumping(changeId, () => stop);
    await Promise.all(endpoints.map((id, i) => new TestAgent(pool, id).run(T0, i % 2 === 0 ? 'fails' : 'reverts')));
    stop = true;
    await pump;
    const ends = new Set((await ordersOf(pool, changeId)).map((o) => o.state));
    expect(
      [...ends].every((s) => ['failed', 'reverted', 'offered', 'staged', 'accepted', 'released'].includes(s)),
    ).toBe(true);
    const { rows } = await pool.query(
      `SELECT count(*)::int AS n FROM audit_entry WHERE action = 'ring.halted' AND subject = $1`,
      [`change/${changeId}`],
    );
    expect(rows[0].n).toBe(1);
  });

  it('the same poll many times at once, in batches that overlap, is taken once', async () => {
    const endpoints = await addEndpoints(db.pool, 12, { seenAt: T0 });
    const changeId = await openChange(endpoints);
    const { epoch } = await orders.beginPump(pool, { changeId, ring: 0 });
    await orders.releaseTick(deps, { changeId, ring: 0, target: 'change', epoch, now: T0 });
    const agents = endpoints.map((id) => new TestAgent(pool, id));
    for (const agent of agents) {
      await agent.poll(T0);
      while (agent.step(T0));
    }
    const polls = agents.map((agent) => ({ endpointId: agent.endpointId, ...agent.request() }));
    await Promise.all(
      Array.from({ length: 12 }, (_, i) =>
        orders.takeReportBatch(pool, {
          polls: i % 2 === 0 ? polls : [...polls].reverse().slice(i % 5),
          now: T0 + MINUTE,
        }),
      ),
    );
    expect(new Set((await ordersOf(pool, changeId)).map((o) => o.state))).toEqual(new Set(['succeeded']));
    const { rows } = await pool.query(
      `SELECT e.order_id, e.seq FROM order_event e JOIN order_state o ON o.id = e.order_id
        WHERE o.change_id = $1 AND e.actor = 'agent' GROUP BY e.order_id, e.seq HAVING count(*) > 1`,
      [changeId],
    );
    expect(rows).toEqual([]);
  });
});

/** Releases and permits of a change that have committed. */
async function counted(changeId: string): Promise<Record<string, number>> {
  const { rows } = await pool.query(
    `SELECT e.event, count(*)::int AS n FROM order_event e JOIN order_state o ON o.id = e.order_id
      WHERE o.change_id = $1 AND e.event IN ('release', 'permit', 'offer') GROUP BY e.event ORDER BY e.event`,
    [changeId],
  );
  return Object.fromEntries(rows.map((row) => [row.event, row.n]));
}

/** Waits until as many of our connections wait for a lock. */
async function untilBlocked(n: number): Promise<void> {
  for (;;) {
    const { rows } = await pool.query(
      `SELECT count(*)::int AS n FROM pg_stat_activity WHERE application_name = 'races' AND wait_event_type = 'Lock'`,
    );
    if (rows[0].n >= n) return;
    await sleep(5);
  }
}
