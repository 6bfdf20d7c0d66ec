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

test('a zero-day is told below which version, where, and what it may override', async () => {
  script = [{ status: 200, body: { id: 'z-1', changeId: null, exposed: 0, offered: 0, note: 'nobody has it.' } }];
  const flags = ['--package', 'bash', '--package', 'zlib', '--min-version', 'bash=5.2', '--scope', 'site = graz'];
  const { code, stdout } = await cli(
    ...['zero-day', ...flags, '--override', 'hours', '--override', 'freezes', '--reason', 'r', '--yes'],
  );
  expect([code, stdout]).toEqual([0, expect.stringContaining('No change was started.')]);
  expect(JSON.parse(asked[0]?.body ?? '')).toEqual({
    packages: [{ name: 'bash', minVersion: '5.2' }, 'zlib'],
    scope: { where: 'site = graz' },
    override: { hours: true, freezes: true },
    reason: 'r',
  });
});

test.each([
  ['--min-version', '5.2', '--package', 'a', '--package', 'b'],
  ['--min-version', 'c=5.2', '--package', 'a'],
  ['--override', 'approvals', '--package', 'a'],
  [],
])('a zero-day with %s %s … is refused before anybody is asked', async (...flags) => {
  const { code } = await cli('zero-day', ...flags, '--reason', 'r', '--yes');
  expect([code, asked.length]).toEqual([2, 0]);
});

const zeroDay = {
  id: '0a0a0a0a-0000-4000-8000-000000000001',
  name: 'Zero-day bash',
  reason: 'in the wild',
  dueAt: '2026-12-24T00:00:00Z',
  secondsLeft: 93_784,
  overdue: false,
  counts: { exposed: 1, fixed: 2, meanSecondsToPatch: 3_700 },
};

test('zero-days are listed, and one is shown with what stays exposed and why', async () => {
  script = [{ status: 200, body: { items: [zeroDay], next: null } }];
  const listed = await cli('zero-day', 'list', '--open', '--utc');
  expect(listed.stdout).toMatch(/Zero-day bash +1 +2 .*1 d 2 h/);
  expect(asked[0]?.request.url).toContain('open=true');
  const detail = {
    ...zeroDay,
    changes: [{ id: 'c-1', stage: 'deploy', outcome: null, waitingFor: 'a person' }],
    standing: { nextSteps: [{ endpoints: 1, text: 'decide on the open approval requests' }] },
  };
  const exposed = { name: 'web-1', state: 'waiting', reason: 'ring 0 waits for approval' };
  script = [
    { status: 200, body: { items: [zeroDay], next: null } },
    { status: 200, body: detail },
    { status: 200, body: { items: [exposed], next: null } },
  ];
  const { stdout } = await cli('zero-day', 'show', 'Zero-day bash', '--utc');
  for (const words of [
    '2, after 1 h 1 min on average',
    'c-1 deploy: a person',
    'decide on the open approval requests (1)',
  ])
    expect(stdout).toContain(words);
  expect(stdout).toMatch(/web-1 +waiting +ring 0 waits for approval/);
});

test('one endpoint is patched, and tells why it is not', async () => {
  const id = '0a0a0a0a-0000-4000-8000-000000000002';
  script = [{ status: 201, body: { changeId: 'c-1', name: 'Patch web-1', approvals: 1, waitsFor: ['it is frozen'] } }];
  const { stdout } = await cli('endpoints', 'patch', id, '--package', 'zlib', '--reason', 'r');
  expect(stdout).toMatch(/Started c-1 \(Patch web-1\). It waits for an approval first.\nBesides: it is frozen./);
  expect(asked[0]?.request.url).toBe(`/v1/endpoints/${id}/patch`);
  expect(JSON.parse(asked[0]?.body ?? '')).toEqual({ reason: 'r', packages: ['zlib'], cves: [] });
  script = [
    {
      status: 200,
      body: { sentence: 'web-1: it is offline.', chain: [{ text: 'it is offline' }, { text: 'it is frozen' }] },
    },
  ];
  expect((await cli('endpoints', 'why', id, '--package', 'zlib')).stdout).toBe(
    'web-1: it is offline.\n  and it is frozen\n',
  );
  expect(asked[1]?.request.url).toBe(`/v1/endpoints/${id}/why?package=zlib`);
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
