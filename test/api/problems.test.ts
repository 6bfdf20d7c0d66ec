/** Bad input, of every kind that docs/api.md names and to every route that could get it: a problem document, never a 500. */
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import type { Json } from '../helpers/agent-client.js';
import { startApi, type TestApi } from '../helpers/api-server.js';
import { createDatabase, type TestDatabase } from '../helpers/postgres.js';
import { repositoryRoot } from '../helpers/repository.js';

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

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Json;
}
interface Request {
  readonly body?: unknown;
  readonly raw?: string;
  readonly token?: string | null;
  readonly headers?: Record<string, string>;
}

const json = { 'content-type': 'application/json' };
const selector = { labels: { a: 'b' } };
const account = () => ({ name: 'x', email: `${randomUUID()}@example.com`, roles: [] as string[] });
const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth);

/** Which types of problem were seen: at the end, all that are documented. */
const seen = new Set<string>();

function requireProblem(answer: Answer, status: number): void {
  expect([answer.status, answer.headers.get('content-type')]).toEqual([
    status,
    expect.stringContaining('application/problem+json'),
  ]);
  expect(answer.body).toMatchObject({
    status,
    title: expect.any(String),
    type: expect.stringMatching(/^urn:ringmaster:problem:[a-z-]+$/),
    instance: `urn:uuid:${answer.headers.get('x-request-id')}`,
  });
  expect(JSON.stringify(answer.body)).not.toMatch(/\bat \/|node_modules|\.[jt]s:\d|SELECT|INSERT/);
  seen.add(answer.body.type.split(':').at(-1));
}

describe('each kind of bad request', () => {
  test.each<[string, string, string, Request, number, string]>([
    ['broken JSON', 'POST', '/v1/accounts', { raw: '{"a":', headers: json }, 400, 'not valid JSON'],
    ['no body', 'POST', '/v1/changes', {}, 400, 'body'],
    ['an array for an object', 'POST', '/v1/changes', { body: [] }, 400, 'expected object'],
    ['an unknown field', 'POST', '/v1/accounts', { body: { ...account(), age: 7 } }, 400, 'age: unknown field'],
    ['a wrong type', 'POST', '/v1/accounts', { body: { ...account(), name: 7 } }, 400, 'name: '],
    [
      'an unknown field far inside',
      'PUT',
      '/v1/groups/x',
      { body: { selector: { al: 1 } } },
      400,
      'selector.al: unknown',
    ],
    ['a name twice', 'POST', '/v1/accounts', { raw: '{"name":"a","name":"b"}', headers: json }, 400, 'twice'],
    ['a prototype', 'POST', '/v1/accounts', { raw: '{"__proto__":{}}', headers: json }, 400, '__proto__'],
    ['no bottom', 'POST', '/v1/accounts', { raw: nested(5_000), headers: json }, 400, 'deep'],
    ['a zero byte', 'PUT', '/v1/groups/x', { body: { selector: { names: ['a\u0000'] } } }, 400, 'characters'],
    [
      'half a character',
      'PUT',
      '/v1/groups/x',
      { raw: '{"selector":{"names":["\\ud800"]}}', headers: json },
      400,
      'char',
    ],
    ['a huge body', 'POST', '/v1/accounts', { raw: `"${'x'.repeat(1_100_000)}"`, headers: json }, 413, 'too-large'],
    [
      'a form',
      'POST',
      '/v1/accounts',
      { raw: 'a=b', headers: { 'content-type': 'text/plain' } },
      415,
      'application/json',
    ],
    [
      'a charset of nowhere',
      'POST',
      '/v1/accounts',
      { raw: '{}', headers: { 'content-type': 'application/json; charset=ebcdic' } },
      415,
      '',
    ],
    [
      'an encoding of nowhere',
      'POST',
      '/v1/accounts',
      { raw: '{}', headers: { ...json, 'content-encoding': 'zip' } },
      415,
      '',
    ],
    [
      'no gzip in gzip',
      'POST',
      '/v1/accounts',
      { raw: '{}', headers: { ...json, 'content-encoding': 'gzip' } },
      400,
      'bad-request',
    ],
    ['a body where there is none', 'POST', `/v1/endpoints/${randomUUID()}/scan`, { body: { a: 1 } }, 400, 'no body'],
    ['an unknown query', 'GET', '/v1/groups?a=1', {}, 400, 'a: unknown field'],
    ['an unknown query among others', 'GET', '/v1/changes?page=2', {}, 400, 'page: unknown field'],
    ['a parameter twice', 'GET', '/v1/endpoints?limit=1&limit=2', {}, 400, 'limit'],
    ['a cursor of nobody', 'GET', '/v1/endpoints?cursor=bm9wZQ', {}, 400, 'cursor'],
    ['a limit of 0', 'GET', '/v1/audit?limit=0', {}, 400, 'limit'],
    ['no id', 'GET', '/v1/changes/first', {}, 400, 'id'],
    ['an id of nothing', 'GET', `/v1/changes/${randomUUID()}`, {}, 404, 'change'],
    ['an undecodable path', 'GET', '/v1/groups/%ff', {}, 400, 'decodable'],
    ['no such path', 'GET', '/v1/nothing', {}, 404, 'no such path'],
    ['another method', 'DELETE', '/v1/groups', {}, 405, 'GET'],
    ['another method where an id could stand', 'GET', '/v1/changes/plan', {}, 405, 'POST'],
    ['nobody', 'GET', '/v1/groups', { token: null }, 401, 'unauthenticated'],
    [
      'a tag without quotes',
      'PUT',
      '/v1/groups/x',
      { body: { selector }, headers: { 'if-match': 'abc' } },
      400,
      'If-Match',
    ],
    [
      'a tag where nothing has one',
      'POST',
      '/v1/accounts',
      { body: account(), headers: { 'if-match': '"a"' } },
      400,
      'If-Match',
    ],
    [
      'a tag of nothing',
      'PUT',
      '/v1/groups/x',
      { body: { selector }, headers: { 'if-match': '*' } },
      412,
      'does not exist',
    ],
    [
      'an empty key',
      'POST',
      '/v1/accounts',
      { body: account(), headers: { 'idempotency-key': '""' } },
      400,
      'Idempotency-Key',
    ],
  ])('%s', async (_, method, path, request, status, text) => {
    const answer = await api.call(method, path, request);
    requireProblem(answer, status);
    expect(JSON.stringify(answer.body)).toContain(text);
    if (status === 401) expect(answer.headers.get('www-authenticate')).toContain('Bearer');
  });

  test('a token that is over, or too narrow', async () => {
    const { body: made } = await api.call('POST', '/v1/accounts', { body: { ...account(), roles: ['Manager'] } });
    const token = async (scopes: string[]) => {
      const body = { name: 't', role: 'Manager', scopes, expiresInSeconds: 600 };
      return (await api.call('POST', `/v1/accounts/${made.id}/tokens`, { body })).body.token as string;
    };
    const [narrow, wide] = [await token(['group.read']), await token([])];
    const narrowed = await api.call('PUT', '/v1/groups/x', { token: narrow, body: { selector } });
    requireProblem(narrowed, 403);
    expect(narrowed.body.detail).toContain('scope');
    api.skip(601_000);
    const over = await api.call('GET', '/v1/groups', { token: wide });
    api.skip(-601_000);
    requireProblem(over, 401);
    expect(over.body.detail).toContain('expired');
  });

  test('a stale ETag', async () => {
    const put = (headers: Record<string, string>) =>
      api.call('PUT', '/v1/groups/stale', { body: { selector }, headers });
    await put({});
    requireProblem(await put({ 'if-match': '"0123456789012345678901"' }), 412);
    requireProblem(await put({ 'if-none-match': '*' }), 412);
  });

  test('a key that came before: with another body, under way, with a secret', async () => {
    const [key, other] = [randomUUID(), randomUUID()];
    const post = (path: string, body: unknown, idempotencyKey: string) =>
      api.call('POST', path, { body, headers: { 'idempotency-key': idempotencyKey } });
    const body = account();
    expect((await post('/v1/accounts', body, key)).status).toBe(201);
    requireProblem(await post('/v1/accounts', { ...body, name: 'y' }, key), 422);
    await db.pool.query('UPDATE idempotency_key SET committed = false, reply = NULL WHERE key = $1', [key]);
    const underWay = await post('/v1/accounts', body, key);
    requireProblem(underWay, 409);
    expect(Number(underWay.headers.get('retry-after'))).toBeGreaterThan(0);
    expect((await post('/v1/join-tokens', {}, other)).status).toBe(201);
    requireProblem(await post('/v1/join-tokens', {}, other), 409);
  });

  test('something that is there already', async () => {
    const body = account();
    await api.call('POST', '/v1/accounts', { body });
    requireProblem(await api.call('POST', '/v1/accounts', { body }), 409);
  });

  test('somebody else changes the same for too long: try again', async () => {
    const client = await db.pool.connect();
    await client.query('BEGIN');
    await client.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 0))', [
      `etag /v1/groups/:name ${JSON.stringify({ name: 'held' })}`,
    ]);
    const answer = await api.call('PUT', '/v1/groups/held', { body: { selector } });
    await client.query('ROLLBACK');
    client.release();
    requireProblem(answer, 503);
    expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
  });

  test('more than is allowed in a minute', async () => {
    const other = await createDatabase();
    const slow = await startApi({
      apiUrl: other.apiUrl,
      pool: other.pool,
      rateLimits: { perPerson: 1, perAddress: 0 },
    });
    try {
      await slow.call('GET', '/v1/groups');
      requireProblem(await slow.call('GET', '/v1/groups'), 429);
    } finally {
      await slow.close();
      await other.drop();
    }
  });

  test.each([
    ['headers beyond measure', `GET /v1/groups HTTP/1.1\r\nhost: x\r\na: ${'x'.repeat(20_000)}\r\n\r\n`, 431],
    ['a path beyond measure', `GET /v1/${'x'.repeat(20_000)} HTTP/1.1\r\nhost: x\r\n\r\n`, 431],
    ['no HTTP', 'HELLO\r\n\r\n', 400],
    ['two lengths', 'POST /v1/groups HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab', 400],
  ])('%s', async (_, text, status) => {
    const { hostname, port } = new URL(api.url);
    const answer = await new Promise<string>((resolve, reject) => {
      const socket = connect(Number(port), hostname, () => socket.write(text));
      let read = '';
      socket.on('data', (data) => {
        read += data;
      });
      socket.on('end', () => resolve(read));
      socket.on('error', reject);
    });
    expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    expect(answer).toContain('application/problem+json');
    const problem = JSON.parse(answer.slice(answer.indexOf('\r\n\r\n')));
    expect(problem).toMatchObject({ status });
    seen.add(problem.type.split(':').at(-1));
  });

  test('HEAD is GET without a body; OPTIONS and 405 say what is possible', async () => {
    const head = await api.call('HEAD', '/v1/groups');
    expect([head.status, head.body, head.headers.has('etag')]).toEqual([200, '', true]);
    const options = await api.call('OPTIONS', '/v1/groups/x', { token: null });
    expect([options.status, options.headers.get('allow')]).toEqual([204, 'GET, PUT, DELETE, HEAD, OPTIONS']);
    expect((await api.call('POST', '/v1/groups/x')).headers.get('allow')).toBe('GET, PUT, DELETE, HEAD, OPTIONS');
  });
});

describe('every route', () => {
  interface Operation {
    readonly method: string;
    readonly path: string;
    /** The media type of its body; undefined: it takes none. */
    readonly type: string | undefined;
    readonly statuses: readonly string[];
  }

  const operations = async (): Promise<Operation[]> => {
    const { body: document } = await api.call('GET', '/v1/openapi.json', { token: null });
    return Object.entries<Record<string, Json>>(document.paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, operation]) => ({
        method: method.toUpperCase(),
        path: path.replaceAll(/\{(\w+)\}/g, (_, name: string) =>
          /id$/i.test(name) ? randomUUID() : name === 'kind' ? 'itOwner' : 'nothing',
        ),
        type: Object.keys(operation.requestBody?.content ?? {})[0],
        statuses: Object.keys(operation.responses),
      })),
    );
  };

  test.each<[string, number, (operation: Operation) => Request | null]>([
    ['a parameter nobody knows', 400, () => ({})],
    ['a field nobody knows', 400, ({ type }) => (type === 'application/json' ? { body: { nobodyKnows: 1 } } : null)],
    ['null for a body', 400, ({ type }) => (type === 'application/json' ? { raw: 'null', headers: json } : null)],
    ['no JSON', 400, ({ type }) => (type === 'application/json' ? { raw: '{', headers: json } : null)],
    [
      'a body without a bottom',
      400,
      ({ type }) => (type === 'application/json' ? { raw: nested(99), headers: json } : null),
    ],
    [
      'another media type',
      415,
      ({ method }) => (method === 'GET' ? null : { raw: 'a', headers: { 'content-type': 'image/png' } }),
    ],
    [
      'a huge body',
      413,
      // Uploads are read as they arrive, up to limits of their own (test/baselines/import.test.ts).
      ({ method, type }) =>
        method === 'GET' || type === 'application/xml'
          ? null
          : { raw: ' '.repeat(1_100_000), headers: { 'content-type': type ?? 'application/json' } },
    ],
    ['a tag that is none', 400, ({ method }) => (method === 'GET' ? null : { headers: { 'if-match': 'x' } })],
    ['a token nobody made', 401, () => ({ token: 'rmt_nobody-made-this' })],
  ])('refuses %s', async (what, status, requestOf) => {
    let asked = 0;
    for (const operation of await operations()) {
      const request = requestOf(operation);
      if (request === null) continue;
      const { method, path, statuses } = operation;
      const query = what.startsWith('a parameter') ? '?nobodyKnows=1' : '';
      const answer = await api.call(method, path + query, request);
      if (answer.status !== status)
        throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
      requireProblem(answer, status);
      expect(statuses).toContain(`${status}`);
      if (what.endsWith('nobody knows')) expect(JSON.stringify(answer.body.errors)).toContain('nobodyKnows');
      asked += 1;
    }
    expect(asked).toBeGreaterThan(30);
  });
});

test('every type of problem that docs/api.md names was seen above, and no other', () => {
  const text = readFileSync(join(repositoryRoot, 'docs/api.md'), 'utf8');
  const rows = text.split('\n').filter((line) => /^\| \d{3} /.test(line));
  const documented = rows.flatMap((row) =>
    [...(row.split('|')[2] ?? '').matchAll(/`([a-z-]+)`/g)].map(([, type]) => type),
  );
  expect(documented.length).toBeGreaterThan(10);
  // Nobody waits here for five minutes until a request is thought dead.
  expect([...seen, 'request-timeout'].sort()).toEqual([...new Set(documented)].sort());
});
