/** PostgreSQL stopped and started again under a running web tier, and the web tier's own start and stop. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import WebSocket from 'ws';
import { createPool } from '../../db/pool.js';
import { generateSigningKeyPem, signingKeyFromPem } from '../../protocol/envelope.js';
import { simulatedAgent } from '../helpers/agent-client.js';
import { type ApiProcess, type BuiltApi, buildApi, eventually, startApiProcess } from '../helpers/api-process.js';
import { publishRoot } from '../helpers/api-server.js';
import { freePorts } from '../helpers/ports.js';
import { createDatabase, startPostgres } from '../helpers/postgres.js';

const TOKEN = 'rmt_outage-test';
let built: BuiltApi;
let work: string;
let data: string;

beforeAll(async () => {
  built = await buildApi();
  work = mkdtempSync(join(tmpdir(), 'ringmaster-outage-'));
  data = mkdtempSync(join(tmpdir(), 'ringmaster-outage-pg-'));
}, 60_000);
afterAll(() => {
  built?.remove();
  for (const folder of [work, data]) rmSync(folder, { recursive: true, force: true });
});

const get = async (api: ApiProcess, path: string, headers: Record<string, string> = {}) => {
  const reply = await fetch(`${api.url}${path}`, { headers });
  const text = await reply.text();
  return { status: reply.status, headers: reply.headers, body: text.startsWith('{') ? JSON.parse(text) : text };
};
const asAdmin = { authorization: `Bearer ${TOKEN}` };

describe('PostgreSQL away', () => {
  test('means 503 and waiting, not a crash; it comes back by itself', async () => {
    const [port = 0] = await freePorts(1);
    const first = await startPostgres({ data, durable: true, port });
    const database = await createDatabase({ server: first });
    await publishRoot(database.pool, signingKeyFromPem(generateSigningKeyPem()));
    await database.pool.end();
    const api = await startApiProcess(built.main, {
      DATABASE_URL: database.apiUrl,
      RINGMASTER_DATA: work,
      RINGMASTER_BOOTSTRAP_TOKEN: TOKEN,
      RINGMASTER_LOG_LEVEL: 'warn',
    });
    try {
      await eventually(
        () => get(api, '/v1/changes', asAdmin),
        (reply) => reply.status === 200,
      );
      expect((await get(api, '/readyz')).body).toMatchObject({ status: 'ready', away: ['worker', 'temporal'] });
      const token = await fetch(`${api.url}/v1/join-tokens`, {
        method: 'POST',
        headers: { ...asAdmin, 'content-type': 'application/json' },
        body: '{}',
      }).then(async (reply) => ((await reply.json()) as { token: string }).token);
      const agent = simulatedAgent({ url: api.url });
      expect((await agent.enrol(token)).status).toBe(200);
      const { init } = agent.signed({ path: '/agent/v1/wake' });
      const socket = new WebSocket(`${api.url.replace('http', 'ws')}/agent/v1/wake`, {
        headers: init.headers as Record<string, string>,
      });
      await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
      const hints: string[] = [];
      socket.on('message', (hint) => hints.push(String(hint)));

      await first.stop();
      const away = await eventually(
        () => get(api, '/v1/changes', asAdmin),
        (reply) => reply.status === 503,
      );
      expect(away.headers.get('content-type')).toContain('application/problem+json');
      expect(Number(away.headers.get('retry-after'))).toBeGreaterThan(0);
      expect(await get(api, '/healthz')).toMatchObject({ status: 200, body: { status: 'alive' } });
      expect(await get(api, '/readyz')).toMatchObject({
        status: 503,
        body: { status: 'notReady', away: ['postgresql', 'worker', 'temporal'] },
      });
      expect((await get(api, '/metrics')).body).toContain('ringmaster_database_up');
      const poll = await agent.poll();
      expect(poll).toMatchObject({
        status: 503,
        body: { serverTime: expect.any(Number), error: expect.stringContaining('database') },
      });

      const second = await startPostgres({ data, durable: true, port, passwords: first.passwords });
      try {
        await eventually(
          () => get(api, '/v1/changes', asAdmin),
          (reply) => reply.status === 200,
        );
        expect((await agent.poll({ journalSeq: 2 })).status).toBe(200);
        const pool = createPool({ url: database.url, applicationName: 'test' });
        // What was gathered while it was away is written once it is back.
        await eventually(
          async () => (await pool.query('SELECT last_journal_seq AS seq FROM endpoint')).rows[0].seq,
          (seq) => seq === 2,
        );
        // The wake-up channel listens again, and tells everybody that something may have been missed.
        await eventually(
          async () => hints.length,
          (count) => count > 0,
        );
        await pool.end();
        socket.terminate();
        expect(await api.stop()).toBe(0);
      } finally {
        await second.stop();
      }
    } finally {
      api.child.kill('SIGKILL');
    }
  }, 120_000);

  test('at the start: it serves, and the administrator appears once the database does', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'ringmaster-late-pg-'));
    const [port = 0] = await freePorts(1);
    const seed = await startPostgres({ data: folder, durable: true, port });
    const database = await createDatabase({ server: seed });
    await database.pool.end();
    await seed.stop();
    const api = await startApiProcess(built.main, {
      DATABASE_URL: database.apiUrl,
      RINGMASTER_DATA: work,
      RINGMASTER_BOOTSTRAP_TOKEN: TOKEN,
      RINGMASTER_LOG_LEVEL: 'silent',
    });
    try {
      await eventually(
        () => get(api, '/healthz'),
        (reply) => reply.status === 200,
      );
      expect((await get(api, '/readyz')).status).toBe(503);
      const late = await startPostgres({ data: folder, durable: true, port, passwords: seed.passwords });
      try {
        await eventually(
          () => get(api, '/v1/changes', asAdmin),
          (reply) => reply.status === 200,
        );
        expect(await api.stop()).toBe(0);
      } finally {
        await late.stop();
      }
    } finally {
      api.child.kill('SIGKILL');
      rmSync(folder, { recursive: true, force: true });
    }
  }, 120_000);
});

describe('the program', () => {
  test.each([
    ['DATABASE_URL', {}, 'DATABASE_URL is not set'],
    ['another database', { DATABASE_URL: 'mysql://x' }, 'DATABASE_URL must look like'],
    ['a port', { DATABASE_URL: 'postgresql://a@b/c', RINGMASTER_PORT: '99999' }, 'RINGMASTER_PORT'],
    [
      'a short token',
      { DATABASE_URL: 'postgresql://a@b/c', RINGMASTER_BOOTSTRAP_TOKEN: 'abc' },
      'RINGMASTER_BOOTSTRAP_TOKEN',
    ],
  ])('refuses to start without, or with a wrong, %s, and names it', async (_, env, text) => {
    const api = await startApiProcess(built.main, { RINGMASTER_DATA: work, ...env });
    expect(await api.exit).toBe(1);
    expect(api.output()).toContain(text);
    expect(api.output()).not.toContain('abc');
  });

  test('says so when its port is taken', async () => {
    const env = { DATABASE_URL: 'postgresql://nobody@127.0.0.1:1/none', RINGMASTER_DATA: work };
    const one = await startApiProcess(built.main, env);
    try {
      await eventually(
        () => get(one, '/healthz'),
        (reply) => reply.status === 200,
      );
      const two = await startApiProcess(built.main, { ...env, RINGMASTER_PORT: new URL(one.url).port });
      expect(await two.exit).toBe(1);
      expect(two.output()).toContain(`can't listen on 127.0.0.1:${new URL(one.url).port}`);
    } finally {
      expect(await one.stop()).toBe(0);
    }
  });
});
