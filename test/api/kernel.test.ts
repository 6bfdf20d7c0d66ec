/** What every route below /v1 gets for nothing: idempotency keys, ETags, rate limits. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { simulatedAgent } from '../helpers/agent-client.js';
import { startApi, type TestApi } from '../helpers/api-server.js';
import { createDatabase, type TestDatabase } from '../helpers/postgres.js';

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

const account = (email = `${randomUUID()}@example.com`) => ({ name: 'x', email, roles: [] });
const count = async (sql: string, values: unknown[] = []): Promise<number> =>
  Number((await db.pool.query(`SELECT count(*) AS n FROM ${sql}`, values)).rows[0].n);
const group = (name: string, tier: string, headers: Record<string, string> = {}) =>
  api.call('PUT', `/v1/groups/${name}`, { body: { selector: { labels: { tier } } }, headers });

describe('Idempotency-Key', () => {
  const post = (body: unknown, key: string, path = '/v1/accounts') =>
    api.call('POST', path, { body, headers: { 'idempotency-key': key } });

  test('the same request again has no second effect and gets the first reply', async () => {
    const [key, body] = [randomUUID(), account()];
    const first = await post(body, key);
    expect([first.status, first.headers.get('idempotency-replayed')]).toEqual([201, null]);
    for (const form of [key, `"${key}"`]) {
      const again = await post(body, form);
      expect([again.status, again.body, again.headers.get('idempotency-replayed')]).toEqual([201, first.body, 'true']);
      expect(again.headers.get('content-type')).toBe(first.headers.get('content-type'));
    }
    expect(await count('account WHERE email = $1', [body.email])).toBe(1);
  });

  test('another body, path or method with the key: 422', async () => {
    const [key, body] = [randomUUID(), account()];
    await post(body, key);
    expect(await post({ ...body, name: 'y' }, key)).toMatchObject({
      status: 422,
      body: { type: 'urn:ringmaster:problem:idempotency-key-reused' },
    });
    const other = randomUUID();
    expect((await group('k', 'x', { 'idempotency-key': other })).status).toBe(200);
    expect((await group('l', 'x', { 'idempotency-key': other })).status).toBe(422);
    expect((await group('k', 'x', { 'idempotency-key': key })).status).toBe(422);
    expect((await api.call('GET', '/v1/groups/l')).status).toBe(404);
  });

  test('of many at once one has the effect; the others are told to wait or get its reply', async () => {
    const [key, body] = [randomUUID(), account()];
    const replies = await Promise.all(Array.from({ length: 12 }, () => post(body, key)));
    for (const { status, headers } of replies) {
      if (status === 409) expect(Number(headers.get('retry-after'))).toBeGreaterThan(0);
      else expect(status).toBe(201);
    }
    expect(
      replies.filter(({ status, headers }) => status === 201 && !headers.has('idempotency-replayed')),
    ).toHaveLength(1);
    expect(await count('account WHERE email = $1', [body.email])).toBe(1);
  });

  test('keys of two people never meet', async () => {
    const [key, body] = [randomUUID(), account()];
    const { body: made } = await post(account(), randomUUID());
    await api.call('PUT', `/v1/accounts/${made.id}/roles`, { body: { roles: ['Administrator'] } });
    const token = { name: 't', role: 'Administrator', expiresInSeconds: null };
    const other = (await api.call('POST', `/v1/accounts/${made.id}/tokens`, { body: token })).body.token;
    await post(body, key);
    const theirs = await api.call('POST', '/v1/accounts', {
      body,
      token: other,
      headers: { 'idempotency-key': key },
    });
    expect([theirs.status, theirs.body.detail]).toEqual([409, expect.stringContaining('e-mail')]);
  });

  test('a request that failed leaves its key free', async () => {
    const [key, body] = [randomUUID(), account()];
    await post(body, randomUUID());
    expect((await post(body, key)).status).toBe(409);
    await db.pool.query('DELETE FROM account WHERE email = $1', [body.email]);
    expect((await post(body, key)).status).toBe(201);
  });

  test('a secret is not kept: a repetition is told that it was shown', async () => {
    const key = randomUUID();
    const first = await post({}, key, '/v1/join-tokens');
    expect(first.status).toBe(201);
    const again = await post({}, key, '/v1/join-tokens');
    expect(again).toMatchObject({ status: 409, body: { type: 'urn:ringmaster:problem:already-done' } });
    const { rows } = await db.pool.query('SELECT * FROM idempotency_key');
    expect(JSON.stringify(rows)).not.toContain(first.body.token);
  });

  test('killed before the commit: after a while a repetition does it; killed after: it is told that it was done', async () => {
    const [key, body] = [randomUUID(), account()];
    await post(body, key);
    const set = (columns: string) => db.pool.query(`UPDATE idempotency_key SET ${columns} WHERE key = $1`, [key]);
    // As a process leaves it that dies between its commit and storing the reply.
    await set('reply = NULL');
    api.skip(60_000);
    expect(await post(body, key)).toMatchObject({ status: 409, body: { detail: expect.stringContaining('lost') } });
    // As one leaves it that dies before its commit.
    await set('committed = false');
    await db.pool.query('DELETE FROM account WHERE email = $1', [body.email]);
    await set(`claimed_at = to_timestamp(${(Date.now() + 59_000) / 1000})`);
    const early = await post(body, key);
    expect([early.status, early.headers.get('retry-after')]).toEqual([409, expect.stringMatching(/^[12]$/)]);
    api.skip(60_000);
    expect((await post(body, key)).status).toBe(201);
    api.skip(-120_000);
  });

  test('whoever lost the claim can’t commit', async () => {
    const [key, body] = [randomUUID(), account()];
    // The account's row is locked by us, so the request hangs before its commit.
    const client = await db.pool.connect();
    await client.query('BEGIN');
    await client.query(`INSERT INTO account (id, name, email) VALUES ($1, 'x', $2)`, [randomUUID(), body.email]);
    const slow = post(body, key);
    while ((await count('idempotency_key WHERE key = $1', [key])) === 0) await new Promise((r) => setTimeout(r, 20));
    await db.pool.query('UPDATE idempotency_key SET attempt = gen_random_uuid() WHERE key = $1', [key]);
    await client.query('ROLLBACK');
    client.release();
    expect(await slow).toMatchObject({ status: 409, body: { title: expect.stringContaining('took over') } });
    expect(await count('account WHERE email = $1', [body.email])).toBe(0);
  });

  test('kept for a day, then swept', async () => {
    const [key, body] = [randomUUID(), account()];
    await post(body, key);
    api.skip(86_400_000 + 1_000);
    // A new request by the old key: the e-mail address is taken by now.
    expect((await post(body, key)).status).toBe(409);
    for (let i = 0; i < 51; i += 1) await post({ selector: { all: true } }, randomUUID(), '/v1/selectors/preview');
    expect(await count(`idempotency_key WHERE created_at < now() + interval '1 minute'`)).toBe(0);
    api.skip(-86_401_000);
  });

  test.each(['', ' ', 'a b', 'ü', 'x'.repeat(256), '""'])('“%s” is no key', async (key) => {
    const reply = await api.call('POST', '/v1/accounts', {
      body: account(),
      // As bytes: what is no ASCII must not even reach the client's own check.
      headers: { 'idempotency-key': Buffer.from(key).toString('latin1') },
    });
    expect([reply.status, reply.body.errors?.[0]]).toMatchObject([400, { field: 'Idempotency-Key', in: 'header' }]);
  });
});

describe('ETags', () => {
  test('a change with the tag that was read goes through once', async () => {
    await group('tagged', 'a');
    const read = await api.call('GET', '/v1/groups/tagged');
    const etag = read.headers.get('etag') ?? '';
    expect(etag).toMatch(/^"[^"]+"$/);
    const changed = await group('tagged', 'b', { 'if-match': etag });
    expect(changed.status).toBe(200);
    const stale = await group('tagged', 'c', { 'if-match': etag });
    expect(stale).toMatchObject({ status: 412, body: { type: 'urn:ringmaster:problem:precondition-failed' } });
    // The reply to a change has the tag for the next one.
    expect((await group('tagged', 'c', { 'if-match': changed.headers.get('etag') ?? '' })).status).toBe(200);
    expect((await api.call('GET', '/v1/groups/tagged')).body.selector).toEqual({ labels: { tier: 'c' } });
    expect((await api.call('DELETE', '/v1/groups/tagged', { headers: { 'if-match': etag } })).status).toBe(412);
  });

  test('of many changes from one tag one wins, whatever their order', async () => {
    await group('raced', 'a');
    const headers = { 'if-match': (await api.call('GET', '/v1/groups/raced')).headers.get('etag') ?? '' };
    const replies = await Promise.all(Array.from({ length: 8 }, (_, i) => group('raced', `t${i}`, headers)));
    expect(replies.map(({ status }) => status).sort()).toEqual([200, ...Array(7).fill(412)]);
  });

  test('If-None-Match: * makes, and never changes', async () => {
    const replies = await Promise.all(
      Array.from({ length: 6 }, (_, i) => group('made-once', `t${i}`, { 'if-none-match': '*' })),
    );
    expect(replies.map(({ status }) => status).sort()).toEqual([200, ...Array(5).fill(412)]);
    expect((await group('never-made', 'x', { 'if-match': '*' })).status).toBe(412);
  });

  test('an endpoint’s tag stands for what people say about it, not for what it says itself', async () => {
    const { body: join } = await api.call('POST', '/v1/join-tokens', { body: {} });
    const { body } = await simulatedAgent({ url: api.url }).enrol(join.token, { name: 'tagged' });
    const path = `/v1/endpoints/${body.endpointId}`;
    const patch = (labels: object, etag: string) =>
      api.call('PATCH', path, { body: { labels }, headers: { 'if-match': etag } });
    const first = (await api.call('GET', path)).headers.get('etag') ?? '';
    await db.pool.query(`UPDATE endpoint SET last_seen = now() + interval '1 hour' WHERE id = $1`, [body.endpointId]);
    const unchanged = await api.call('GET', path, { headers: { 'if-none-match': first } });
    expect([unchanged.status, unchanged.headers.get('etag') === first]).toEqual([200, false]);
    const changed = await patch({ a: '1' }, first);
    expect(changed.status).toBe(200);
    expect((await patch({ a: '2' }, first)).status).toBe(412);
    expect((await patch({ a: '2' }, changed.headers.get('etag') ?? '')).status).toBe(200);
  });

  test('a GET with the tag is answered 304 without a body, until it changes', async () => {
    for (const path of ['/v1/groups', '/v1/groups/cached']) {
      await group('cached', 'a');
      const headers = { 'if-none-match': `"other", W/${(await api.call('GET', path)).headers.get('etag')}` };
      expect(await api.call('GET', path, { headers })).toMatchObject({ status: 304, body: '' });
      await group('cached', 'b');
      expect((await api.call('GET', path, { headers })).status).toBe(200);
    }
  });

  test.each([
    ['a tag without quotes', 'PUT', '/v1/groups/x', { 'if-match': 'abc' }],
    ['a list that is none', 'GET', '/v1/groups', { 'if-none-match': '"a" "b"' }],
    ['a condition where nothing has a tag', 'POST', '/v1/selectors/preview', { 'if-match': '"a"' }],
  ])('%s is refused, not ignored', async (_, method, path, headers) => {
    const body = method === 'GET' ? {} : { body: { selector: { all: true } } };
    expect((await api.call(method, path, { ...body, headers })).status).toBe(400);
  });
});

describe('rate limits', () => {
  let slow: TestApi;
  let other: TestDatabase;
  beforeAll(async () => {
    other = await createDatabase();
    slow = await startApi({ apiUrl: other.apiUrl, pool: other.pool, rateLimits: { perPerson: 3, perAddress: 8 } });
  }, 60_000);
  afterAll(async () => {
    await slow?.close();
    await other?.drop();
  });

  test('a person, then an address, is asked to wait; agents and pages are not counted', async () => {
    const replies = [];
    for (let i = 0; i < 5; i += 1) replies.push(await slow.call('GET', '/v1/groups'));
    expect(replies.map(({ status }) => status)).toEqual([200, 200, 200, 429, 429]);
    expect(replies.map(({ headers }) => headers.get('ratelimit')?.replace(/;t=.*/, ''))).toEqual(
      [2, 1, 0, 0, 0].map((left) => `"person";r=${left}`),
    );
    expect(replies[0]?.headers.get('ratelimit-policy')).toBe('"person";q=3;w=60');
    expect(replies[4]?.body).toMatchObject({ type: 'urn:ringmaster:problem:too-many-requests', status: 429 });
    expect(Number(replies[4]?.headers.get('retry-after'))).toBeGreaterThan(0);
    const guesses = [];
    for (let i = 0; i < 5; i += 1)
      guesses.push((await slow.call('GET', '/v1/groups', { token: 'rmt_a-guess' })).status);
    expect(guesses).toEqual([401, 401, 401, 429, 429]);
    expect((await slow.call('GET', '/readyz')).status).toBe(200);
    expect((await slow.call('GET', '/sign-in')).status).toBe(200);
  });
});
