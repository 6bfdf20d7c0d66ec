import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { keyIdOf } from '../../protocol/envelope.js';
import { enrolReply, errorReply, keySetReply, pollReply } from '../../protocol/messages.js';
import { type SimulatedAgent, simulatedAgent } from '../helpers/agent-client.js';
import { startApi, type TestApi } from '../helpers/api-server.js';
import { createDatabase, type TestDatabase } from '../helpers/postgres.js';

// The machine may be busy with other suites; nothing here is about speed.
jest.setTimeout(60_000);

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

const joinToken = async (body: object = {}): Promise<string> => {
  const made = await api.call('POST', '/v1/join-tokens', { body: { uses: 100, ...body } });
  expect(made.status).toBe(201);
  return made.body.token;
};
const enrolled = async (): Promise<{ agent: SimulatedAgent; id: string }> => {
  const agent = simulatedAgent({ url: api.url });
  const reply = await agent.enrol(await joinToken({ labels: { env: 'test' } }));
  expect(reply.status).toBe(200);
  return { agent, id: reply.body.endpointId };
};
const endpoint = async (id: string) => (await db.pool.query('SELECT * FROM endpoint WHERE id = $1', [id])).rows[0];
const seconds = () => Math.floor(Date.now() / 1_000);

/** Arrays in arrays. */
const nested = (depth: number): unknown => JSON.parse('['.repeat(depth) + ']'.repeat(depth));

describe('enrolment', () => {
  test('a machine with a token becomes an endpoint, and trusts the root its token names', async () => {
    const token = await joinToken({ uses: 1, labels: { env: 'test' }, scanOnly: true });
    const agent = simulatedAgent({ url: api.url });
    const reply = await agent.enrol(token);
    const { endpointId, rootPublicKey, nextPollSeconds } = enrolReply.parse(reply.body);
    expect(keyIdOf(rootPublicKey)).toBe(token.split('.')[1]);
    expect(nextPollSeconds).toBeGreaterThan(0);
    expect(await endpoint(endpointId)).toMatchObject({
      name: 'sim-1',
      labels: { env: 'test' },
      scan_only: true,
      simulated: true,
      zone: 'Europe/Berlin',
      key_id: agent.key.keyid,
      wants_scan: true,
    });
  });

  test('the same key asking again gets the same answer and uses nothing up', async () => {
    const token = await joinToken({ uses: 1 });
    const agent = simulatedAgent({ url: api.url });
    const replies = await Promise.all([agent.enrol(token), agent.enrol(token), agent.enrol(token)]);
    expect(replies.map((r) => r.status)).toEqual([200, 200, 200]);
    expect(new Set(replies.map((r) => r.body.endpointId)).size).toBe(1);
    const other = await simulatedAgent({ url: api.url }).enrol(token);
    expect(other).toMatchObject({ status: 403, body: { error: 'the join token is used up' } });
  });

  test('two machines racing for the last use: one of them gets in', async () => {
    const token = await joinToken({ uses: 1 });
    const replies = await Promise.all([1, 2, 3].map(() => simulatedAgent({ url: api.url }).enrol(token)));
    expect(replies.map((r) => r.status).sort()).toEqual([200, 403, 403]);
  });

  test.each([
    ['an unknown token', async () => 'nobody-made-this', {}, 403, 'unknown'],
    ['no zone of this world', joinToken, { zone: 'Mars/Olympus' }, 400, 'zone'],
    ['an unknown field', joinToken, { extra: 1 }, 400, 'extra: unknown field'],
    ['a newer protocol', joinToken, { protocol: 99 }, 426, 'protocol 99'],
    ['a name with a zero byte', joinToken, { name: 'a\u0000b' }, 400, 'characters'],
    ['a fact without a bottom', joinToken, { facts: { deep: nested(3_000) } }, 400, 'nested more than'],
  ] as const)('%s is refused', async (_, token, change, status, text) => {
    const reply = await simulatedAgent({ url: api.url }).enrol(await token(), change as object);
    expect(reply.status).toBe(status);
    expect(errorReply.parse(reply.body).error).toContain(text);
  });

  test('an expired token is refused', async () => {
    const token = await joinToken();
    await db.pool.query(`UPDATE join_token SET expires_at = now() - interval '1 second'`);
    expect(await simulatedAgent({ url: api.url }).enrol(token)).toMatchObject({
      status: 403,
      body: { error: 'the join token has expired' },
    });
  });

  test('who does not hold the key it names is refused', async () => {
    const victim = simulatedAgent({ url: api.url });
    const thief = simulatedAgent({ url: api.url });
    const reply = await thief.enrol(await joinToken(), { publicKey: victim.key.publicKey });
    expect(reply.status).toBe(401);
  });

  test('a second machine with the same key quarantines it', async () => {
    const { agent, id } = await enrolled();
    const clone = simulatedAgent({ url: api.url, key: agent.key });
    expect((await clone.enrol(await joinToken())).status).toBe(403);
    expect(await endpoint(id)).toMatchObject({
      state: 'quarantined',
      state_reason: expect.stringContaining('two machines'),
    });
    const { rows } = await db.pool.query('SELECT action FROM audit_entry WHERE subject = $1 ORDER BY id', [
      `endpoint/${id}`,
    ]);
    expect(rows.map((r) => r.action)).toEqual(['endpoint.enrolled', 'endpoint.quarantined']);
  });
});

describe('signatures', () => {
  test.each<[string, (agent: SimulatedAgent) => ReturnType<SimulatedAgent['send']>, string]>([
    ['none', async () => api.call('POST', '/agent/v1/poll', { body: {}, token: null }), 'signature-signature'],
    ['of a stranger', () => simulatedAgent({ url: api.url }).poll(), 'signature-unknown-key'],
    ['too old', (a) => a.poll({}, { created: seconds() - 301 }), 'signature-clock'],
    ['of the future', (a) => a.poll({}, { created: seconds() + 302 }), 'signature-clock'],
    [
      'over another body',
      (a) => a.poll({}, { tamper: (r) => r.body?.write('9', r.body.indexOf('"journalSeq":') + 13) }),
      'signature-digest',
    ],
    [
      'for another path',
      (a) => a.poll({}, { tamper: (r) => Object.assign(r, { path: '/agent/v1/inventory' }) }),
      'signature-signature',
    ],
    [
      'for another query',
      (a) => a.poll({}, { tamper: (r) => Object.assign(r, { path: `${r.path}?x=1` }) }),
      'signature-coverage',
    ],
  ])('%s: 401, with the server’s time', async (_, send, type) => {
    const { agent } = await enrolled();
    const reply = await send(agent);
    expect(reply.status).toBe(401);
    expect(reply.headers.get('content-type')).toContain('application/problem+json');
    expect(reply.body.type).toBe(`urn:ringmaster:problem:${type}`);
    expect(Math.abs(errorReply.parse(reply.body).serverTime - Date.now())).toBeLessThan(60_000);
  });

  test('the endpoint’s id is as good a key id as its key’s', async () => {
    const { agent, id } = await enrolled();
    const { signRequest } = await import('../../protocol/http-signature.js');
    const request = { method: 'GET', path: '/agent/v1/key-set', query: null, headers: {}, body: null };
    const headers = signRequest({ request, keyid: id, privateKey: agent.key.privateKey, created: seconds() });
    const reply = await fetch(`${api.url}/agent/v1/key-set`, { headers });
    expect(keySetReply.parse(await reply.json()).keySet.signatures[0]?.keyid).toBe(api.root.keyid);
  });
});

describe('polling', () => {
  test('tells the time, the pace, and takes reports', async () => {
    const { agent, id } = await enrolled();
    const orderId = randomUUID();
    const reports = [{ orderId, events: [{ seq: 1, at: 1, type: 'accept' as const }] }];
    const reply = pollReply.parse(
      (await agent.poll({ reports, journalSeq: 7, observations: { rebootPending: true } })).body,
    );
    expect(reply).toMatchObject({ acks: [{ orderId, seq: 1 }], orders: [], keySetVersion: 1, scanNow: true });
    expect(reply.nextPollSeconds).toBeLessThanOrEqual(5);
    await api.seen.flush();
    const row = await endpoint(id);
    expect(row).toMatchObject({ last_journal_seq: 7, observations: { rebootPending: true } });
    expect(row.last_seen).not.toBeNull();
  });

  test('offers reach the agent; a skewed clock is noted', async () => {
    const { agent, id } = await enrolled();
    const envelope = { payloadType: 'x', payload: 'aGk=', signatures: [{ keyid: 'k', sig: 'aGk=' }] };
    api.orders.offers = [{ order: envelope, permit: null }];
    const reply = await agent.poll({ clock: Date.now() - 600_000 });
    api.orders.offers = [];
    expect(pollReply.parse(reply.body).orders).toEqual([{ order: envelope, permit: null }]);
    await api.seen.flush();
    expect(Math.abs((await endpoint(id)).clock_skew_ms + 600_000)).toBeLessThan(60_000);
  });

  test('the same request sent twice is answered twice and judged once', async () => {
    const { agent, id } = await enrolled();
    const { url, init } = agent.signed({
      path: '/agent/v1/poll',
      body: { protocol: 1, journalSeq: 5, bootId: 'b1', clock: Date.now(), open: [], reports: [] },
    });
    expect((await fetch(url, init)).status).toBe(200);
    expect((await agent.poll({ journalSeq: 9, bootId: 'b1' }, { created: seconds() + 1 })).status).toBe(200);
    expect((await fetch(url, init)).status).toBe(200);
    await api.seen.flush();
    expect(await endpoint(id)).toMatchObject({ state: 'active', last_journal_seq: 9 });
  });

  test.each([
    ['an unknown field', { surprise: true }, 'surprise: unknown field'],
    [
      'a nested unknown field',
      { open: [{ orderId: randomUUID(), state: 's', seq: 1, x: 1 }] },
      'open[0].x: unknown field',
    ],
    [
      'a report of no kind',
      { reports: [{ orderId: randomUUID(), events: [{ seq: 1, at: 1, type: 'danced' }] }] },
      'reports[0].events[0].type',
    ],
    ['a missing field', { journalSeq: undefined }, 'journalSeq'],
    ['an observation without a bottom', { observations: { deep: nested(3_000) } }, 'nested more than'],
  ])('%s is refused by name', async (_, change, text) => {
    const { agent } = await enrolled();
    const reply = await agent.poll(change as never);
    expect(reply.status).toBe(400);
    expect(errorReply.parse(reply.body).error).toContain(text);
  });

  test('a shorter journal quarantines: no orders from then on', async () => {
    const { agent, id } = await enrolled();
    const at = seconds();
    await agent.poll({ journalSeq: 20, bootId: 'b1' }, { created: at - 2 });
    api.orders.offers = [
      { order: { payloadType: 'x', payload: 'aGk=', signatures: [{ keyid: 'k', sig: 'aGk=' }] }, permit: null },
    ];
    const reply = await agent.poll({ journalSeq: 3, bootId: 'b1' }, { created: at });
    expect(reply).toMatchObject({ status: 200, body: { orders: [] } });
    const later = await agent.poll({ journalSeq: 30, bootId: 'b1' }, { created: at + 1 });
    api.orders.offers = [];
    expect(later.body.orders).toEqual([]);
    expect(await endpoint(id)).toMatchObject({
      state: 'quarantined',
      state_reason: expect.stringContaining('rolled back or cloned'),
    });
    expect((await agent.inventory()).status).toBe(403);
  });

  test('a person who has looked lets a quarantined endpoint back in, and begins anew with it', async () => {
    const { agent, id } = await enrolled();
    const at = seconds();
    await agent.poll({ journalSeq: 20 }, { created: at - 2 });
    await agent.poll({ journalSeq: 3 }, { created: at - 1 });
    expect((await agent.inventory()).status).toBe(403);
    await api.seen.flush();
    const readmit = () => api.call('POST', `/v1/endpoints/${id}/readmit`, { body: { reason: 'restored from backup' } });
    expect((await readmit()).body).toMatchObject({ state: 'active', stateReason: null });
    expect((await readmit()).status).toBe(409);
    await agent.poll({ journalSeq: 3 }, { created: at });
    expect((await agent.inventory()).status).toBe(200);
    expect(await endpoint(id)).toMatchObject({ state: 'active' });
  });

  test('a retired endpoint is told so, and can’t come back with its key', async () => {
    const { agent, id } = await enrolled();
    expect((await api.call('POST', `/v1/endpoints/${id}/retire`, { body: { reason: 'scrapped' } })).status).toBe(200);
    expect(await agent.poll()).toMatchObject({ status: 403, body: { error: 'this endpoint is retired' } });
    expect((await agent.enrol(await joinToken())).status).toBe(403);
    expect((await agent.inventory()).status).toBe(403);
  });

  test('a boot id that comes back quarantines; a reboot does not', async () => {
    const { agent, id } = await enrolled();
    const at = seconds();
    await agent.poll({ bootId: 'b1' }, { created: at - 3 });
    await agent.poll({ bootId: 'b2' }, { created: at - 2 });
    await api.seen.flush();
    expect(await endpoint(id)).toMatchObject({ state: 'active', boot_id: 'b2' });
    await agent.poll({ bootId: 'b1' }, { created: at - 1 });
    expect(await endpoint(id)).toMatchObject({
      state: 'quarantined',
      state_reason: expect.stringContaining('two machines'),
    });
  });
});
