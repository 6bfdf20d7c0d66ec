import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import * as orders from '../../db/orders/index.js';
import { inTransaction } from '../../db/pool.js';
import { BEFORE_APPLY, ORDER_STATES, type OrderState, STATE_TRAITS } from '../../domain/order/index.js';
import { DAY, HOUR, MINUTE } from '../../domain/time.js';
import { createDatabase, type TestDatabase } from '../helpers/postgres.js';
import { TestAgent } from './agent.js';
import { addChange, addEndpoints, documentsFor, openRing, ordersOf, ringOf, testSigner } from './fleet.js';

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

const BEGUN: readonly OrderState[] = ['applying', 'awaitingReboot', 'rebooting', 'verifying', 'reverting'];
type PermitCase = 'none' | 'out' | 'lapsed';

/** Every state an order can be in, with what may be known of its permit there. */
const CASES = ORDER_STATES.flatMap((state): [OrderState, PermitCase][] => {
  if (['offered', 'accepted', 'staged'].includes(state))
    return [
      [state, 'none'],
      [state, 'out'],
      [state, 'lapsed'],
    ];
  return state === 'expired'
    ? [
        [state, 'none'],
        [state, 'out'],
      ]
    : [[state, 'none']];
});

async function tick(changeId: string, now = T0, target: orders.OrderTarget = 'change') {
  const { epoch } = await orders.beginPump(db.pool, { changeId, ring: 0, target });
  return orders.releaseTick(deps, { changeId, ring: 0, target, epoch, now });
}

/** One endpoint whose order has really been brought into a state, by both sides. */
async function orderIn(state: OrderState, permit: PermitCase = 'none') {
  const [endpoint] = (await addEndpoints(db.pool, 1, { seenAt: T0 })) as [string];
  const changeId = await addChange(db.pool, {
    now: T0,
    rings: [{ endpoints: [endpoint], spec: { errorBudget: { count: 5 } } }],
  });
  await openRing(db.pool, { changeId, now: T0 });
  const agent = new TestAgent(db.pool, endpoint);
  const view = async () =>
    (await ordersOf(db.pool, changeId))[0] as NonNullable<Awaited<ReturnType<typeof ordersOf>>[0]>;
  if (state === 'pending') return { changeId, endpoint, agent, view };
  await tick(changeId);
  if (state === 'released') return { changeId, endpoint, agent, view };
  // Without a signed permit nothing can be handed out but the order.
  const needsPermit =
    permit !== 'none' ||
    !['offered', 'accepted', 'staged', 'expired', 'skipped', 'withdrawn', 'superseded'].includes(state);
  if (!needsPermit)
    await db.pool.query('DELETE FROM order_permit p USING order_state o WHERE o.id = p.order_id AND o.change_id = $1', [
      changeId,
    ]);
  await agent.poll(T0);
  const id = agent.current()?.[0] as string;
  const say = (...words: Parameters<TestAgent['say']> extends [string, number, ...infer W] ? W : never) =>
    agent.say(id, T0, ...words);
  const path: Partial<Record<OrderState, () => void>> = {
    accepted: () => say({ type: 'accept' }),
    staged: () => say({ type: 'accept' }, { type: 'staged' }),
    applying: () => say({ type: 'accept' }, { type: 'staged' }, { type: 'apply' }),
    awaitingReboot: () =>
      say({ type: 'accept' }, { type: 'staged' }, { type: 'apply' }, { type: 'applied', rebootRequired: true }),
    verifying: () =>
      say({ type: 'accept' }, { type: 'staged' }, { type: 'apply' }, { type: 'applied', rebootRequired: false }),
    failed: () => say({ type: 'refuse', reason: 'differs' }),
    skipped: () => say({ type: 'decline', reason: 'held' }),
  };
  path.rebooting = () => {
    path.awaitingReboot?.();
    say({ type: 'reboot' });
  };
  path.succeeded = () => {
    path.verifying?.();
    say({ type: 'healthy' });
  };
  path.reverting = () => {
    path.verifying?.();
    say({ type: 'revertBegun', cause: 'sick' });
  };
  path.reverted = () => {
    path.reverting?.();
    say({ type: 'reverted' });
  };
  path.revertFailed = () => {
    path.reverting?.();
    say({ type: 'revertFailed', cause: 'sick' });
  };
  path.stalled = path.applying as () => void;
  path[state]?.();
  const { reports, open } = agent.request();
  await orders.takeReports(db.pool, { endpointId: endpoint, reports, open, now: T0 });
  if (state === 'stalled') await tick(changeId, T0 + 2 * HOUR);
  if (state === 'withdrawn') await orders.withdrawOpen(db.pool, { changeId, ring: 0, reason: 'test', now: T0 });
  if (state === 'superseded')
    await db.pool.query(`UPDATE order_state SET state = 'superseded', phase = 'done' WHERE id = $1`, [id]);
  if (state === 'expired') {
    await db.pool.query('UPDATE change SET deadline = to_timestamp($2 / 1000.0) WHERE id = $1', [
      changeId,
      T0 + MINUTE,
    ]);
    await tick(changeId, T0 + MINUTE);
  }
  if (permit === 'lapsed') {
    const now = T0 + 6 * MINUTE;
    await orders.takeReports(db.pool, { endpointId: endpoint, ...heldBy(agent, state), now, heardAt: now });
  }
  expect((await view()).state).toBe(state);
  expect((await view()).permit_until !== null).toBe(permit === 'out');
  return { changeId, endpoint, agent, view };
}

/** A poll of an agent that never got the offer, or that lists the order where it is. */
function heldBy(agent: TestAgent, state: OrderState) {
  const { open } = agent.request();
  return { reports: [], open: state === 'offered' ? [] : open };
}

describe('abort in every state', () => {
  it('covers every state', () => expect(new Set(CASES.map(([state]) => state))).toEqual(new Set(ORDER_STATES)));

  it.each(CASES)('%s, permit %s', async (state, permit) => {
    const { changeId, view } = await orderIn(state, permit);
    const before = await view();
    const halted = await inTransaction(db.pool, (client) =>
      orders.haltChange(client, { changeId, verb: 'abort', by: 'person', reason: 'test', now: T0 }),
    );
    const { withdrawn, outstanding, mayStillStartUntil } = await orders.withdrawOpen(db.pool, {
      changeId,
      ring: null,
      reason: 'aborted',
      now: T0,
    });
    const after = await view();
    const takenBack = BEFORE_APPLY.includes(state) && permit !== 'out';
    const waits = BEFORE_APPLY.includes(state) && permit === 'out';
    expect(after.state).toBe(takenBack ? 'withdrawn' : state);
    expect([withdrawn, outstanding]).toEqual([takenBack ? 1 : 0, waits ? 1 : 0]);
    // What the stop itself said of permits is what is true now.
    expect(halted.outstanding).toBe(waits ? 1 : 0);
    expect(mayStillStartUntil).toBe(waits ? before.permit_until?.getTime() : null);
    // Nothing is let out or permitted after it.
    const tickAfter = await tick(changeId);
    expect(tickAfter).toMatchObject({ released: 0, halted: true });
    expect((await view()).permit_until).toEqual(after.permit_until);
  });

  it.each(BEFORE_APPLY.slice(2))(
    '%s with a permit: taken back once its endpoint is heard after the permit',
    async (state) => {
      const { changeId, endpoint, agent, view } = await orderIn(state, 'out');
      const step = (now: number) => orders.settleStep(db.pool, { changeId, ring: 0, reason: 'aborted', now });
      expect(await step(T0)).toMatchObject({ withdrawn: 0, underWay: 1 });
      const later = T0 + 6 * MINUTE;
      expect(await step(later)).toMatchObject({ withdrawn: 0, underWay: 1 });
      await orders.takeReports(db.pool, { endpointId: endpoint, ...heldBy(agent, state), now: later, heardAt: later });
      expect(await step(later)).toMatchObject({ withdrawn: 1, underWay: 0 });
      expect((await view()).state).toBe('withdrawn');
    },
  );

  it('a permit whose endpoint is never heard again: expired; and should it have begun, its report wins', async () => {
    const { changeId, agent, view } = await orderIn('staged', 'out');
    const later = T0 + 2 * HOUR;
    expect(await orders.settleStep(db.pool, { changeId, ring: 0, reason: 'aborted', now: later })).toMatchObject({
      underWay: 0,
    });
    expect((await view()).state).toBe('expired');
    const id = agent.current()?.[0] as string;
    agent.say(id, T0 + MINUTE, { type: 'apply' }, { type: 'applied', rebootRequired: false }, { type: 'healthy' });
    await agent.poll(later);
    expect((await view()).state).toBe('succeeded');
    expect(agent.violations).toEqual([]);
  });

  it.each(BEGUN)('%s: winds up by what the endpoint reports, or by its silence', async (state) => {
    const { changeId, view } = await orderIn(state);
    const step = (now: number) => orders.settleStep(db.pool, { changeId, ring: 0, reason: 'aborted', now });
    expect(await step(T0)).toMatchObject({ withdrawn: 0, underWay: 1 });
    expect(await step(T0 + 40 * DAY)).toMatchObject({ underWay: 0 });
    expect((await view()).state).toBe(state === 'awaitingReboot' ? 'failed' : 'stalled');
  });
});

describe('skip, retire and close in every state', () => {
  it('skip: an endpoint whose ring has yet to open gets no order in it', async () => {
    const [endpoint] = (await addEndpoints(db.pool, 1, { seenAt: T0 })) as [string];
    const changeId = await addChange(db.pool, { now: T0, rings: [{ endpoints: [endpoint] }] });
    const skip = (endpointId: string) =>
      orders.skipEndpoint(db.pool, { changeId, endpointId, by: 'person', reason: 'test', now: T0 });
    expect(await skip(endpoint)).toEqual({ skipped: true, reason: null });
    expect(await skip(changeId)).toEqual({ skipped: false, reason: 'the endpoint is not part of this change' });
    await openRing(db.pool, { changeId, now: T0 });
    expect(await ordersOf(db.pool, changeId)).toEqual([]);
  });

  it.each(CASES)('skip: %s, permit %s', async (state, permit) => {
    const { changeId, endpoint, view } = await orderIn(state, permit);
    const done = await orders.skipEndpoint(db.pool, {
      changeId,
      endpointId: endpoint,
      by: 'person',
      reason: 'test',
      now: T0,
    });
    const takenBack = BEFORE_APPLY.includes(state) && permit !== 'out';
    expect((await view()).state).toBe(takenBack ? 'skipped' : state);
    expect(done.skipped).toBe(takenBack || state === 'skipped');
  });

  it.each(CASES)('retire: %s, permit %s', async (state, permit) => {
    const { changeId, endpoint, view } = await orderIn(state, permit);
    await inTransaction(db.pool, (client) =>
      orders.retireEndpoint(client, { endpointId: endpoint, by: 'person', reason: 'scrapped', now: T0 }),
    );
    expect(STATE_TRAITS[(await view()).state as OrderState].phase).toBe('done');
    const began = BEGUN.includes(state) || state === 'stalled';
    if (began) expect((await view()).state).toBe('failed');
    expect(await tick(changeId)).toMatchObject({ released: 0, drained: true });
  });

  it.each(CASES)('close: %s, permit %s', async (state, permit) => {
    const { changeId, view } = await orderIn(state, permit);
    await inTransaction(db.pool, (client) => orders.closeOrders(client, { changeId, now: T0 }));
    const open = STATE_TRAITS[state].phase !== 'done';
    const expected = open ? (BEFORE_APPLY.includes(state) ? 'expired' : 'failed') : state;
    expect((await view()).state).toBe(expected);
  });

  it('a retired endpoint that had begun counts as failed, and halts what it breaks', async () => {
    const { changeId, endpoint } = await orderIn('applying');
    await db.pool.query(
      `UPDATE ring SET spec = jsonb_set(spec, '{errorBudget}', '{"count": 0}') WHERE change_id = $1`,
      [changeId],
    );
    await inTransaction(db.pool, (client) =>
      orders.retireEndpoint(client, { endpointId: endpoint, by: 'person', reason: 'scrapped', now: T0 }),
    );
    expect(await ringOf(db.pool, changeId)).toMatchObject({ halted: true, halted_by: 'budget' });
  });
});

describe('stop and go', () => {
  it('a stop of everything reaches every open change, and no weaker word weakens it', async () => {
    const [a, b] = [await orderIn('pending'), await orderIn('staged', 'out')];
    const { changeIds, outstanding } = await inTransaction(db.pool, (client) =>
      orders.haltAll(client, { by: 'person', reason: 'stop all', now: T0 }),
    );
    expect(changeIds).toEqual(expect.arrayContaining([a.changeId, b.changeId]));
    expect(outstanding).toBeGreaterThanOrEqual(1);
    await inTransaction(db.pool, (client) =>
      orders.haltChange(client, { changeId: a.changeId, verb: 'pause', by: 'other', reason: 'x', now: T0 }),
    );
    const { rows } = await db.pool.query('SELECT halt_verb, halted_by FROM change WHERE id = $1', [a.changeId]);
    expect(rows).toEqual([{ halt_verb: 'stopAll', halted_by: 'person' }]);
    expect(await tick(a.changeId)).toMatchObject({ released: 0, halted: true });
    await orders.clearHalt(db.pool, { changeId: a.changeId, ring: null, by: 'person' });
    expect(await tick(a.changeId)).toMatchObject({ released: 1, halted: false });
  });

  it.each(['the change', 'its ring alone'])(
    'a pause of %s hands out nothing, repeats what was sent, and loses nothing',
    async (what) => {
      const { changeId, agent, view } = await orderIn('accepted');
      const waiting = await orderIn('released');
      for (const { changeId: id } of [{ changeId }, waiting]) {
        await tick(id);
        if (what === 'its ring alone')
          await orders.haltRing(db.pool, { changeId: id, ring: 0, by: 'p', reason: 'r', now: T0 });
        else
          await inTransaction(db.pool, (client) =>
            orders.haltChange(client, { changeId: id, verb: 'pause', by: 'p', reason: 'r', now: T0 }),
          );
      }
      await waiting.agent.run(T0);
      expect((await waiting.view()).state).toBe('released');
      await agent.run(T0);
      expect(await view()).toMatchObject({ state: 'staged', permit_until: null });
      agent.journal.clear();
      await agent.poll(T0);
      expect(agent.current()?.[1]).toMatchObject({ startBy: null });
      await orders.clearHalt(db.pool, { changeId, ring: null, by: 'p' });
      await agent.poll(T0);
      expect(agent.current()?.[1].startBy).not.toBeNull();
    },
  );

  it('refuses to halt a change that is not there', async () => {
    const changeId = '00000000-0000-4000-8000-000000000000';
    await expect(
      inTransaction(db.pool, (client) => orders.haltChange(client, { changeId, verb: 'pause', by: 'p', reason: 'r' })),
    ).rejects.toThrow(orders.NoSuchRow);
    await expect(orders.beginPump(db.pool, { changeId, ring: 0 })).rejects.toThrow(orders.NoSuchRow);
  });
});
