/** Another machine in an endpoint's place: only with a token made for that, and with everything of the one before at its end. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type SimulatedAgent, simulatedAgent } from '../helpers/agent-client.js';
import { startApi, type TestApi } from '../helpers/api-server.js';
import { createDatabase, type TestDatabase } from '../helpers/postgres.js';

let db: TestDatabase;
let api: TestApi;
beforeAll(async () => {
  db = await createDatabase();
  api = await startApi({ apiUrl: db.apiUrl, pool: db.pool });
}, 60_000);
afterAll(async () => {
  await api?.close();
  await db?.drop();
});

const agent = (machineId?: string) =>
  simulatedAgent({ url: api.url, ...(machineId === undefined ? {} : { machineId }) });
const joinToken = async (body: object = {}) => (await api.call('POST', '/v1/join-tokens', { body })).body;
const enrolled = async (labels: object = {}): Promise<{ old: SimulatedAgent; id: string }> => {
  const old = agent();
  const { token } = await joinToken({ labels });
  return { old, id: (await old.enrol(token)).body.endpointId };
};
const reEnrol = async (id: string) => (await api.call('POST', `/v1/endpoints/${id}/re-enrol`, { body: {} })).body;
const endpoint = async (id: string) => (await api.call('GET', `/v1/endpoints/${id}`)).body;
const fleetSize = async () => (await db.pool.query('SELECT count(*)::int AS n FROM endpoint')).rows[0].n;

/** Orders of an open change with one ring, each in a state. */
async function openOrders(
  endpointId: string,
  states: readonly (readonly [kind: string, state: string, phase: string])[],
) {
  const changeId = randomUUID();
  await db.pool.query(
    `INSERT INTO change (id, kind, name, spec, requested_by, deadline) VALUES ($1, 'patch', 'c', '{}', 'x', now() + interval '1 day')`,
    [changeId],
  );
  await db.pool.query(
    `INSERT INTO ring (change_id, ordinal, name, state, planned, spec) VALUES ($1, 0, 'all', 'open', 1, '{"errorBudget": {"count": 0}}')`,
    [changeId],
  );
  await db.pool.query('INSERT INTO plan_endpoint (change_id, endpoint_id, revision, ring) VALUES ($1, $2, 1, 0)', [
    changeId,
    endpointId,
  ]);
  for (const [kind, state, phase] of states) {
    await db.pool.query(
      `INSERT INTO order_state (id, change_id, ring, home_ring, endpoint_id, kind, state, phase) VALUES ($1, $2, 0, 0, $3, $4, $5, $6)`,
      [randomUUID(), changeId, endpointId, kind, state, phase],
    );
  }
  return changeId;
}

describe('with a token made for the endpoint', () => {
  test('the row stays, with its labels, stakeholders and history; identity and findings begin anew', async () => {
    const { old, id } = await enrolled({ site: 'berlin' });
    await old.inventory();
    await api.call('PATCH', `/v1/endpoints/${id}`, { body: { zone: 'Asia/Tokyo', function: 'shop' } });
    expect((await old.poll({ journalSeq: 500 })).status).toBe(200);
    await api.seen.flush();
    const { token } = await reEnrol(id);
    const fresh = agent();
    const reply = await fresh.enrol(token, { name: 'reborn', facts: { os: 'debian 13' } });
    expect([reply.status, reply.body.endpointId]).toEqual([200, id]);
    expect(await endpoint(id)).toMatchObject({
      state: 'active',
      name: 'reborn',
      labels: { site: 'berlin' },
      zone: 'Asia/Tokyo',
      function: 'shop',
      facts: { os: 'debian 13' },
      machineId: fresh.machineId,
      packages: [],
      updates: [],
      wantsScan: true,
    });
    // A journal that begins again is no sign of a clone here.
    expect((await fresh.poll({ journalSeq: 1 })).status).toBe(200);
    expect((await fresh.inventory()).status).toBe(200);
    expect((await endpoint(id)).state).toBe('active');
    const { rows } = await db.pool.query('SELECT count(*)::int AS n FROM scan WHERE endpoint_id = $1', [id]);
    expect(rows).toEqual([{ n: 2 }]);
    const { body } = await api.call('GET', `/v1/audit?subject=endpoint/${id}&action=endpoint.reEnrolled`);
    expect(body.items[0].detail).toMatchObject({ machineId: fresh.machineId, machineIdBefore: old.machineId });
    // A lost answer is asked for again; the token is used up, the key is known.
    expect((await fresh.enrol(token)).body.endpointId).toBe(id);
  });

  test('the key before is worth nothing from then on, although it was kept', async () => {
    const { old, id } = await enrolled();
    expect((await old.poll()).status).toBe(200);
    const fresh = agent();
    await fresh.enrol((await reEnrol(id)).token);
    for (const reply of [
      await old.poll(),
      await old.inventory(),
      await old.send({ path: `/agent/v1/content/${'a'.repeat(64)}` }),
    ]) {
      expect([reply.status, reply.body.error]).toEqual([401, expect.stringContaining('another machine has taken')]);
    }
    expect((await fresh.poll()).status).toBe(200);
  });

  test('what was open ends by the protocol, and open changes are told to leave the endpoint out', async () => {
    const { id } = await enrolled();
    const begun = await openOrders(id, [
      ['change', 'applying', 'holding'],
      ['stage', 'accepted', 'holding'],
    ]);
    const waiting = await openOrders(id, [['change', 'pending', 'waiting']]);
    await agent().enrol((await reEnrol(id)).token);
    const { rows } = await db.pool.query(
      'SELECT change_id, kind, state, phase, reason FROM order_state WHERE endpoint_id = $1 ORDER BY kind, state',
      [id],
    );
    const reason = 'another machine has taken the endpoint over';
    expect(rows).toEqual([
      { change_id: begun, kind: 'change', state: 'failed', phase: 'done', reason },
      { change_id: waiting, kind: 'change', state: 'skipped', phase: 'done', reason },
      { change_id: begun, kind: 'stage', state: 'skipped', phase: 'done', reason },
    ]);
    const { rows: rings } = await db.pool.query('SELECT halted FROM ring WHERE change_id = $1', [begun]);
    expect(rings).toEqual([{ halted: true }]);
    const { rows: told } = await db.pool.query(
      `SELECT workflow_id, payload ->> 'verb' AS verb, payload ->> 'endpointId' AS endpoint FROM outbox WHERE payload ->> 'endpointId' = $1
        ORDER BY workflow_id`,
      [id],
    );
    expect(told).toEqual(
      [begun, waiting].sort().map((change) => ({ workflow_id: `change/${change}`, verb: 'skip', endpoint: id })),
    );
  });

  test('a machine that was for scans only stays so', async () => {
    const old = agent();
    const id = (await old.enrol((await joinToken({ scanOnly: true })).token)).body.endpointId;
    await agent().enrol((await reEnrol(id)).token);
    expect((await endpoint(id)).scanOnly).toBe(true);
  });

  test('a retired or quarantined endpoint comes back when that is what the token was made for', async () => {
    const { id } = await enrolled();
    await api.call('POST', `/v1/endpoints/${id}/retire`, { body: { reason: 'broken' } });
    expect((await agent().enrol((await reEnrol(id)).token)).body.endpointId).toBe(id);
    expect((await endpoint(id)).state).toBe('active');
  });
});

describe('attacks', () => {
  test.each([
    ['retired', (id: string) => api.call('POST', `/v1/endpoints/${id}/retire`, { body: { reason: 'stolen' } })],
    ['quarantined', (id: string) => db.pool.query(`UPDATE endpoint SET state = 'quarantined' WHERE id = $1`, [id])],
  ])('a token from before the endpoint was %s lifts nothing', async (state, happen) => {
    const { id } = await enrolled();
    const { token } = await reEnrol(id);
    await happen(id);
    const reply = await agent().enrol(token);
    expect([reply.status, reply.body.detail]).toEqual([403, expect.stringContaining(`is ${state} now`)]);
    expect((await endpoint(id)).state).toBe(state);
  });

  test('who claims another’s machine id with an ordinary token becomes an endpoint of its own, and people see it', async () => {
    const { old, id } = await enrolled({ site: 'bank' });
    const thief = agent(old.machineId);
    const reply = await thief.enrol((await joinToken()).token);
    expect(reply.body.endpointId).not.toBe(id);
    expect(await endpoint(reply.body.endpointId)).toMatchObject({ labels: {} });
    expect((await old.poll()).status).toBe(200);
    const { body } = await api.call(
      'GET',
      `/v1/audit?subject=endpoint/${reply.body.endpointId}&action=endpoint.enrolled`,
    );
    expect(body.items[0].detail.alsoClaimedBy).toEqual([id]);
  });

  test('one token, many machines: one takes the endpoint over', async () => {
    const { id } = await enrolled();
    const { token } = await reEnrol(id);
    const before = await fleetSize();
    const replies = await Promise.all(Array.from({ length: 5 }, () => agent().enrol(token)));
    expect(replies.map((reply) => reply.status).sort()).toEqual([200, 403, 403, 403, 403]);
    expect(await fleetSize()).toBe(before);
  });

  test('a simulated machine never takes a real one’s place', async () => {
    const { id } = await enrolled();
    await db.pool.query('UPDATE endpoint SET simulated = false WHERE id = $1', [id]);
    const { token } = await reEnrol(id);
    const reply = await agent().enrol(token);
    expect([reply.status, reply.body.detail]).toEqual([403, expect.stringContaining('simulated')]);
    expect((await agent().enrol(token, { simulated: false })).body.endpointId).toBe(id);
  });

  test('an endpoint that uses another’s token stays itself', async () => {
    const { id } = await enrolled();
    const other = await enrolled();
    expect((await other.old.enrol((await reEnrol(id)).token)).body.endpointId).toBe(other.id);
  });

  test('a token that is revoked or expired is none', async () => {
    const { id } = await enrolled();
    const revoked = await reEnrol(id);
    expect((await api.call('DELETE', `/v1/join-tokens/${revoked.id}`)).status).toBe(204);
    expect((await agent().enrol(revoked.token)).body.detail).toBe('the join token has been revoked');
    const late = await reEnrol(id);
    await db.pool.query('UPDATE join_token SET expires_at = now() WHERE id = $1', [late.id]);
    expect((await agent().enrol(late.token)).body.detail).toBe('the join token has expired');
  });
});

test('join tokens are listed without the token, page by page', async () => {
  const { id } = await enrolled();
  const bound = await reEnrol(id);
  const made = await joinToken({ uses: 3, labels: { site: 'x' } });
  const first = await api.call('GET', '/v1/join-tokens?usable=true&limit=1');
  expect(first.body.items).toMatchObject([{ id: made.id, usesLeft: 3, labels: { site: 'x' }, endpointId: null }]);
  const second = await api.call('GET', `/v1/join-tokens?usable=true&limit=1&cursor=${first.body.next}`);
  expect(second.body.items).toMatchObject([{ id: bound.id, usesLeft: 1, endpointId: id, revokedAt: null }]);
  const all = await api.call('GET', '/v1/join-tokens?limit=500');
  for (const { token } of [bound, made]) expect(JSON.stringify(all.body)).not.toContain(token.split('.')[0]);
  expect((await api.call('DELETE', `/v1/join-tokens/${randomUUID()}`)).status).toBe(404);
});
