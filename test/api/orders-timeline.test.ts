import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type SimulatedAgent, simulatedAgent } from '../helpers/agent-client.js';
import { startApi, type TestApi } from '../helpers/api-server.js';
import { createDatabase, type TestDatabase } from '../helpers/postgres.js';

let db: TestDatabase;
let api: TestApi;
let agent: SimulatedAgent;
let endpointId: string;
const changeId = randomUUID();
const orders: string[] = [];

beforeAll(async () => {
  db = await createDatabase();
  api = await startApi({ apiUrl: db.apiUrl, pool: db.pool });
  const { body } = await api.call('POST', '/v1/join-tokens', { body: { uses: 2 } });
  agent = simulatedAgent({ url: api.url });
  endpointId = (await agent.enrol(body.token)).body.endpointId;
  const other = (await simulatedAgent({ url: api.url }).enrol(body.token)).body.endpointId;
  await agent.inventory();
  await agent.inventory({ complete: false, incompleteReason: 'dpkg is locked' });
  await api.call('PATCH', `/v1/endpoints/${endpointId}`, { body: { function: 'shop' } });
  await db.pool.query(
    `INSERT INTO change (id, kind, name, spec, requested_by, deadline) VALUES ($1, 'patch', 'c', '{}', 'x', now() + interval '1 day')`,
    [changeId],
  );
  for (const [endpoint, kind, state, phase] of [
    [endpointId, 'stage', 'succeeded', 'done'],
    [endpointId, 'change', 'applying', 'holding'],
    [other, 'change', 'pending', 'waiting'],
  ]) {
    const id = randomUUID();
    orders.push(id);
    await db.pool.query(
      'INSERT INTO order_state (id, change_id, ring, home_ring, endpoint_id, kind, state, phase) VALUES ($1, $2, 0, 0, $3, $4, $5, $6)',
      [id, changeId, endpoint, kind, state, phase],
    );
    await db.pool.query(
      `INSERT INTO order_event (order_id, actor, event, from_state, to_state)
       VALUES ($1, 'server', 'release', 'pending', 'released'), ($1, 'agent', 'accept', 'offered', 'accepted')`,
      [id],
    );
  }
}, 60_000);
afterAll(async () => {
  await api?.close();
  await db?.drop();
});

const ids = (reply: { body: { items: { id: string }[] } }) => reply.body.items.map((one) => one.id).sort();

describe('orders', () => {
  test.each<[string, () => string, number[]]>([
    ['all', () => '/v1/orders', [0, 1, 2]],
    ['a change’s', () => `/v1/orders?change=${changeId}`, [0, 1, 2]],
    ['another change’s', () => `/v1/orders?change=${randomUUID()}`, []],
    ['an endpoint’s', () => `/v1/orders?endpoint=${endpointId}`, [0, 1]],
    ['by state', () => '/v1/orders?state=applying', [1]],
    ['by kind', () => '/v1/orders?kind=change', [1, 2]],
    ['of one endpoint', () => `/v1/endpoints/${endpointId}/orders`, [0, 1]],
    ['of one endpoint, by kind', () => `/v1/endpoints/${endpointId}/orders?kind=stage`, [0]],
    ['of a change, by state', () => `/v1/changes/${changeId}/orders?state=pending`, [2]],
  ])('%s', async (_, path, expected) => {
    const reply = await api.call('GET', path());
    expect([reply.status, ids(reply)]).toEqual([200, expected.map((i) => orders[i]).sort()]);
  });

  test('a state nobody knows, and an endpoint nobody knows', async () => {
    expect((await api.call('GET', '/v1/orders?state=done')).body.errors).toMatchObject([{ field: 'state' }]);
    expect((await api.call('GET', `/v1/endpoints/${randomUUID()}/orders`)).status).toBe(404);
    expect((await api.call('GET', `/v1/endpoints/${randomUUID()}/timeline`)).status).toBe(404);
  });

  test('page by page, each once', async () => {
    const seen: string[] = [];
    for (let cursor = ''; ; ) {
      const { body } = await api.call('GET', `/v1/orders?limit=1${cursor}`);
      seen.push(...body.items.map((one: { id: string }) => one.id));
      if (body.next === null) break;
      cursor = `&cursor=${body.next}`;
    }
    expect(seen).toEqual([...orders].sort());
  });
});

describe('the timeline', () => {
  const read = async (limit: number) => {
    const seen: { kind: string; what: string; at: string; id: string }[] = [];
    for (let cursor = ''; ; ) {
      const { body } = await api.call('GET', `/v1/endpoints/${endpointId}/timeline?limit=${limit}${cursor}`);
      seen.push(...body.items);
      if (body.next === null) return seen;
      cursor = `&cursor=${body.next}`;
    }
  };

  test('merges enrolment, scans, orders and what people did, newest first', async () => {
    const entries = await read(500);
    expect(entries.map(({ kind, what }) => `${kind} ${what}`).sort()).toEqual([
      'audit endpoint.edited',
      'audit endpoint.enrolled',
      'enrolled enrolled',
      'order accept',
      'order accept',
      'order release',
      'order release',
      'scan complete',
      'scan incomplete',
    ]);
    const times = entries.map(({ at }) => Date.parse(at));
    expect(times).toEqual([...times].sort((a, b) => b - a));
    expect(entries.find((entry) => entry.what === 'release')).toMatchObject({ changeId, actor: 'server' });
  });

  test('pages of any size come to the same', async () => {
    const all = await read(500);
    for (const limit of [1, 2, 4]) expect(await read(limit)).toEqual(all);
  });
});
