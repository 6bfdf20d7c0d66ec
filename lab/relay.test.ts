import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Relay, startRelay } from './relay.js';

describe('relay', () => {
  const dir = mkdtempSync(join(tmpdir(), 'relay-test-'));
  const asked: string[] = [];
  let upstream: Server;
  let relay: Relay;

  const start = async (): Promise<Relay> => {
    const { port } = upstream.address() as AddressInfo;
    return startRelay({
      address: '127.0.0.1',
      port: 0,
      cacheDir: join(dir, 'cache'),
      upstreams: new Map([['debian', `http://127.0.0.1:${port}/archive`]]),
      repositoryDir: join(dir, 'repo'),
    });
  };
  beforeAll(async () => {
    mkdirSync(join(dir, 'repo'));
    writeFileSync(join(dir, 'repo/file'), 'ours');
    writeFileSync(join(dir, 'secret'), 'not to be seen');
    upstream = createServer((req, res) => {
      asked.push(req.url ?? '');
      if (req.url?.includes('missing')) res.writeHead(404).end();
      else res.setHeader('Last-Modified', 'Thu, 01 Jan 2026 00:00:00 GMT').end(`bytes of ${req.url}`);
    });
    await new Promise<void>((done) => upstream.listen(0, '127.0.0.1', done));
    relay = await start();
  });
  afterAll(async () => {
    await relay.close();
    await new Promise((done) => upstream.close(done));
    rmSync(dir, { recursive: true, force: true });
  });

  /** A request as a proxy gets it: the path is a whole URL, and nothing is normalised on the way. */
  const get = (path: string, headers: Record<string, string> = {}, port = relay.port) =>
    new Promise<{ status: number; body: string; headers: Record<string, unknown> }>((resolve, reject) => {
      request({ host: '127.0.0.1', port, path, headers }, (res) => {
        let body = '';
        res.on('data', (chunk) => {
          body += chunk;
        });
        res.on('end', () => resolve({ status: res.statusCode ?? 0, body, headers: res.headers }));
      })
        .on('error', reject)
        .end();
    });

  test('a package is fetched once, whoever asks and however often, also by the next relay', async () => {
    const path = 'http://mirror.lab.test/debian/pool/a.deb';
    const answers = await Promise.all([get(path), get(path), get('/debian/pool/a.deb')]);
    for (const answer of answers) expect(answer).toMatchObject({ status: 200, body: 'bytes of /archive/pool/a.deb' });
    const next = await start();
    expect((await get(path, {}, next.port)).body).toBe('bytes of /archive/pool/a.deb');
    await next.close();
    expect(asked.filter((url) => url === '/archive/pool/a.deb')).toHaveLength(1);
  });

  test('an index is fetched once per relay', async () => {
    await get('/debian/dists/x/InRelease');
    await get('/debian/dists/x/InRelease');
    const next = await start();
    await get('/debian/dists/x/InRelease', {}, next.port);
    await next.close();
    expect(asked.filter((url) => url === '/archive/dists/x/InRelease')).toHaveLength(2);
  });

  test('unchanged since, and the rest of a broken download', async () => {
    const fresh = await get('/debian/b.deb');
    expect(fresh.headers['last-modified']).toBe('Thu, 01 Jan 2026 00:00:00 GMT');
    expect(await get('/debian/b.deb', { 'if-modified-since': 'Thu, 01 Jan 2026 00:00:00 GMT' })).toMatchObject({
      status: 304,
      body: '',
    });
    const rest = await get('/debian/b.deb', { range: 'bytes=9-' });
    expect(rest).toMatchObject({ status: 206, body: '/archive/b.deb' });
    expect(rest.headers['content-range']).toBe('bytes 9-22/23');
  });

  test.each([
    ['what upstream lacks', '/debian/missing.deb', 404],
    ['a segment nobody serves', '/ubuntu/x', 404],
    ['another server', 'http://elsewhere.example/debian/a.deb', 403],
    ['out of the repository', '/lab/..%2f..%2fsecret', 403],
    ['out of the repository, plainly', '/lab/../secret', 404],
    ['a folder', '/lab/', 403],
    ['our repository', '/lab/file', 200],
  ])('%s', async (_, path, status) => {
    const answer = await get(path);
    expect(answer.status).toBe(status);
    expect(answer.body).not.toContain('not to be seen');
  });
});
