import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import * as orders from '../../db/orders/index.js';
import { BEFORE_APPLY, ORDER_STATES, type OrderState, STATE_TRAITS } from '../../domain/order/index.js';
import { MINUTE } from '../../domain/time.js';
import { createDatabase, type TestDatabase } from '../helpers/postgres.js';
import { TestAgent } from './agent.js';
import { addChange, addEndpoints, documentsFor, openRing, ordersOf, setWindow, testSigner } from './fleet.js';

// A loaded machine is slow, not wrong.
jest.setTimeout(300_000);

const T0 = Date.UTC(2026, 0, 10, 22);

let db: TestDatabase;
let deps: orders.ReleaseDeps;
beforeAll(async () => {
  db = await createDatabase();
  deps = { pool: db.pool, signer: testSigner, documentsFor };
});
afterAll(() => db.drop());

async function tick(changeId: string, now = T0, target: orders.OrderTarget = 'change') {
  const { epoch } = await orders.beginPump(db.pool, { changeId, ring: 0, target });
  return orders.releaseTick(deps, { changeId, ring: 0, target, epoch, now });
}

const state = async (changeId: string, kind = 'change') =>
  (await ordersOf(db.pool, changeId, kind))
    .filter((o) => !(o as unknown as { retried: boolean }).retried)
    .map((o) => o.state);

async function change(endpoint: string, priority: number, spec = {}) {
  const changeId = await addChange(db.pool, { now: T0, rings: [{ endpoints: [endpoint], spec }], priority });
  await openRing(db.pool, { changeId, now: T0 });
  return changeId;
}

/** Puts the routine order where the test wants it, as if both sides had brought it there. */
async function place(changeId: string, to: OrderState, permitUntil: number | null) {
  const began = !BEFORE_APPLY.includes(to);
  await db.pool.query(
    `UPDATE order_state SET state = $2, phase = $3, permit_until = to_timestamp($4 / 1000.0),
            started_at = CASE WHEN $5 THEN to_timestamp($6 / 1000.0) END WHERE change_id = $1 AND kind = 'change'`,
    [changeId, to, STATE_TRAITS[to].phase, permitUntil, began, T0],
  );
}

const CASES = ORDER_STATES.flatMap((state) =>
  ['offered', 'accepted', 'staged'].includes(state)
    ? ([
        [state, false],
        [state, true],
      ] as const)
    : ([[state, false]] as const),
);

describe('an urgent change over a routine one', () => {
  it.each(CASES)('%s, with a permit out: %s; then the routine one is rolled back', async (routineState, permitOut) => {
    const [endpoint] = (await addEndpoints(db.pool, 1, { seenAt: T0 })) as [string];
    const routine = await change(endpoint, 0, { errorBudget: { count: 9 } });
    await place(routine, routineState, permitOut ? T0 + MINUTE : null);
    const urgent = await change(endpoint, 10);
    const { released } = await tick(urgent);

    const holding = STATE_TRAITS[routineState].phase === 'holding';
    const givesWay = holding && BEFORE_APPLY.includes(routineState) && !permitOut;
    expect(released).toBe(holding && !givesWay ? 0 : 1);
    expect(await state(routine)).toEqual([givesWay ? 'superseded' : routineState]);

    // Once the endpoint is free, the urgent one runs; and it stays, whatever becomes of the routine one.
    if (released === 0) {
      await db.pool.query(
        `UPDATE order_state SET state = 'failed', phase = 'done', permit_until = NULL WHERE change_id = $1`,
        [routine],
      );
      expect((await tick(urgent)).released).toBe(1);
    }
    const agent = new TestAgent(db.pool, endpoint);
    await agent.run(T0);
    expect(await state(urgent)).toEqual(['succeeded']);

    const { orders: undone } = await orders.startRollback(db.pool, {
      changeId: routine,
      ring: 0,
      by: 'person',
      reason: 'bad patch',
      ignoreWindows: false,
      now: T0,
    });
    const touched =
      !BEFORE_APPLY.includes(routineState) && ['succeeded', 'failed'].includes((await state(routine))[0] as string);
    expect(undone).toBe(touched ? 1 : 0);
    await setWindow(db.pool, { changeId: routine, ring: 0, from: T0, until: T0 + 60 * MINUTE });
    await tick(routine, T0, 'revert');
    // The endpoint finds another version than the routine change installed: nothing of it is left to take back.
    await agent.poll(T0);
    const revert = agent.current()?.[0];
    if (revert !== undefined) {
      agent.say(revert, T0, { type: 'accept' }, { type: 'moot', reason: 'a newer version is installed' });
      await agent.poll(T0);
    }
    expect(await state(routine, 'revert')).toEqual(touched ? ['skipped'] : []);
    expect(await tick(routine, T0, 'revert')).toMatchObject({ drained: true });
    expect(await state(urgent)).toEqual(['succeeded']);
    const { rows } = await db.pool.query(`SELECT state FROM order_state WHERE endpoint_id = $1 AND phase <> 'done'`, [
      endpoint,
    ]);
    expect(rows).toEqual([]);
  });

  it.each([
    ['the same priority', 5, 5],
    ['a lower one', 5, 3],
  ])('waits with %s', async (_name, first, second) => {
    const [endpoint] = (await addEndpoints(db.pool, 1, { seenAt: T0 })) as [string];
    const holder = await change(endpoint, first);
    await tick(holder);
    const other = await change(endpoint, second);
    expect((await tick(other)).released).toBe(0);
    expect([await state(holder), await state(other)]).toEqual([['released'], ['pending']]);
  });

  it('makes an undoing give way, which is queued again after it', async () => {
    const [endpoint] = (await addEndpoints(db.pool, 1, { seenAt: T0 })) as [string];
    const routine = await change(endpoint, 0);
    await tick(routine);
    const agent = new TestAgent(db.pool, endpoint);
    await agent.run(T0);
    await orders.startRollback(db.pool, {
      changeId: routine,
      ring: 0,
      by: 'p',
      reason: 'r',
      ignoreWindows: true,
      now: T0,
    });
    await setWindow(db.pool, { changeId: routine, ring: 0, from: T0, until: T0 + 60 * MINUTE });
    await tick(routine, T0, 'revert');
    expect(await state(routine, 'revert')).toEqual(['released']);
    const urgent = await change(endpoint, 10);
    expect((await tick(urgent)).released).toBe(1);
    expect((await ordersOf(db.pool, routine, 'revert')).map((o) => o.state)).toEqual(['superseded']);
    await tick(routine, T0, 'revert');
    expect((await ordersOf(db.pool, routine, 'revert')).map((o) => o.state)).toEqual(['superseded', 'pending']);
    await agent.run(T0);
    expect(await state(urgent)).toEqual(['succeeded']);
    await setWindow(db.pool, { changeId: routine, ring: 0, from: T0, until: T0 + 60 * MINUTE });
    await tick(routine, T0, 'revert');
    await agent.run(T0);
    expect(await state(routine, 'revert')).toEqual(['reverted']);
  });
});

describe('rollback of a ring', () => {
  it('undoes what the change did, in reverse host order, and nothing else', async () => {
    const endpoints = await addEndpoints(db.pool, 4, { seenAt: T0 });
    const [database, web, satisfied, untouched] = endpoints as [string, string, string, string];
    const changeId = await addChange(db.pool, { now: T0, rings: [{ endpoints, waves: [0, 1, 1, 1] }] });
    await openRing(db.pool, { changeId, now: T0 });
    await db.pool.query('UPDATE ring SET concurrency = 10 WHERE change_id = $1', [changeId]);
    await tick(changeId);
    const agents = new Map(endpoints.map((id) => [id, new TestAgent(db.pool, id)]));
    await agents.get(database)?.run(T0);
    await tick(changeId);
    await agents.get(web)?.run(T0);
    const there = agents.get(satisfied) as TestAgent;
    await there.poll(T0);
    there.say(there.current()?.[0] as string, T0, { type: 'accept' }, { type: 'satisfied' });
    await there.poll(T0);
    await orders.settleStep(db.pool, { changeId, ring: 0, reason: 'bad', now: T0 });
    expect(
      await orders.startRollback(db.pool, { changeId, ring: 0, by: 'p', reason: 'bad', ignoreWindows: false, now: T0 }),
    ).toEqual({ orders: 2 });
    expect(
      await orders.startRollback(db.pool, { changeId, ring: 0, by: 'p', reason: 'bad', ignoreWindows: false, now: T0 }),
    ).toEqual({ orders: 2 });
    expect(await tick(changeId, T0, 'revert')).toMatchObject({ released: 0 });
    await setWindow(db.pool, { changeId, ring: 0, from: T0, until: T0 + 60 * MINUTE });
    expect(await tick(changeId, T0, 'revert')).toMatchObject({ released: 1 });
    const released = async () =>
      (await ordersOf(db.pool, changeId, 'revert')).filter((o) => o.state === 'released').map((o) => o.endpoint_id);
    expect(await released()).toEqual([web]);
    await agents.get(web)?.run(T0);
    await tick(changeId, T0, 'revert');
    expect(await released()).toEqual([database]);
    await agents.get(database)?.run(T0);
    expect(await tick(changeId, T0, 'revert')).toMatchObject({ drained: true, counts: { succeeded: 2 } });
    const ends = new Map((await ordersOf(db.pool, changeId)).map((o) => [o.endpoint_id, o.outcome ?? o.state]));
    expect(ends).toEqual(
      new Map(
        [
          [database, 'succeeded'],
          [web, 'succeeded'],
          [satisfied, 'satisfied'],
          [untouched, 'withdrawn'],
        ].sort() as [string, string][],
      ),
    );
  });

  it('takes in what an endpoint reports only after the rollback has begun', async () => {
    const [endpoint] = (await addEndpoints(db.pool, 1, { seenAt: T0 })) as [string];
    const changeId = await change(endpoint, 0);
    await tick(changeId);
    const agent = new TestAgent(db.pool, endpoint);
    await agent.poll(T0);
    for (let i = 0; i < 3; i++) agent.step(T0);
    await agent.poll(T0);
    await tick(changeId, T0 + 90 * MINUTE);
    expect(await state(changeId)).toEqual(['stalled']);
    await orders.startRollback(db.pool, {
      changeId,
      ring: 0,
      by: 'p',
      reason: 'bad',
      ignoreWindows: false,
      now: T0 + 90 * MINUTE,
    });
    // It waits for the endpoint to be heard of, and does not hold the ring up.
    await tick(changeId, T0 + 90 * MINUTE, 'revert');
    expect(await tick(changeId, T0 + 90 * MINUTE, 'revert')).toMatchObject({ drained: true, released: 0 });
    const later = T0 + 100 * MINUTE;
    await agent.run(later);
    expect(await state(changeId)).toEqual(['succeeded']);
    await db.pool.query('UPDATE endpoint SET last_seen = to_timestamp($2 / 1000.0) WHERE id = $1', [endpoint, later]);
    await setWindow(db.pool, { changeId, ring: 0, from: T0, until: later + 60 * MINUTE });
    expect(await tick(changeId, later, 'revert')).toMatchObject({ released: 1 });
    await agent.run(later);
    expect(await state(changeId, 'revert')).toEqual(['reverted']);
  });

  it('announced but not begun: its permit is out until it ends, and it goes on in a later window', async () => {
    const [endpoint] = (await addEndpoints(db.pool, 1, { seenAt: T0 })) as [string];
    const changeId = await change(endpoint, 0);
    await tick(changeId);
    const agent = new TestAgent(db.pool, endpoint);
    await agent.run(T0);
    const rollback = { changeId, ring: 0, by: 'p', reason: 'bad', ignoreWindows: false, now: T0 };
    await orders.startRollback(db.pool, rollback);
    await setWindow(db.pool, { changeId, ring: 0, from: T0, until: T0 + 10 * MINUTE });
    await tick(changeId, T0, 'revert');
    for (let i = 0; i < 3; i++) {
      await agent.poll(T0);
      agent.step(T0);
    }
    await agent.poll(T0);
    const row = async () => (await ordersOf(db.pool, changeId, 'revert'))[0] as Awaited<ReturnType<typeof ordersOf>>[0];
    expect(await row()).toMatchObject({ state: 'reverting', started_at: new Date(T0) });
    // The agent was dead; its owner's window is closed now, and the permit not over yet.
    const id = (await row()).id;
    agent.say(id, T0 + MINUTE, { type: 'notBegun', reason: "outside the owner's own windows" });
    await agent.poll(T0 + MINUTE);
    expect(await row()).toMatchObject({ state: 'staged', started_at: null, reason: "outside the owner's own windows" });
    const permits = () => orders.outstandingPermits(db.pool, { changeId, ring: 0 });
    expect(await permits()).toEqual({ outstanding: 1, mayStillStartUntil: T0 + 5 * MINUTE });
    const later = T0 + 24 * 60 * MINUTE;
    await agent.poll(later);
    expect(await permits()).toEqual({ outstanding: 0, mayStillStartUntil: null });
    await setWindow(db.pool, { changeId, ring: 0, from: later, until: later + 60 * MINUTE });
    await tick(changeId, later, 'revert');
    await agent.run(later);
    expect([await row(), agent.violations]).toMatchObject([{ state: 'reverted', started_at: new Date(later) }, []]);
  });
});
