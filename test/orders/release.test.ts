import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import * as orders from '../../db/orders/index.js';
import { DAY, HOUR, MINUTE } from '../../domain/time.js';
import { createDatabase, type TestDatabase } from '../helpers/postgres.js';
import { TestAgent } from './agent.js';
import {
  addChange,
  addEndpoints,
  documentsFor,
  openRing,
  ordersOf,
  PLAN,
  ringOf,
  setWindow,
  testSigner,
} from './fleet.js';

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

async function pump(changeId: string, now: number, args: { ring?: number; target?: orders.OrderTarget } = {}) {
  const { ring = 0, target = 'change' } = args;
  const { epoch } = await orders.beginPump(db.pool, { changeId, ring, target });
  return orders.releaseTick(deps, { changeId, ring, target, epoch, now });
}

const states = async (changeId: string) => (await ordersOf(db.pool, changeId)).map((order) => order.state);

describe('release', () => {
  it('starts slowly and speeds up with successes, up to what may be in flight', async () => {
    const endpoints = await addEndpoints(db.pool, 12, { seenAt: T0 });
    const changeId = await addChange(db.pool, { now: T0, rings: [{ endpoints, spec: { maxInFlight: 4 } }] });
    await openRing(db.pool, { changeId, now: T0 });
    const agents = endpoints.map((id) => new TestAgent(db.pool, id));
    const released: number[] = [];
    for (;;) {
      const tick = await pump(changeId, T0);
      if (tick.drained) break;
      released.push(tick.released);
      for (const agent of agents) await agent.run(T0);
    }
    expect(released).toEqual([1, 2, 4, 4, 1]);
    expect(new Set(await states(changeId))).toEqual(new Set(['succeeded']));
    expect(agents.flatMap((agent) => agent.violations)).toEqual([]);
  });

  it.each([
    ['before its window', { from: T0 + HOUR, until: T0 + 2 * HOUR }, 0],
    ['at the opening', { from: T0, until: T0 + HOUR }, 1],
    ['at the last start: no more', { from: T0 - HOUR, until: T0 }, 0],
  ])('obeys hours of operation: %s', async (_name, window, released) => {
    const endpoints = await addEndpoints(db.pool, 1, { seenAt: T0 });
    const changeId = await addChange(db.pool, { now: T0, rings: [{ endpoints }] });
    await openRing(db.pool, { changeId, now: T0 });
    await setWindow(db.pool, { changeId, ring: 0, ...window });
    expect((await pump(changeId, T0)).released).toBe(released);
  });

  it.each([
    ['quarantined', `state = 'quarantined'`, 'quarantined'],
    ['retired', `state = 'retired'`, 'retired'],
    ['for scanning only', 'scan_only = true', 'scanOnly'],
    ['held by its owner', `hold_until = to_timestamp(${(T0 + DAY) / 1000})`, 'held'],
    ['silent', `last_seen = to_timestamp(${(T0 - 2 * HOUR) / 1000})`, 'offline'],
    ['never seen', 'last_seen = NULL', 'offline'],
  ])('passes over an endpoint that is %s, and says so', async (_name, sql, word) => {
    const endpoints = await addEndpoints(db.pool, 1, { seenAt: T0 });
    const changeId = await addChange(db.pool, { now: T0, rings: [{ endpoints }] });
    await openRing(db.pool, { changeId, now: T0 });
    await db.pool.query(`UPDATE endpoint SET ${sql} WHERE id = $1`, [endpoints[0]]);
    const tick = await pump(changeId, T0);
    expect(tick).toMatchObject({ released: 0, drained: true, counts: { stragglers: 1 } });
    expect((await ordersOf(db.pool, changeId))[0]?.straggler_reason).toMatch(new RegExp(`^${word}: `));
    expect(await orders.moveStragglers(db.pool, { changeId, ring: 0, now: T0 })).toEqual({ moved: 1 });
    expect((await ordersOf(db.pool, changeId))[0]).toMatchObject({ ring: 1000, state: 'pending' });
  });

  it('wakes an endpoint that was told to ask rarely before it calls its silence offline', async () => {
    const endpoints = await addEndpoints(db.pool, 2, { seenAt: T0 });
    const changeId = await addChange(db.pool, { now: T0, rings: [{ endpoints }], offlineAfterMinutes: 1 });
    await openRing(db.pool, { changeId, now: T0, until: T0 + DAY });
    await db.pool.query(`UPDATE endpoint SET next_poll_at = to_timestamp($2 / 1000.0) WHERE id = ANY ($1)`, [
      endpoints,
      T0 + 15 * MINUTE,
    ]);
    const now = T0 + 5 * MINUTE;
    const stragglers = async (at: number) => (await pump(changeId, at)).counts.stragglers;
    expect(await stragglers(now)).toBe(0);
    expect(await stragglers(now + 10_000)).toBe(0);
    // One answers, the other does not.
    await db.pool.query('UPDATE endpoint SET last_seen = to_timestamp($2 / 1000.0) WHERE id = $1', [
      endpoints[0],
      now + 2_000,
    ]);
    expect(await stragglers(now + 25_000)).toBe(1);
    const rows = await ordersOf(db.pool, changeId);
    const of = (endpoint: string | undefined) => rows.find((row) => row.endpoint_id === endpoint);
    expect(of(endpoints[0])).toMatchObject({ state: 'released', straggler_reason: null });
    expect(of(endpoints[1])).toMatchObject({
      state: 'pending',
      straggler_reason: expect.stringMatching(/^offline: last seen/),
    });
  });

  it('catches a straggler up in its lane once it is back', async () => {
    const endpoints = await addEndpoints(db.pool, 1, { seenAt: T0 - DAY });
    const changeId = await addChange(db.pool, { now: T0, rings: [{ endpoints }] });
    await openRing(db.pool, { changeId, now: T0 });
    await pump(changeId, T0);
    await orders.moveStragglers(db.pool, { changeId, ring: 0, now: T0 });
    await openRing(db.pool, { changeId, ring: 1000, now: T0 });
    expect(await pump(changeId, T0, { ring: 1000 })).toMatchObject({ released: 0, drained: false });
    await db.pool.query('UPDATE endpoint SET last_seen = to_timestamp($2 / 1000.0) WHERE id = $1', [endpoints[0], T0]);
    expect(await pump(changeId, T0, { ring: 1000 })).toMatchObject({ released: 1 });
    await new TestAgent(db.pool, endpoints[0] as string).run(T0);
    expect(await states(changeId)).toEqual(['succeeded']);
    expect(await pump(changeId, T0, { ring: 1000 })).toMatchObject({ drained: true });
  });

  it('takes an order back that waits for an endpoint which went away, and lets it out when it returns', async () => {
    const endpoints = await addEndpoints(db.pool, 1, { seenAt: T0 });
    const changeId = await addChange(db.pool, { now: T0, rings: [{ endpoints }] });
    await openRing(db.pool, { changeId, now: T0, until: T0 + DAY });
    await pump(changeId, T0);
    expect(await states(changeId)).toEqual(['released']);
    expect(await pump(changeId, T0 + 2 * HOUR)).toMatchObject({ drained: true, counts: { offline: 1 } });
    expect(await states(changeId)).toEqual(['pending']);
    await db.pool.query('UPDATE endpoint SET last_seen = to_timestamp($2 / 1000.0) WHERE id = $1', [
      endpoints[0],
      T0 + 3 * HOUR,
    ]);
    expect(await pump(changeId, T0 + 3 * HOUR)).toMatchObject({ released: 1 });
  });

  it('takes unfetched orders back when the window closes, and leaves fetched ones waiting for the next', async () => {
    const endpoints = await addEndpoints(db.pool, 2, { seenAt: T0 });
    const changeId = await addChange(db.pool, { now: T0, rings: [{ endpoints }], offlineAfterMinutes: 10_000 });
    await openRing(db.pool, { changeId, now: T0, until: T0 + 2 * MINUTE });
    await db.pool.query('UPDATE ring SET concurrency = 2 WHERE change_id = $1', [changeId]);
    await pump(changeId, T0);
    const agent = new TestAgent(db.pool, endpoints[0] as string);
    await agent.poll(T0);
    agent.step(T0);
    await agent.poll(T0);
    // The permit ends with the last start, and the endpoint is heard after it: nothing is under way any more.
    await agent.poll(T0 + 3 * MINUTE);
    const tick = await pump(changeId, T0 + 3 * MINUTE);
    expect((await states(changeId)).sort()).toEqual(['accepted', 'pending']);
    expect(tick).toMatchObject({ drained: false, active: false, nextOpen: null, staleWindows: 2 });
    await setWindow(db.pool, { changeId, ring: 0, from: T0 + 12 * HOUR, until: T0 + 13 * HOUR });
    expect(await pump(changeId, T0 + HOUR)).toMatchObject({ active: false, nextOpen: T0 + 12 * HOUR });
    await pump(changeId, T0 + 12 * HOUR);
    await agent.run(T0 + 12 * HOUR);
    expect(await states(changeId)).toContain('succeeded');
  });

  it('follows the host order, and does not go on past a failure in it', async () => {
    const endpoints = await addEndpoints(db.pool, 3, { seenAt: T0 });
    const spec = { errorBudget: { count: 3 } };
    const changeId = await addChange(db.pool, { now: T0, rings: [{ endpoints, waves: [0, 0, 1], spec }] });
    await openRing(db.pool, { changeId, now: T0 });
    await db.pool.query('UPDATE ring SET concurrency = 10 WHERE change_id = $1', [changeId]);
    expect((await pump(changeId, T0)).released).toBe(2);
    await new TestAgent(db.pool, endpoints[0] as string).run(T0);
    expect((await pump(changeId, T0)).released).toBe(0);
    await new TestAgent(db.pool, endpoints[1] as string).run(T0, 'reverts');
    expect((await pump(changeId, T0)).released).toBe(0);
    expect(await pump(changeId, T0)).toMatchObject({ drained: true, counts: { succeeded: 1, failed: 1, pending: 1 } });
    expect((await ordersOf(db.pool, changeId)).find((o) => o.endpoint_id === endpoints[2])?.straggler_reason).toMatch(
      /^hostOrder/,
    );
    await orders.retryFailed(db.pool, { changeId, ring: 0, by: 'test', now: T0 });
    expect((await pump(changeId, T0)).released).toBe(1);
    await new TestAgent(db.pool, endpoints[1] as string).run(T0);
    expect((await pump(changeId, T0)).released).toBe(1);
  });

  it('leaves what is not begun by the deadline of the ring to the stragglers, and by that of the change undone', async () => {
    const endpoints = await addEndpoints(db.pool, 1, { seenAt: T0 + 40 * DAY });
    const changeId = await addChange(db.pool, { now: T0, rings: [{ endpoints }] });
    await openRing(db.pool, { changeId, now: T0, until: T0 + 60 * DAY });
    await orders.haltRing(db.pool, { changeId, ring: 0, by: 'test', reason: 'test', now: T0 });
    await pump(changeId, T0 + DAY);
    await orders.clearHalt(db.pool, { changeId, ring: 0, by: 'test' });
    expect(await pump(changeId, T0 + DAY)).toMatchObject({ drained: true, deadlineMissed: true, released: 0 });
    await orders.moveStragglers(db.pool, { changeId, ring: 0, now: T0 + DAY });
    await openRing(db.pool, { changeId, ring: 1000, now: T0 + DAY, until: T0 + 60 * DAY });
    expect(await pump(changeId, T0 + 30 * DAY, { ring: 1000 })).toMatchObject({
      drained: true,
      deadlineMissed: true,
      released: 0,
    });
    expect(await states(changeId)).toEqual(['expired']);
  });

  it('halts on a plan that is not the approved one', async () => {
    const endpoints = await addEndpoints(db.pool, 1, { seenAt: T0 });
    const changeId = await addChange(db.pool, { now: T0, rings: [{ endpoints }] });
    await openRing(db.pool, { changeId, now: T0 });
    await db.pool.query('UPDATE change SET plan_digest = $2 WHERE id = $1', [changeId, 'c'.repeat(64)]);
    expect(await pump(changeId, T0)).toMatchObject({ released: 0, halted: true, haltedBy: 'plan' });
    await expect(
      orders.openRing(db.pool, { changeId, ring: 0, approvedDigest: 'd'.repeat(64), approvals: [], now: T0 }),
    ).rejects.toThrow(orders.PlanNotApproved);
  });

  it('a ring opens only with approvals that are on record as given for it', async () => {
    const endpoints = await addEndpoints(db.pool, 1, { seenAt: T0 });
    const rule = { from: { role: 'Manager' }, quorum: 1 } as never;
    const changeId = await addChange(db.pool, { now: T0, rings: [{ endpoints, spec: { approvals: [rule] } }] });
    const requestId = randomUUID();
    const open = (approvals: readonly string[]) =>
      orders.openRing(db.pool, { changeId, ring: 0, approvedDigest: PLAN, approvals, now: T0 });
    await db.pool.query(
      `INSERT INTO approval_request (id, change_id, ring, rule, plan_digest, evidence, state, expires_at)
       VALUES ($1, $2, 0, '{}', $3, '{}', 'open', now() + interval '1 day')`,
      [requestId, changeId, PLAN],
    );
    await expect(open([])).rejects.toThrow('asks for 1 approvals');
    await expect(open([randomUUID()])).rejects.toThrow(orders.PlanNotApproved);
    await expect(open([requestId])).rejects.toThrow('0 of the 1 named');
    await db.pool.query(`UPDATE approval_request SET state = 'approved' WHERE id = $1`, [requestId]);
    await expect(open([requestId])).resolves.toMatchObject({ orders: 1 });
  });

  it.each([
    ['missing', { errorBudget: undefined }],
    ['malformed', { errorBudget: { percent: 'five' } }],
    ['a malformed ceiling', { maxInFlight: -1 }],
  ])('halts on a budget that is %s', async (_name, broken) => {
    const endpoints = await addEndpoints(db.pool, 1, { seenAt: T0 });
    const changeId = await addChange(db.pool, { now: T0, rings: [{ endpoints, spec: broken as object }] });
    await openRing(db.pool, { changeId, now: T0 });
    expect(await pump(changeId, T0)).toMatchObject({ released: 0, halted: true, haltedBy: 'budget' });
    expect(await ringOf(db.pool, changeId)).toMatchObject({ halted: true });
  });

  it('never lets out an order nobody knows the content of', async () => {
    const endpoints = await addEndpoints(db.pool, 1, { seenAt: T0 });
    const changeId = await addChange(db.pool, { now: T0, rings: [{ endpoints }] });
    await openRing(db.pool, { changeId, now: T0 });
    const { epoch } = await orders.beginPump(db.pool, { changeId, ring: 0 });
    const empty = { ...deps, documentsFor: async () => new Map() };
    await orders.releaseTick(empty, { changeId, ring: 0, target: 'change', epoch, now: T0 });
    expect((await ordersOf(db.pool, changeId))[0]).toMatchObject({
      state: 'pending',
      straggler_reason: expect.stringMatching(/^content: /),
    });
  });

  it('stages without budgets or approval, in staging hours, and releases no change with it', async () => {
    const endpoints = await addEndpoints(db.pool, 3, { seenAt: T0 });
    const changeId = await addChange(db.pool, { now: T0, rings: [{ endpoints: [] }, { endpoints }] });
    await db.pool.query(
      `INSERT INTO order_state (id, change_id, ring, home_ring, endpoint_id, kind)
       SELECT gen_random_uuid(), change_id, ring, ring, endpoint_id, 'stage' FROM plan_endpoint WHERE change_id = $1`,
      [changeId],
    );
    await setWindow(db.pool, { changeId, ring: 1, from: T0, until: T0 + HOUR });
    expect(await pump(changeId, T0, { ring: 1, target: 'stage' })).toMatchObject({ released: 3 });
    for (const id of endpoints) {
      const agent = new TestAgent(db.pool, id);
      await agent.poll(T0);
      const [orderId] = [...agent.journal.keys()] as [string];
      agent.say(orderId, T0, { type: 'accept' }, { type: 'staged' });
      expect(agent.journal.get(orderId)?.startBy).toBeNull();
      await agent.poll(T0);
    }
    expect(await pump(changeId, T0, { ring: 1, target: 'stage' })).toMatchObject({
      drained: true,
      counts: { succeeded: 3 },
    });
  });
});
