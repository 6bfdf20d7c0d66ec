/** Streams of events, from real API processes over a real database: nothing lost, nothing twice, nobody who may not. */
import { randomUUID } from 'node:crypto';
import { connect } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { hashToken } from '../../db/identity/people.js';
import { type ApiProcess, type BuiltApi, buildApi, eventually, startApiProcess } from '../helpers/api-process.js';
import { type EventReader, readEvents } from '../helpers/event-stream.js';
import { createDatabase, type TestDatabase } from '../helpers/postgres.js';
import { seedChange, seedEndpoint } from '../helpers/seed-change.js';

jest.setTimeout(90_000);
const TOKEN = 'rmt_live-administrator';
let built: BuiltApi;
let db: TestDatabase;
let apis: [ApiProcess, ApiProcess];
const readers: EventReader[] = [];

const open = async (
  path: string,
  options: { api?: 0 | 1; after?: string | null; token?: string } = {},
): Promise<EventReader> => {
  const reader = await readEvents(`${apis[options.api ?? 0].url}${path}`, {
    authorization: `Bearer ${options.token ?? TOKEN}`,
    ...(options.after ? { 'last-event-id': options.after } : {}),
  });
  readers.push(reader);
  return reader;
};
const until = (what: () => boolean) => eventually(async () => what(), Boolean, 30);
const change = async (): Promise<string> => {
  const endpoints = await Promise.all(
    [1, 2, 3].map((n) => seedEndpoint(db.pool, { name: `live-${n}-${randomUUID()}` })),
  );
  return (await seedChange(db.pool, { requestedBy: 'test', rings: [{ name: 'Test', endpoints }] })).changeId;
};
const says = (changeId: string, text: string) =>
  db.pool.query(`UPDATE change SET waiting_for = $2, version = version + 1 WHERE id = $1`, [changeId, text]);
const order = async (changeId: string, state: string): Promise<string> => {
  const id = randomUUID();
  const endpointId = await seedEndpoint(db.pool, { name: `order-${id}` });
  await db.pool.query(
    `INSERT INTO order_state (id, change_id, ring, home_ring, endpoint_id, kind, state) VALUES ($1, $2, 0, 0, $3, 'change', $4)`,
    [id, changeId, endpointId, state],
  );
  return id;
};

beforeAll(async () => {
  [built, db] = await Promise.all([buildApi(), createDatabase()]);
  const env = {
    DATABASE_URL: db.apiUrl,
    RINGMASTER_BOOTSTRAP_TOKEN: TOKEN,
    RINGMASTER_WEB_SECRET: randomUUID() + randomUUID(),
    RINGMASTER_LOG_LEVEL: 'warn',
  };
  apis = [await startApiProcess(built.main, env), await startApiProcess(built.main, env)];
  const ready = (api: ApiProcess) =>
    eventually(
      async () => (await fetch(`${api.url}/v1/changes`, { headers: { authorization: `Bearer ${TOKEN}` } })).status,
      (status) => status === 200,
    );
  await Promise.all(apis.map(ready));
});
afterEach(() => {
  for (const reader of readers.splice(0)) reader.close();
});
afterAll(async () => {
  await Promise.all((apis ?? []).map((api) => api.stop()));
  await db?.drop();
  built?.remove();
});

describe('one change', () => {
  it('begins with where it is, and tells what happens next', async () => {
    const id = await change();
    const reader = await open(`/v1/changes/${id}/events`);
    expect(reader.status).toBe(200);
    expect(reader.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
    expect(reader.headers.get('x-accel-buffering')).toBe('no');
    await until(() => reader.of('snapshot').length === 1);
    expect(reader.events[0]).toMatchObject({
      event: 'snapshot',
      data: { id, stage: 'requested', rings: [{ ordinal: 0 }] },
    });
    const orderId = await order(id, 'applying');
    await db.pool.query(`UPDATE order_state SET state = 'failed', reason = 'dpkg broke' WHERE id = $1`, [orderId]);
    await db.pool.query(`UPDATE ring SET halted = true, halt_reason = 'budget' WHERE change_id = $1`, [id]);
    await db.pool.query(`UPDATE change SET stage = 'test', waiting_for = 'a person' WHERE id = $1`, [id]);
    await until(() => reader.of('change.stage').length === 1 && reader.of('progress').length > 0);
    expect(reader.of('order.failed')).toMatchObject([{ data: { orderId, reason: 'dpkg broke', ring: 0 } }]);
    expect(reader.of('ring.halted')).toMatchObject([{ data: { ring: 0, reason: 'budget' } }]);
    expect(reader.of('change.stage')).toMatchObject([{ data: { stage: 'test', waitingFor: 'a person' } }]);
    await until(() => reader.of('progress').at(-1)?.data.rings[0].counts.change.failed === 1);
  });

  it('is read a few times a second at most, however many orders move and however many watch', async () => {
    const id = await change();
    const watching = await Promise.all([1, 2, 3, 4].map(() => open(`/v1/changes/${id}/events`)));
    await until(() => watching.every((r) => r.of('snapshot').length === 1));
    const orders = await Promise.all(Array.from({ length: 60 }, () => order(id, 'released')));
    const started = Date.now();
    for (const orderId of orders) {
      await db.pool.query(`UPDATE order_state SET state = 'succeeded', phase = 'done' WHERE id = $1`, [orderId]);
      await db.pool.query(`SELECT pg_notify('rm_orders', $1)`, [id]);
    }
    await until(() => watching.every((r) => r.of('progress').at(-1)?.data.rings[0].counts.change.succeeded === 60));
    // 400 ms apart at least; one more for the beginning and one for the end.
    const most = (Date.now() - started) / 400 + 2;
    for (const reader of watching) expect(reader.of('progress').length).toBeLessThanOrEqual(most);
  });

  it('is not there for a change that is not', async () => {
    expect((await open(`/v1/changes/${randomUUID()}/events`)).status).toBe(404);
    expect((await open('/v1/events', { after: 'tomorrow' })).status).toBe(400);
  });
});

describe('Last-Event-ID', () => {
  it('loses nothing and doubles nothing, while many write at once and the reader changes replicas again and again', async () => {
    const id = await change();
    const told: { id: string | null; text: string }[] = [];
    const first = await open(`/v1/changes/${id}/events`);
    await until(() => first.lastId() !== null);
    let after = first.lastId();
    first.close();

    const WRITERS = 6;
    const EACH = 25;
    let writing = true;
    const writers = Promise.all(
      Array.from({ length: WRITERS }, async (_, w) => {
        for (let n = 0; n < EACH; n += 1) {
          const client = await db.pool.connect();
          try {
            await client.query('begin');
            // Takes its number early and commits late, in any order: what a plain sequence would lose.
            await client.query(`INSERT INTO endpoint (id, name, public_key) VALUES ($1::uuid, 'w', $1::text)`, [
              randomUUID(),
            ]);
            await client.query(
              `INSERT INTO change (id, kind, name, spec, requested_by, deadline) VALUES ($1, 'patch', $2, '{}', 'test', now())`,
              [randomUUID(), `${w}/${n}`],
            );
            await client.query('SELECT pg_sleep($1)', [Math.random() * 0.02]);
            await client.query('commit');
          } finally {
            client.release();
          }
        }
      }),
    ).then(() => {
      writing = false;
    });
    const deadline = Date.now() + 60_000;
    for (let round = 0; (writing || told.length < WRITERS * EACH) && Date.now() < deadline; round += 1) {
      const reader = await open('/v1/events', { api: (round % 2) as 0 | 1, after });
      await new Promise((resolve) => setTimeout(resolve, 20 + Math.random() * 150));
      reader.close();
      await reader.ended;
      expect(reader.of('reset')).toEqual([]);
      told.push(...reader.of('change.requested').map((e) => ({ id: e.id, text: e.data.name })));
      after = reader.lastId() ?? after;
    }
    await writers;
    expect(told).toHaveLength(WRITERS * EACH);
    expect(new Set(told.map((t) => t.text)).size).toBe(WRITERS * EACH);
    expect(new Set(told.map((t) => t.id)).size).toBe(WRITERS * EACH);
  });

  it('starts afresh when what was missed can’t be told any more', async () => {
    const id = await change();
    const reader = await open(`/v1/changes/${id}/events`);
    await until(() => reader.lastId() !== null);
    const old = reader.lastId();
    reader.close();
    await says(id, 'one');
    await db.pool.query(`SELECT prune_feed(now() + interval '1 minute')`);
    const again = await open(`/v1/changes/${id}/events`, { after: old });
    await until(() => again.of('reset').length === 1);
    expect(again.events[0]).toMatchObject({ event: 'reset', data: { id, waitingFor: 'one' } });
    await says(id, 'two');
    await until(() => again.of('change.stage').length === 1);
    // Of a database that was put back from a backup since.
    const other = await open(`/v1/changes/${id}/events`, { after: '9000000000000000000-1' });
    await until(() => other.of('reset').length === 1);
  });
});

it('tells the same from both replicas, in the same order', async () => {
  const both = await Promise.all([open('/v1/events', { api: 0 }), open('/v1/events', { api: 1 })]);
  await until(() => both.every((r) => r.of('snapshot').length === 1));
  const ids = [await change(), await change(), await change()];
  for (const id of ids) await says(id, `of ${id}`);
  await until(() => both.every((r) => ids.every((id) => r.of('change.stage').some((e) => e.data.changeId === id))));
  const [a, b] = both.map((r) => r.events.slice(1).map((e) => `${e.id} ${e.event}`));
  expect(a).toEqual(b);
});

it('gives a reader that takes nothing a fresh start, and the server keeps nothing for it', async () => {
  const id = await change();
  const { hostname, port } = new URL(apis[0].url);
  const socket = connect({ host: hostname, port: Number(port) });
  socket.write(`GET /v1/changes/${id}/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${TOKEN}\r\n\r\n`);
  let text = '';
  socket.on('data', (part) => {
    text += part;
  });
  await until(() => text.includes('event: snapshot'));
  socket.pause();
  const quick = await open(`/v1/changes/${id}/events`);
  await until(() => quick.of('snapshot').length === 1);
  // Much more than the kernel holds for a reader; one transaction, as a burst of failures would be.
  await db.pool.query(
    `INSERT INTO feed_event (type, change_id, data)
     SELECT 'order.failed', $1, jsonb_build_object('n', n, 'reason', repeat('x', 900)) FROM generate_series(1, 15000) n`,
    [id],
  );
  await says(id, 'after the burst');
  await until(() => quick.events.some((e) => JSON.stringify(e.data).includes('after the burst')));
  socket.resume();
  await until(() => /event: reset/.test(text));
  await says(id, 'the last word');
  await until(() => text.includes('the last word'));
  socket.destroy();
});

it('ends when the token is revoked, and never begins without the permission', async () => {
  const token = `rmt_${randomUUID()}`;
  await db.pool.query(`INSERT INTO api_token (id, token_hash, name, role) VALUES ($1, $2, 'watcher', 'Operator')`, [
    randomUUID(),
    hashToken(token),
  ]);
  const reader = await open('/v1/events', { token });
  await until(() => reader.of('snapshot').length === 1);
  await db.pool.query('UPDATE api_token SET revoked_at = now() WHERE token_hash = $1', [hashToken(token)]);
  await reader.ended;
  expect(reader.events.at(-1)).toMatchObject({ event: 'end', data: { reason: 'not allowed any more' } });
  expect((await open('/v1/events', { token })).status).toBe(401);
});

it('gives one person a bounded number of streams', async () => {
  const token = `rmt_${randomUUID()}`;
  await db.pool.query(`INSERT INTO api_token (id, token_hash, name, role) VALUES ($1, $2, 'greedy', 'Operator')`, [
    randomUUID(),
    hashToken(token),
  ]);
  const mine = await Promise.all(Array.from({ length: 13 }, () => open('/v1/events', { token })));
  expect(mine.map((r) => r.status).sort()).toEqual([...Array(12).fill(200), 429]);
  const refused = mine.find((r) => r.status === 429) as EventReader;
  expect(refused.headers.get('content-type')).toContain('application/problem+json');
  expect((await open('/v1/events')).status).toBe(200);
  mine.find((r) => r.status === 200)?.close();
  await eventually(
    async () => (await open('/v1/events', { token })).status,
    (status) => status === 200,
  );
});

it('ends cleanly when the server stops', async () => {
  const reader = await open('/v1/events', { api: 1 });
  await until(() => reader.of('snapshot').length === 1);
  expect(await apis[1].stop()).toBe(0);
  await reader.ended;
  expect(reader.events.at(-1)).toMatchObject({ event: 'end', data: { reason: 'the server stops' } });
});
