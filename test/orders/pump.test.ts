import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { ApplicationFailure } from '@temporalio/common';
import type { Pace } from '../../activities/pace.js';
import type { RingDeps } from '../../activities/ring-deps.js';
import { createRingActivities } from '../../activities/rings.js';
import { createListener, type Listener } from '../../db/listen.js';
import * as orders from '../../db/orders/index.js';
import { insertStageOrders } from '../../db/plan/staging.js';
import { inTransaction } from '../../db/pool.js';
import { DAY, HOUR, MINUTE } from '../../domain/time.js';
import { createDatabase, type TestDatabase } from '../helpers/postgres.js';
import { TestAgent } from './agent.js';
import { addChange, addEndpoints, documentsFor, ordersOf, PLAN, ringOf, testSigner } from './fleet.js';

// A loaded machine is slow, not wrong.
jest.setTimeout(300_000);

/** A Saturday, 21:00 UTC: 22:00 in Berlin. */
const T0 = Date.UTC(2026, 0, 10, 21);

let db: TestDatabase;
let listener: Listener;
let now = T0;
let beats: unknown[] = [];
let cancel: (reason: Error) => void = () => {};
let cancelled: Promise<never>;

beforeAll(async () => {
  db = await createDatabase();
  listener = createListener({ url: db.url, channels: ['rm_orders'], log: { warn: () => {} } });
});
afterAll(async () => {
  await listener.close();
  await db.drop();
});
beforeEach(() => {
  now = T0;
  beats = [];
  cancelled = new Promise((_, reject) => {
    cancel = reject;
  });
  cancelled.catch(() => undefined);
});
afterEach(() => cancel(new Error('test over')));

const pace = (): Pace => ({
  heartbeat: (detail) => beats.push(detail),
  sleep: async (ms) => {
    const over = new Promise((resolve) => setTimeout(resolve, ms));
    await Promise.race([over, cancelled]);
  },
  left: undefined,
  key: null,
});

function activities(some: Partial<RingDeps> = {}) {
  return createRingActivities({
    pool: db.pool,
    orders,
    signer: testSigner,
    documentsFor,
    listener,
    clock: () => now,
    pace,
    ...some,
  });
}

const nights = (zone: string) => ({ windows: [{ rrule: 'FREQ=DAILY', from: '22:00', to: '04:00', zone }] });
const always = { always: true };

async function addPolicy(apply: unknown, some: object = {}): Promise<string> {
  const document = {
    appliesTo: { all: true },
    hours: { communicate: always, stage: always, apply },
    freezeCalendars: [],
    reboot: 'never',
    expectedMinutes: 30,
    healthChecks: [],
    hooks: [],
    stageRateLimit: null,
    ...some,
  };
  const { rows } = await db.pool.query(
    `INSERT INTO policy_set (id, version, name, document, created_by) SELECT id, 1, id, $1, 'test' FROM (SELECT gen_random_uuid() AS id) g RETURNING id`,
    [JSON.stringify(document)],
  );
  return rows[0].id;
}

/** A ring of `n` endpoints under a policy, opened by the activity. */
async function ringOfFleet(
  n: number,
  apply: unknown,
  args: { spec?: object; zones?: readonly string[]; policy?: object } = {},
) {
  const endpoints = await addEndpoints(db.pool, n, { seenAt: T0 + 100 * DAY });
  for (const [i, zone] of (args.zones ?? []).entries()) {
    await db.pool.query('UPDATE endpoint SET zone = $2 WHERE id = $1', [endpoints[i], zone]);
  }
  const changeId = await addChange(db.pool, { now: T0, rings: [{ endpoints, spec: args.spec ?? {} }] });
  const policy = apply === null ? null : await addPolicy(apply, args.policy);
  await db.pool.query('UPDATE plan_endpoint SET policy_set_id = $2, policy_version = 1 WHERE change_id = $1', [
    changeId,
    policy,
  ]);
  await activities().openRing({ changeId, ring: 0, approvedDigest: PLAN, approvals: [] });
  return { changeId, ring: 0, endpoints, agents: endpoints.map((id) => new TestAgent(db.pool, id)) };
}

const resolve = (at: { changeId: string; ring: number }, target: 'stage' | 'change' | 'revert' = 'change') =>
  activities().resolveWindows({ ...at, target, ignoreWindows: false });

/** Agents that work on whatever they are given until told to stop. */
function working(agents: readonly TestAgent[], how?: 'fails' | 'reverts') {
  let stop = false;
  const done = (async () => {
    while (!stop) {
      for (const agent of agents) await agent.run(now, how);
      await new Promise((r) => setTimeout(r, 5));
    }
  })();
  return async () => {
    stop = true;
    await done;
  };
}

describe('pump', () => {
  it('drains a ring while its endpoints work, woken by their reports', async () => {
    const { changeId, ring, agents } = await ringOfFleet(9, always, { spec: { maxInFlight: 4 } });
    await resolve({ changeId, ring });
    const stop = working(agents);
    const result = await activities().pump({ changeId, ring, target: 'change' });
    await stop();
    expect(result).toMatchObject({
      kind: 'drained',
      counts: { planned: 9, succeeded: 9, failed: 0 },
      haltReason: null,
    });
    expect(beats.length).toBeGreaterThan(0);
    expect(await activities().evaluateRing({ changeId, ring })).toMatchObject({ kind: 'promote' });
  });

  it.each([
    [
      'they overlap in part',
      nights('UTC'),
      { openNow: 0, nextOpen: T0 + HOUR, never: 0 },
      'opens Sat 10 Jan 2026 23:00 Europe/Berlin',
    ],
    ['they never open', { windows: [] }, { openNow: 0, nextOpen: null, never: 1 }, 'without a window'],
  ])('lets nothing out outside the hours of communication: %s', async (_name, communicate, expected, sentence) => {
    const apply = nights('Europe/Berlin');
    const { changeId, ring } = await ringOfFleet(1, apply, { policy: { hours: { communicate, stage: apply, apply } } });
    for (const target of ['change', 'stage'] as const) await resolve({ changeId, ring }, target);
    expect(await resolve({ changeId, ring })).toEqual({ ...expected, sentence: expect.stringContaining(sentence) });
    const tick = await activities().pump({ changeId, ring, target: 'change' });
    expect(tick.counts.inFlight + tick.counts.succeeded).toBe(0);
  });

  it('ends when the window closes, says when the next opens, and goes on then', async () => {
    const { changeId, ring, agents } = await ringOfFleet(2, nights('Europe/Berlin'), {
      spec: { deadlineMinutes: 7 * 24 * 60 },
    });
    now = T0 - HOUR;
    expect(await resolve({ changeId, ring })).toEqual({
      openNow: 0,
      nextOpen: T0,
      never: 0,
      sentence: '2 endpoints, opens Sat 10 Jan 2026 22:00 Europe/Berlin',
    });
    expect(await activities().pump({ changeId, ring, target: 'change' })).toMatchObject({
      kind: 'windowsClosed',
      nextOpen: T0,
    });
    now = T0;
    // One endpoint works in this window; the other is let out, and not heard of before the close.
    const running = activities().pump({ changeId, ring, target: 'change' });
    while ((await ordersOf(db.pool, changeId)).every((o) => o.state !== 'succeeded'))
      for (const agent of agents.slice(0, 1)) {
        await agent.run(now);
        await finishOthers(changeId, agents[0] as TestAgent);
      }
    now = T0 + 6 * HOUR;
    expect(await running).toMatchObject({
      kind: 'windowsClosed',
      nextOpen: T0 + DAY,
      counts: { succeeded: 1, pending: 1 },
    });
    now = T0 + DAY;
    const stop = working(agents);
    expect(await activities().pump({ changeId, ring, target: 'change' })).toMatchObject({
      kind: 'drained',
      counts: { succeeded: 2 },
    });
    await stop();
  });

  it('is woken by a stop, and says who and why', async () => {
    const { changeId, ring } = await ringOfFleet(2, always);
    await resolve({ changeId, ring });
    const running = activities().pump({ changeId, ring, target: 'change' });
    await untilState(changeId, 'released');
    await inTransaction(db.pool, (client) =>
      orders.haltChange(client, { changeId, verb: 'pause', by: 'anna', reason: 'lunch', now }),
    );
    expect(await running).toMatchObject({ kind: 'halted', haltReason: 'lunch', haltedBy: 'anna' });
  });

  it("halts with its budget, is retried on a person's word, and goes on", async () => {
    const { changeId, ring, agents } = await ringOfFleet(3, always, { spec: { errorBudget: { count: 0 } } });
    await resolve({ changeId, ring });
    const stopFailing = working(agents, 'reverts');
    expect(await activities().pump({ changeId, ring, target: 'change' })).toMatchObject({
      kind: 'halted',
      haltedBy: 'budget',
      counts: { failed: 1 },
    });
    await stopFailing();
    expect(await activities().retryFailed({ changeId, ring, by: 'anna' })).toEqual({ orders: 1 });
    const stop = working(agents);
    expect(await activities().pump({ changeId, ring, target: 'change' })).toMatchObject({
      kind: 'drained',
      counts: { planned: 3, succeeded: 3, failed: 0 },
    });
    await stop();
  });

  it('leaves what is not begun by the deadline to the stragglers', async () => {
    const { changeId, ring } = await ringOfFleet(1, always, { spec: { deadlineMinutes: 60 } });
    now = T0 + HOUR;
    await resolve({ changeId, ring });
    expect(await activities().pump({ changeId, ring, target: 'change' })).toMatchObject({
      kind: 'deadline',
      counts: { stragglers: 1 },
    });
    expect(await activities().moveStragglers({ changeId, ring })).toEqual({ moved: 1 });
  });

  it.each([
    ['does not come on for half an hour', {}, HOUR],
    ['has not got it when the time for it is over', { until: T0 + 10 * MINUTE }, 10 * MINUTE],
  ])('sends content ahead, and leaves an endpoint that %s', async (_name, some, ms) => {
    const [stuck, done] = (await addEndpoints(db.pool, 2, { seenAt: T0 + DAY })) as [string, string];
    const changeId = await addChange(db.pool, { now: T0, rings: [{ endpoints: [] }, { endpoints: [stuck, done] }] });
    const policy = await addPolicy(always);
    await db.pool.query('UPDATE plan_endpoint SET policy_set_id = $2, policy_version = 1 WHERE change_id = $1', [
      changeId,
      policy,
    ]);
    await inTransaction(db.pool, (client) => insertStageOrders(client, { changeId, now }));
    const lane = { changeId, ring: 1, target: 'stage' } as const;
    await resolve(lane, 'stage');
    let over = false;
    const running = activities()
      .pump({ ...lane, ...some })
      .finally(() => (over = true));
    for (const [id, words] of [
      [stuck, [{ type: 'accept' }]],
      [done, [{ type: 'accept' }, { type: 'staged' }]],
    ] as const) {
      const agent = new TestAgent(db.pool, id);
      for (let held: string | undefined; held === undefined; [held] = agent.journal.keys()) await agent.poll(now);
      agent.say([...agent.journal.keys()][0] as string, now, ...words);
      await agent.poll(now);
    }
    const stages = () => ordersOf(db.pool, changeId, 'stage');
    expect((await stages()).map((o) => o.state).sort()).toEqual(['accepted', 'succeeded']);
    now = T0 + 9 * MINUTE;
    const seen = beats.length;
    while (beats.length < seen + 2) await new Promise((r) => setTimeout(r, 5));
    expect(over).toBe(false);
    now = T0 + ms;
    expect(await running).toMatchObject({ kind: 'deadline', counts: { succeeded: 1, inFlight: 1 } });
    // It may go on with what it has, until its ring opens and sends it all together.
    expect((await stages()).find((o) => o.endpoint_id === stuck)?.state).toBe('accepted');
    await activities().openRing({ changeId, ring: 1, approvedDigest: PLAN, approvals: [] });
    expect((await stages()).find((o) => o.endpoint_id === stuck)?.state).toBe('withdrawn');
  });

  it('passes over endpoints that never have a window, and says why', async () => {
    const { changeId, ring } = await ringOfFleet(1, { windows: [] });
    expect(await resolve({ changeId, ring })).toMatchObject({ openNow: 0, nextOpen: null, never: 1 });
    expect(await activities().pump({ changeId, ring, target: 'change' })).toMatchObject({
      kind: 'drained',
      counts: { windowless: 1 },
    });
    expect((await ordersOf(db.pool, changeId))[0]?.straggler_reason).toMatch(/^windowless: /);
  });

  it('ends at once when cancelled, and releases nothing after it', async () => {
    const { changeId, ring } = await ringOfFleet(3, always);
    await resolve({ changeId, ring });
    const running = activities().pump({ changeId, ring, target: 'change' });
    await untilState(changeId, 'released');
    const ended = expect(running).rejects.toThrow('cancelled by test');
    cancel(new Error('cancelled by test'));
    await ended;
    const { rows } = await db.pool.query(
      `SELECT count(*)::int AS n FROM order_state WHERE change_id = $1 AND state = 'released'`,
      [changeId],
    );
    expect(rows[0].n).toBe(1);
  });

  it('is fenced off by a newer attempt', async () => {
    const { changeId, ring } = await ringOfFleet(2, always);
    await resolve({ changeId, ring });
    const older = expect(activities().pump({ changeId, ring, target: 'change' })).rejects.toMatchObject({
      type: 'PumpFenced',
      // It may be the one that counts, fenced off by a stopped worker that took up an attempt long given up.
      nonRetryable: false,
    });
    await untilState(changeId, 'released');
    const newer = activities().pump({ changeId, ring, target: 'change' });
    await older;
    await inTransaction(db.pool, (client) =>
      orders.haltChange(client, { changeId, verb: 'pause', by: 'p', reason: 'r', now }),
    );
    expect(await newer).toMatchObject({ kind: 'halted' });
  });

  it('finds by itself what a lost wake-up did not tell', async () => {
    const { changeId, ring, agents } = await ringOfFleet(3, always);
    await resolve({ changeId, ring });
    const stop = working(agents);
    const deaf = activities({ listener: { on: () => () => {} } });
    expect(await deaf.pump({ changeId, ring, target: 'change' })).toMatchObject({ kind: 'drained' });
    await stop();
  });

  it('says at once that a ring which is not there never will be', async () => {
    const changeId = '00000000-0000-4000-8000-000000000000';
    const failure = await activities()
      .pump({ changeId, ring: 0, target: 'change' })
      .catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(ApplicationFailure);
    expect(failure).toMatchObject({ nonRetryable: true, type: 'NoSuchRow' });
  });
});

describe('rollback', () => {
  it('obeys windows, unless told not to', async () => {
    const { changeId, ring, agents } = await ringOfFleet(2, nights('UTC'));
    now = T0 + 2 * HOUR;
    await resolve({ changeId, ring });
    const stop = working(agents);
    await activities().pump({ changeId, ring, target: 'change' });
    now = T0 + 12 * HOUR;
    expect(await activities().settleRing({ changeId, ring, reason: 'bad' })).toEqual({ withdrawn: 0 });
    const order = { changeId, ring, by: 'anna', reason: 'bad' };
    expect(await activities().startRollback({ ...order, ignoreWindows: false })).toEqual({ orders: 2 });
    expect(await resolve({ changeId, ring }, 'revert')).toMatchObject({ openNow: 0 });
    expect(await activities().pump({ changeId, ring, target: 'revert' })).toMatchObject({
      kind: 'windowsClosed',
      nextOpen: T0 + 25 * HOUR,
    });
    await db.pool.query(`UPDATE ring SET ignore_windows = true WHERE change_id = $1`, [changeId]);
    expect(await activities().resolveWindows({ changeId, ring, target: 'revert', ignoreWindows: true })).toMatchObject({
      openNow: 2,
    });
    expect(await activities().pump({ changeId, ring, target: 'revert' })).toMatchObject({
      kind: 'drained',
      counts: { succeeded: 2 },
    });
    await stop();
    expect((await ordersOf(db.pool, changeId, 'revert')).map((o) => o.state)).toEqual(['reverted', 'reverted']);
    await activities().finishRing({ changeId, ring, state: 'rolledBack' });
    expect(await ringOf(db.pool, changeId)).toMatchObject({ state: 'rolledBack' });
  });

  it('settling waits for what has begun, and for a permit to be over', async () => {
    const { changeId, ring, agents } = await ringOfFleet(2, always, { spec: { errorBudget: { count: 9 } } });
    await db.pool.query('UPDATE ring SET concurrency = 2 WHERE change_id = $1', [changeId]);
    await resolve({ changeId, ring });
    const { epoch } = await orders.beginPump(db.pool, { changeId, ring });
    await orders.releaseTick(
      { pool: db.pool, signer: testSigner, documentsFor },
      { changeId, ring, target: 'change', epoch, now },
    );
    const [begun, idle] = agents as [TestAgent, TestAgent];
    await begun.poll(now);
    for (let i = 0; i < 3; i++) begun.step(now);
    await begun.poll(now);
    await idle.poll(now);
    let over = false;
    const settling = activities()
      .settleRing({ changeId, ring, reason: 'aborted' })
      .then((result) => {
        over = true;
        return result;
      });
    await begun.run(now);
    expect(over).toBe(false);
    now = T0 + 6 * MINUTE;
    await idle.poll(now);
    expect(await settling).toEqual({ withdrawn: 1 });
    expect((await ordersOf(db.pool, changeId)).map((o) => o.state).sort()).toEqual(['succeeded', 'withdrawn']);
  });
});

describe('windows', () => {
  it.each<[string, unknown, object, RegExp]>([
    ['no policy', null, {}, /no policy set/],
    [
      'hours that can not be read',
      { windows: [{ rrule: 'FREQ=NEVER', from: '22:00', to: '04:00', zone: 'UTC' }] },
      {},
      /FREQ/,
    ],
    ['a zone nobody knows', nights('Europe/Atlantis'), {}, /Atlantis/],
    ['a freeze calendar that is missing', always, { freezeCalendars: ['Year end'] }, /Year end.*missing/],
    ['an expected time that is none', always, { expectedMinutes: null }, /expectedMinutes/],
    ['windows shorter than the work', nights('UTC'), { expectedMinutes: 600 }, /shorter/],
  ])('never open with %s', async (_name, apply, policy, reason) => {
    const { changeId, ring } = await ringOfFleet(1, apply, { policy });
    expect(await resolve({ changeId, ring })).toMatchObject({ openNow: 0, nextOpen: null, never: 1 });
    const { rows } = await db.pool.query('SELECT next_open, window_reason FROM order_state WHERE change_id = $1', [
      changeId,
    ]);
    expect(rows).toEqual([{ next_open: null, window_reason: expect.stringMatching(reason) }]);
  });

  it('that could not be written, because somebody was at the order, are written while the lane is pumped', async () => {
    const { changeId, ring, agents } = await ringOfFleet(2, always);
    const holder = await db.pool.connect();
    try {
      await holder.query('BEGIN');
      await holder.query('SELECT FROM order_state WHERE change_id = $1 ORDER BY id LIMIT 1 FOR UPDATE', [changeId]);
      expect(await resolve({ changeId, ring })).toMatchObject({ openNow: 2 });
    } finally {
      await holder.query('COMMIT');
      holder.release();
    }
    const windows = await db.pool.query('SELECT next_open FROM order_state WHERE change_id = $1 ORDER BY id', [
      changeId,
    ]);
    expect(windows.rows).toEqual([{ next_open: null }, { next_open: expect.any(Date) }]);
    const stop = working(agents);
    const result = await activities().pump({ changeId, ring, target: 'change' });
    await stop();
    expect(result).toMatchObject({ kind: 'drained', counts: { succeeded: 2 } });
  });

  it("are each endpoint's own, resolved once per zone, and leave time for the work", async () => {
    const zones = ['Europe/Berlin', 'America/New_York', 'Europe/Berlin'];
    const { changeId, ring, endpoints } = await ringOfFleet(3, nights('endpoint'), { zones });
    expect(await resolve({ changeId, ring })).toMatchObject({ openNow: 2, nextOpen: T0 + 6 * HOUR, never: 0 });
    const { rows } = await db.pool.query(
      'SELECT endpoint_id, next_open, next_close, window_closes FROM order_state WHERE change_id = $1',
      [changeId],
    );
    const windows = new Map(
      rows.map((row) => [
        row.endpoint_id,
        [row.next_open, row.next_close, row.window_closes].map((d: Date) => (d.getTime() - T0) / HOUR),
      ]),
    );
    expect(endpoints.map((id) => windows.get(id))).toEqual([
      [0, 5.5, 6],
      [6, 11.5, 12],
      [0, 5.5, 6],
    ]);
  });
});

async function untilState(changeId: string, state: string): Promise<void> {
  while ((await ordersOf(db.pool, changeId)).every((o) => o.state !== state))
    await new Promise((r) => setTimeout(r, 5));
}

/** The first order let out may be another endpoint's: then that one goes first after all. */
async function finishOthers(changeId: string, except: TestAgent): Promise<void> {
  const held = (await ordersOf(db.pool, changeId)).find(
    (o) => o.state === 'released' && o.endpoint_id !== except.endpointId,
  );
  const done = (await ordersOf(db.pool, changeId)).some((o) => o.state === 'succeeded');
  if (held !== undefined && !done) await new TestAgent(db.pool, held.endpoint_id).run(now);
}
