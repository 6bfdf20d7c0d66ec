/** Hours of communication as an endpoint meets them: over the real web tier, resolved by the worker's own duty. */
import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals';
import pg from 'pg';
import { takeOffers } from '../../db/orders/offers.js';
import { DAY, HOUR, MINUTE } from '../../domain/time.js';
import { communicationDuty } from '../../worker/communication-duty.js';
import { type SimulatedAgent, simulatedAgent } from '../helpers/agent-client.js';
import { startApi, type TestApi } from '../helpers/api-server.js';
import { createDatabase, type TestDatabase } from '../helpers/postgres.js';
import { addChange, openRing, ordersOf } from '../orders/fleet.js';

// The machine may be busy with other suites; nothing here is about speed.
jest.setTimeout(60_000);

let db: TestDatabase;
let api: TestApi;
let worker: pg.Pool;
/** The server's clock runs ahead by this. */
let ahead = 0;
const now = () => Date.now() + ahead;
const skip = (ms: number) => {
  ahead += ms;
  api.skip(ms);
};

beforeAll(async () => {
  db = await createDatabase();
  api = await startApi({ apiUrl: db.apiUrl, pool: db.pool });
  worker = new pg.Pool({ connectionString: db.workerUrl });
}, 60_000);
afterEach(() => skip(-ahead));
afterAll(async () => {
  await worker?.end();
  await api?.close();
  await db?.drop();
});

const always = { always: true };
const wall = (at: number) => new Date(at).toISOString().slice(11, 16);
/** Each day from so long after now on. */
const daily = (afterMs: number, duration: string) => ({
  windows: [{ rrule: 'FREQ=DAILY', from: wall(now() + afterMs), duration, zone: 'Etc/UTC' }],
});
const putPolicy = async (name: string, communicate: object) => {
  const document = {
    appliesTo: { labels: { policy: name } },
    hours: { communicate, stage: always, apply: always },
    freezeCalendars: [],
    reboot: 'never',
    expectedMinutes: 5,
    healthChecks: [],
    hooks: [],
    stageRateLimit: null,
  };
  const reply = await api.call('PUT', `/v1/policy-sets/${name}`, { body: { precedence: 1, document } });
  expect(reply.status).toBe(200);
};
/** One run of a worker that has just started. */
const resolve = () => communicationDuty({ pool: worker, clock: now }).run();
const rows = async () => (await db.pool.query('SELECT * FROM communication_window ORDER BY endpoint_id')).rows;

const enrolled = async (policy: string): Promise<{ agent: SimulatedAgent; id: string }> => {
  const made = await api.call('POST', '/v1/join-tokens', { body: { uses: 1, labels: { policy } } });
  const agent = simulatedAgent({ url: api.url });
  const reply = await agent.enrol(made.body.token);
  expect(reply.status).toBe(200);
  return { agent, id: reply.body.endpointId };
};
let said = 1;
const poll = async (agent: SimulatedAgent, change: object = {}) => {
  said += 1;
  const created = Math.floor(now() / 1_000);
  const reply = await agent.poll({ clock: now(), journalSeq: said, ...change }, { created });
  expect(reply.status).toBe(200);
  return reply.body;
};

test('an endpoint under nobody’s hours costs no row, and is asked at once', async () => {
  await putPolicy('free', always);
  const { agent } = await enrolled('free');
  await resolve();
  expect(await rows()).toEqual([]);
  const reply = await poll(agent);
  expect([reply.scanNow, reply.nextPollSeconds < 60]).toEqual([true, true]);
});

test('outside its hours it is heard, asked nothing, and told to come when they open', async () => {
  await putPolicy('nightly', daily(6 * HOUR, 'PT2H'));
  const { agent, id } = await enrolled('nightly');
  await resolve();
  expect((await rows()).map((row) => row.endpoint_id)).toEqual([id]);

  const orderId = randomUUID();
  const reports = [{ orderId, events: [{ seq: 1, at: now(), type: 'accept' }] }];
  const shut = await poll(agent, { reports });
  expect(shut.scanNow).toBe(false);
  const opens = 6 * HOUR - MINUTE;
  expect(shut.nextPollSeconds * 1_000).toBeGreaterThan(opens - MINUTE);
  expect(shut.nextPollSeconds * 1_000).toBeLessThan(opens + 7 * MINUTE);
  expect(api.orders.reports).toContainEqual(expect.objectContaining({ orderId }));
  expect(shut.acks).toEqual([{ orderId, seq: 1 }]);

  skip(Math.ceil(shut.nextPollSeconds) * 1_000);
  const open = await poll(agent);
  expect([open.scanNow, open.nextPollSeconds < 60]).toEqual([true, true]);

  // Past the close, and resolved by nobody since: the window after it is known, too.
  skip(2 * HOUR);
  const over = await poll(agent);
  expect(over.scanNow).toBe(false);
  expect(over.nextPollSeconds * 1_000).toBeGreaterThan(21 * HOUR);
  expect(over.nextPollSeconds * 1_000).toBeLessThan(22 * HOUR + 7 * MINUTE);
  // With nothing known any more it is shut, and only said to be there.
  skip(3 * DAY);
  expect(await poll(agent)).toMatchObject({ scanNow: false, nextPollSeconds: 3_600 });
  // Resolved again as soon as it is over.
  await resolve();
  expect((await poll(agent)).nextPollSeconds).not.toBe(3_600);
});

test('hours without a window: never asked; with the policy back to always: at once', async () => {
  await putPolicy('mute', { windows: [] });
  const { agent, id } = await enrolled('mute');
  await resolve();
  expect(await rows()).toContainEqual(
    expect.objectContaining({ endpoint_id: id, opens: null, reason: expect.stringContaining('never opens') }),
  );
  expect(await poll(agent)).toMatchObject({ scanNow: false, nextPollSeconds: 3_600, orders: [] });
  await putPolicy('mute', always);
  await resolve();
  expect((await poll(agent)).scanNow).toBe(true);
});

test('wake-up hints for scans go to those only that may be talked with', async () => {
  await putPolicy('quiet', { windows: [] });
  const [quiet, free] = [await enrolled('quiet'), await enrolled('free')];
  await resolve();
  const ear = new pg.Client({ connectionString: db.url });
  await ear.connect();
  const heard: unknown[] = [];
  const done = new Promise<void>((resolved) => {
    ear.on('notification', ({ payload }) => {
      heard.push(JSON.parse(payload ?? ''));
      if (payload?.includes(free.id)) resolved();
    });
  });
  await ear.query('LISTEN rm_wake');
  // Heard in the order in which they were said.
  for (const { id } of [quiet, free]) {
    expect((await api.call('POST', `/v1/endpoints/${id}/scan`)).status).toBe(202);
  }
  await done;
  await ear.end();
  expect(heard).toEqual([[free.id]]);
  expect((await poll(quiet.agent)).scanNow).toBe(false);
});

describe('what is handed out to an endpoint that may not be talked with', () => {
  const envelope = (id: string) =>
    db.pool.query(
      `INSERT INTO order_envelope (order_id, envelope, signed_at) VALUES ($1, '{"payloadType":"t","payload":"e30=","signatures":[]}', now())`,
      [id],
    );
  const offered = async (endpointId: string, silent: boolean) =>
    (await takeOffers(db.pool, { endpointId, open: [], silent, now: now() })).length;

  test('no scan', async () => {
    const { id } = await enrolled('free');
    const order = randomUUID();
    await db.pool.query(
      `INSERT INTO order_state (id, ring, home_ring, endpoint_id, kind, phase, state, released_at, updated_at)
       VALUES ($1, 0, 0, $2, 'scan', 'holding', 'released', now(), now())`,
      [order, id],
    );
    await envelope(order);
    expect(await offered(id, true)).toBe(0);
    expect(await offered(id, false)).toBe(1);
    // A lost reply is not made up for before the hours open again.
    expect(await offered(id, true)).toBe(0);
  });

  test.each([
    ['an order whose own window is open: it was resolved with the hours, or they were set aside', true, 1],
    ['no order whose window is shut', false, 0],
  ])('%s', async (_name, isOpen, expected) => {
    const { id } = await enrolled('free');
    const changeId = await addChange(db.pool, { now: now(), rings: [{ endpoints: [id] }] });
    await openRing(db.pool, { changeId, now: isOpen ? now() - HOUR : now() + HOUR });
    const [order] = await ordersOf(db.pool, changeId);
    await db.pool.query(`UPDATE order_state SET state = 'offered', phase = 'holding' WHERE id = $1`, [order?.id]);
    await envelope(order?.id ?? '');
    expect(await offered(id, true)).toBe(expected);
  });
});
