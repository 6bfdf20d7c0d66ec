import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { runCli } from '../helpers/cli.js';

/** What the server answers to each request in turn; null: nothing, ever. */
type Scripted = { status: number; body: unknown; headers?: Record<string, string> } | null;

let server: Server;
let url: string;
let script: Scripted[] = [];
let asked: { request: IncomingMessage; body: string }[] = [];

beforeAll(async () => {
  server = createServer((request, response) => {
    let body = '';
    request.on('data', (part) => {
      body += part;
    });
    request.on('end', () => {
      asked.push({ request, body });
      const next = script.shift() ?? null;
      if (next === null) return;
      response.writeHead(next.status, { 'content-type': 'application/json', ...next.headers });
      response.end(JSON.stringify(next.body));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
beforeEach(() => {
  asked = [];
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

const cli = (...args: string[]) => runCli(args, { url, token: 'rmt_secret-secret' });
const away = {
  status: 503,
  body: { title: 'Temporarily not available', detail: 'x' },
  headers: { 'retry-after': '0' },
};

test('a zero-day is asked for again with the same key while the server can’t, or is still at it', async () => {
  const busy = { status: 409, body: { type: 'urn:ringmaster:problem:idempotency-key-in-flight' } };
  script = [
    away,
    { ...busy, headers: { 'retry-after': '0' } },
    { status: 201, body: { id: 'z-1', changeId: 'c-1', exposed: 2, offered: 2, note: 'n' } },
  ];
  const args = [
    'zero-day',
    'CVE-2026-1234',
    '--package',
    'bash',
    '--reason',
    'r',
    '--due',
    '2026-12-24T00:00:00Z',
    '--yes',
  ];
  expect(await cli(...args)).toMatchObject({ code: 0, stdout: expect.stringContaining('Started c-1') });
  expect(asked.map(({ request }) => `${request.method} ${request.url}`)).toEqual(Array(3).fill('POST /v1/zero-day'));
  expect(new Set(asked.map(({ body }) => body)).size).toBe(1);
  const keys = new Set(asked.map(({ request }) => request.headers['idempotency-key']));
  expect(keys.size).toBe(1);
  expect([...keys][0]).toMatch(/^[0-9a-f-]{36}$/);
  expect(JSON.parse(asked[0]?.body ?? '')).toEqual({
    cves: ['CVE-2026-1234'],
    packages: ['bash'],
    reason: 'r',
    dueAt: '2026-12-24T00:00:00Z',
  });
});

test('what stays away is reported as unreachable, without the token', async () => {
  script = [away, away, away, away, away];
  const { code, stderr } = await cli('endpoints');
  expect({ code, asked: asked.length }).toEqual({ code: 3, asked: 4 });
  expect(stderr).not.toContain('secret');
});

test('a server that says nothing runs into the time-out', async () => {
  script = [null];
  expect(await cli('endpoints', '--request-timeout', '0.3')).toMatchObject({
    code: 7,
    stderr: expect.stringContaining('0.3 s'),
  });
});

test.each<[number, number]>([
  [400, 2],
  [401, 4],
  [403, 4],
  [404, 5],
  [409, 6],
  [412, 6],
  [429, 6],
  [500, 1],
])('HTTP %i ends with %i', async (status, code) => {
  script = [
    {
      status,
      body: { title: 'No', errors: [{ field: 'a.b', in: 'body', reason: 'is wrong' }], instance: 'urn:uuid:42' },
    },
  ];
  expect(await cli('endpoints')).toMatchObject({
    code,
    stdout: '',
    stderr: expect.stringMatching(/^error: No\n {2}a\.b: is wrong\n[\s\S]* {2}request id: 42\n$/),
  });
});

test('pages are followed to the end, and no further than asked', async () => {
  const page = (name: string, next: string | null) => ({
    status: 200,
    body: {
      items: [{ id: name, name, state: 'active', stateReason: null, labels: {}, holdUntil: null, availableUpdates: 0 }],
      next,
    },
  });
  script = [page('a', 'c1'), page('b', null)];
  expect(JSON.parse((await cli('endpoints', '--json')).stdout)).toMatchObject({
    items: [{ name: 'a' }, { name: 'b' }],
    more: false,
  });
  expect(asked[1]?.request.url).toContain('cursor=c1');
  script = [page('a', 'c1'), page('b', null)];
  expect(JSON.parse((await cli('endpoints', '--json', '--limit', '1')).stdout)).toMatchObject({
    items: [{ name: 'a' }],
    more: true,
  });
});

test('an answer of something else is not mistaken for one of ours', async () => {
  script = [{ status: 200, body: '<html>', headers: { 'content-type': 'text/html' } }];
  expect((await cli('endpoints')).code).toBe(3);
});
