import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import WebSocket from 'ws';
import { storeScans } from '../../db/inventory/store-scan.js';
import { type InventoryRequest, inventoryReply } from '../../protocol/messages.js';
import { inventoryOf, type SimulatedAgent, simulatedAgent } from '../helpers/agent-client.js';
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

describe('inventory', () => {
  const facts = async (id: string) =>
    (
      await db.pool.query(
        'SELECT name, version, confirmed_at, outcome FROM update_fact WHERE endpoint_id = $1 ORDER BY version',
        [id],
      )
    ).rows;

  test('free parts beyond their bounds are refused, with place and reason', async () => {
    const { agent } = await enrolled();
    // Deeper than an agent has any use for, and not as deep as what no request at all may be.
    const deep = `${'{"a":'.repeat(20)}1${'}'.repeat(20)}`;
    const poll = { protocol: 2, journalSeq: 1, bootId: 'b', clock: Date.now(), open: [], reports: [] };
    const withText = (body: object, name: string, text: string) =>
      Buffer.from(JSON.stringify({ ...body, [name]: 0 }).replace(`"${name}":0`, `"${name}":${text}`));
    for (const name of ['observations', 'localLimits']) {
      const reply = await agent.send({ path: '/agent/v1/poll', body: withText(poll, name, deep) });
      expect(reply.status).toBe(400);
      expect(reply.body.errors).toEqual([
        { in: 'body', field: `${name}.${Array(8).fill('a').join('.')}`, reason: 'is nested more than 8 deep' },
      ]);
    }
    const facts = { list: Array.from({ length: 20_001 }, () => 1) };
    const scan = await agent.inventory({ facts });
    expect(scan.status).toBe(400);
    expect(scan.body.errors[0]).toMatchObject({
      field: expect.stringMatching(/^facts/),
      reason: 'holds more than 20000 values',
    });
    const report = { seq: 1, at: 1, type: 'accept' as const, detail: { text: 'x'.repeat(1024 * 1024 + 1) } };
    const told = await agent.poll({ reports: [{ orderId: '00000000-0000-4000-8000-000000000000', events: [report] }] });
    expect(told.body.errors[0]).toMatchObject({
      field: 'reports[0].events[0].detail.text',
      reason: 'holds more than 1048576 characters',
    });
  });

  test('replaces what was known, once per scan', async () => {
    const { agent, id } = await enrolled();
    const first = inventoryOf();
    for (let i = 0; i < 2; i += 1) {
      const reply = await agent.send({ path: '/agent/v1/inventory', body: first });
      expect(inventoryReply.parse(reply.body).scanId).toBe(first.scanId);
    }
    const seen = await api.call('GET', `/v1/endpoints/${id}`);
    expect(seen.body).toMatchObject({
      wantsScan: false,
      facts: { os: 'debian 12', kernel: '6.1' },
      availableUpdates: 1,
    });
    expect(seen.body.packages.map((p: { name: string }) => p.name)).toEqual(['bash', 'libc6', 'openssl']);
    expect(seen.body.services).toHaveLength(2);
    expect(await facts(id)).toMatchObject([{ name: 'libc6', version: '2.36-9+deb12u4', confirmed_at: null }]);

    const next = inventoryOf({ packages: first.packages.slice(0, 2), services: [], listeners: [] });
    expect((await agent.inventory(next)).status).toBe(200);
    const after = await api.call('GET', `/v1/endpoints/${id}`);
    expect(after.body.packages.map((p: { name: string }) => p.name)).toEqual(['bash', 'libc6']);
    expect(after.body.services).toEqual([]);
    const { rows } = await db.pool.query('SELECT DISTINCT scan_id FROM installed_package WHERE endpoint_id = $1', [id]);
    expect(rows).toEqual([{ scan_id: first.scanId }]);
  });

  test('two at once take turns: what the first has changed is not taken for what was there before', async () => {
    const { agent, id } = await enrolled();
    const first = inventoryOf();
    await agent.inventory(first);
    const newer = first.packages.map((p) => (p.name === 'libc6' ? { ...p, version: '2.36-9+deb12u4' } : p));
    const blocker = await db.pool.connect();
    await blocker.query('BEGIN');
    await blocker.query('SELECT FROM endpoint WHERE id = $1 FOR UPDATE', [id]);
    const waiting = async (n: number) => {
      const look = `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`;
      while ((await db.pool.query(look)).rowCount !== n) await new Promise((resolve) => setTimeout(resolve, 20));
    };
    // As two web tiers do. One brings no news of packages, the other none of updates.
    const store = (body: Partial<InventoryRequest>) => {
      const now = Date.now();
      return storeScans(db.pool, { now, scans: [{ endpointId: id, begunAt: now, scan: inventoryOf(body) }] });
    };
    const one = store({ packages: first.packages, updates: [] });
    await waiting(1);
    const two = store({ packages: newer, updates: first.updates });
    await waiting(2);
    await blocker.query('COMMIT');
    blocker.release();
    await Promise.all([one, two]);
    const known = (await api.call('GET', `/v1/endpoints/${id}`)).body;
    const libc = known.packages.find((p: { name: string }) => p.name === 'libc6');
    expect([libc.version, known.availableUpdates]).toEqual(['2.36-9+deb12u4', 1]);
  });

  test('digests that are not of the last scan are of no use: another release of the server may have stored it', async () => {
    const { agent, id } = await enrolled();
    const first = inventoryOf();
    await agent.inventory(first);
    await db.pool.query('UPDATE installed_package SET version = $2 WHERE endpoint_id = $1', [id, '0']);
    await db.pool.query(
      `INSERT INTO scan (id, endpoint_id, started_at, complete, provider) VALUES (gen_random_uuid(), $1, now(), true, 'apt')`,
      [id],
    );
    await agent.inventory({ packages: first.packages, updates: first.updates });
    const known = (await api.call('GET', `/v1/endpoints/${id}`)).body;
    expect(known.packages.map((p: { version: string }) => p.version)).not.toContain('0');
  });

  test('confirms what was missing and is installed now, in that version or a newer one', async () => {
    const { agent, id } = await enrolled();
    const first = inventoryOf();
    await agent.inventory(first);
    const newer = first.packages.map((p) => (p.name === 'libc6' ? { ...p, version: '2.36-9+deb12u10' } : p));
    await agent.inventory({ packages: newer, updates: [] });
    expect(await facts(id)).toMatchObject([
      { version: '2.36-9+deb12u4', outcome: 'newer', confirmed_at: expect.any(Date) },
    ]);
    await agent.inventory({ updates: first.updates });
    expect(await facts(id)).toMatchObject([{ outcome: 'missingAgain', confirmed_at: null }]);
  });

  test('asked for while a scan is under way, that one does not answer: the next does', async () => {
    const { agent, id } = await enrolled();
    const wanted = async () => (await api.call('GET', `/v1/endpoints/${id}`)).body.wantsScan;
    expect((await agent.inventory()).status).toBe(200);
    expect([await wanted(), (await agent.poll()).body.scanNow]).toEqual([false, false]);
    const underWay = inventoryOf({ startedAt: Date.now() - 60_000 });
    expect((await api.call('POST', `/v1/endpoints/${id}/scan`)).status).toBe(202);
    expect((await agent.inventory(underWay)).status).toBe(200);
    // One that failed answers no more than one that did not.
    const failed = { startedAt: Date.now() - 60_000, complete: false, incompleteReason: 'dpkg is locked' };
    expect((await agent.inventory({ ...failed, packages: [], updates: [] })).status).toBe(200);
    expect([await wanted(), (await agent.poll()).body.scanNow]).toEqual([true, true]);
    expect((await agent.inventory({ startedAt: Date.now() + 1_000 })).status).toBe(200);
    expect([await wanted(), (await agent.poll()).body.scanNow]).toEqual([false, false]);
  });

  test('an incomplete scan leaves what was known', async () => {
    const { agent, id } = await enrolled();
    await agent.inventory();
    const reply = await agent.inventory({
      complete: false,
      incompleteReason: 'dpkg is locked',
      packages: [],
      updates: [],
      services: [],
      listeners: [],
    });
    expect(reply.status).toBe(200);
    expect((await api.call('GET', `/v1/endpoints/${id}`)).body.packages).toHaveLength(3);
    const { rows } = await db.pool.query(
      'SELECT complete, incomplete_reason FROM scan WHERE endpoint_id = $1 ORDER BY received_at',
      [id],
    );
    expect(rows).toMatchObject([{ complete: true }, { complete: false, incomplete_reason: 'dpkg is locked' }]);
  });

  test.each([
    ['a package listed twice', { packages: [...inventoryOf().packages, ...inventoryOf().packages] }, 'packages[3]'],
    [
      'a version nobody writes',
      { packages: [{ ...inventoryOf().packages[0], version: 'a b' }] },
      'packages[0].version',
    ],
    ['an unknown field', { hostname: 'x' }, 'hostname: unknown field'],
  ])('%s is refused by name', async (_, change, text) => {
    const { agent } = await enrolled();
    const reply = await agent.inventory(change as never);
    expect(reply.status).toBe(400);
    expect(reply.body.error).toContain(text);
  });
});

describe('content', () => {
  test('is streamed by digest, from any offset, to endpoints only', async () => {
    const { agent } = await enrolled();
    const bytes = Buffer.from('the bytes of a package');
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    const file = join(api.contentDirectory, sha256.slice(0, 2), sha256.slice(2, 4), sha256);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, bytes);
    const path = `/agent/v1/content/${sha256}`;
    expect(await agent.send({ path })).toMatchObject({ status: 200, body: bytes.toString() });
    const rest = await agent.send({ path, headers: { range: 'bytes=4-' } });
    expect(rest).toMatchObject({ status: 206, body: 'bytes of a package' });
    expect((await agent.send({ path, headers: { range: 'bytes=999-' } })).status).toBe(416);
    expect((await fetch(`${api.url}${path}`)).status).toBe(401);
    expect((await agent.send({ path: `/agent/v1/content/${'0'.repeat(64)}` })).status).toBe(404);
    for (const bad of ['..%2f..%2fsecrets%2fweb-secret', 'ABC', `${sha256}x`]) {
      expect((await agent.send({ path: `/agent/v1/content/${bad}` })).status).toBe(400);
    }
  });
});

describe('wake-up', () => {
  const open = (agent: SimulatedAgent): Promise<WebSocket> => {
    const { init } = agent.signed({ path: '/agent/v1/wake' });
    const socket = new WebSocket(`${api.url.replace('http', 'ws')}/agent/v1/wake`, {
      headers: init.headers as Record<string, string>,
    });
    return new Promise((resolve, reject) => socket.once('open', () => resolve(socket)).once('error', reject));
  };
  const hint = (socket: WebSocket) =>
    new Promise<string>((resolve) => socket.once('message', (data) => resolve(String(data))));

  test('reaches the endpoint that is meant, and lets it poll rarely', async () => {
    const { agent, id } = await enrolled();
    const { agent: other } = await enrolled();
    await agent.inventory();
    expect((await agent.poll()).body.nextPollSeconds).toBe(30);
    const [socket, quiet] = await Promise.all([open(agent), open(other)]);
    const heard: string[] = [];
    quiet.on('message', (data) => heard.push(String(data)));
    expect((await agent.poll()).body.nextPollSeconds).toBe(900);
    const woken = hint(socket);
    // LISTEN may still be on its way: the hint is repeated until it comes, as releases are.
    const repeat = setInterval(() => void db.pool.query(`SELECT pg_notify('rm_wake', $1)`, [JSON.stringify([id])]), 50);
    expect(JSON.parse(await woken)).toEqual({ type: 'wake' });
    clearInterval(repeat);
    expect(heard).toEqual([]);
    const all = hint(quiet);
    await db.pool.query(`SELECT pg_notify('rm_wake', '*')`);
    expect(JSON.parse(await all)).toEqual({ type: 'wake' });
    socket.close();
    quiet.close();
  });

  test('strangers can’t listen', async () => {
    await expect(open(simulatedAgent({ url: api.url }))).rejects.toThrow('401');
  });
});
