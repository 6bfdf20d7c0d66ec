/** The gateway over the real orders, with no more than the rights of the web tier's database role. */
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import * as orders from '../../db/orders/index.js';
import type { AgentReport, PollRequest } from '../../protocol/messages.js';
import { type SimulatedAgent, simulatedAgent } from '../helpers/agent-client.js';
import { startApi, type TestApi } from '../helpers/api-server.js';
import { createDatabase, type TestDatabase } from '../helpers/postgres.js';
import { addChange, documentsFor, openRing, ordersOf, ringOf, testSigner } from '../orders/fleet.js';

// The machine may be busy with other suites; nothing here is about speed.
jest.setTimeout(60_000);

let db: TestDatabase;
let api: TestApi;

beforeAll(async () => {
  db = await createDatabase();
  api = await startApi({ apiUrl: db.apiUrl, pool: db.pool, ordersPort: orders });
}, 60_000);
afterAll(async () => {
  await api?.close();
  await db?.drop();
});

/** An enrolled endpoint, and a change with one order let out for it. */
async function released(): Promise<{ agent: SimulatedAgent; changeId: string; orderId: string }> {
  const now = Date.now();
  const agent = simulatedAgent({ url: api.url });
  const { body: token } = await api.call('POST', '/v1/join-tokens', { body: {} });
  const { endpointId } = (await agent.enrol(token.token)).body;
  const changeId = await addChange(db.pool, {
    now,
    rings: [{ endpoints: [endpointId], spec: { errorBudget: { count: 0 } } }],
  });
  await openRing(db.pool, { changeId, now });
  const { epoch } = await orders.beginPump(db.pool, { changeId, ring: 0 });
  await orders.releaseTick(
    { pool: db.pool, signer: testSigner, documentsFor },
    { changeId, ring: 0, target: 'change', epoch, now },
  );
  const [order] = await ordersOf(db.pool, changeId);
  return { agent, changeId, orderId: order?.id ?? '' };
}

type Event = AgentReport extends infer R ? (R extends unknown ? Omit<R, 'seq' | 'at'> : never) : never;
const told = (orderId: string, from: number, ...events: Event[]): PollRequest['reports'] => [
  { orderId, events: events.map((event, i) => ({ ...event, seq: from + i, at: Date.now() }) as AgentReport) },
];
const open = (orderId: string, state: string, seq: number): PollRequest['open'] => [{ orderId, state, seq }];

describe('an order over the wire', () => {
  test('is offered, permitted, reported and done', async () => {
    const { agent, changeId, orderId } = await released();
    const offered = await agent.poll();
    expect(offered.body.orders).toHaveLength(1);
    const staged = await agent.poll({
      reports: told(orderId, 1, { type: 'accept' }, { type: 'staged' }),
      open: open(orderId, 'staged', 2),
    });
    expect(staged.body.acks).toEqual([{ orderId, seq: 2 }]);
    const permit = offered.body.orders[0].permit ?? staged.body.orders[0]?.permit;
    expect(permit).not.toBeNull();
    const done = await agent.poll({
      reports: told(orderId, 3, { type: 'apply' }, { type: 'applied', rebootRequired: false }, { type: 'healthy' }),
    });
    expect(done).toMatchObject({ status: 200, body: { acks: [{ orderId, seq: 5 }], orders: [] } });
    const read = await api.call('GET', `/v1/orders/${orderId}`);
    expect(read.body).toMatchObject({ state: 'succeeded', changeId });
    const detail = await api.call('GET', `/v1/changes/${changeId}`);
    expect(detail.body.rings[0].counts.change).toMatchObject({ total: 1, succeeded: 1, failed: 0 });
  });

  test('that fails halts its ring in the report’s own transaction', async () => {
    const { agent, changeId, orderId } = await released();
    await agent.poll();
    await agent.poll({ reports: told(orderId, 1, { type: 'accept' }, { type: 'failed', cause: 'disk full' }) });
    expect(await ringOf(db.pool, changeId)).toMatchObject({ halted: true });
    expect((await api.call('GET', `/v1/changes/${changeId}`)).body.rings[0]).toMatchObject({
      halted: true,
      counts: { change: { failed: 1 } },
    });
  });

  test('is not handed out once a pause has answered, and counts as out while its permit is', async () => {
    const { agent, changeId } = await released();
    expect((await api.call('POST', `/v1/changes/${changeId}/pause`, { body: {} })).body).toMatchObject({
      outstanding: 0,
    });
    expect((await agent.poll()).body.orders).toEqual([]);

    const other = await released();
    const orderId = other.orderId;
    await other.agent.poll();
    await other.agent.poll({
      reports: told(orderId, 1, { type: 'accept' }, { type: 'staged' }),
      open: open(orderId, 'staged', 2),
    });
    const stopped = await api.call('POST', `/v1/changes/${other.changeId}/abort`, { body: { reason: 'enough' } });
    expect(stopped.body.outstanding).toBe(1);
    expect(Date.parse(stopped.body.mayStillStartUntil)).toBeGreaterThan(Date.now());
    const later = await other.agent.poll({ open: open(orderId, 'staged', 2) });
    expect(later.body.orders).toEqual([]);
  });

  test('ends when its endpoint is retired', async () => {
    const { agent, changeId, orderId } = await released();
    const { endpointId } = (await api.call('GET', `/v1/orders/${orderId}`)).body;
    expect(
      (await api.call('POST', `/v1/endpoints/${endpointId}/retire`, { body: { reason: 'scrapped' } })).status,
    ).toBe(200);
    expect((await ordersOf(db.pool, changeId))[0]?.state).toBe('skipped');
    expect((await agent.poll()).status).toBe(403);
  });
});
