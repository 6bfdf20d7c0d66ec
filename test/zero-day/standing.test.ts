/** What many exposed endpoints come down to: all of them are counted, and the list goes through all of them, page by page. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { insertZeroDay } from '../../db/zero-day/zero-day.js';
import { startApi, type TestApi } from '../helpers/api-server.js';
import { createDatabase, type TestDatabase } from '../helpers/postgres.js';
import { seedPolicy } from '../helpers/seed-change.js';

/** More than is judged at once. */
const ENDPOINTS = 4_700;
const WITHOUT_FIX = 300;

let db: TestDatabase;
let api: TestApi;
let id: string;
beforeAll(async () => {
  db = await createDatabase();
  api = await startApi({ apiUrl: db.apiUrl, pool: db.pool });
  await seedPolicy(db.pool, { name: 'open' });
  await db.pool.query(
    `INSERT INTO endpoint (id, name, public_key, zone, last_seen)
     SELECT gen_random_uuid(), 'web-' || lpad(n::text, 6, '0'), n::text, 'UTC', now() FROM generate_series(1, $1) AS n`,
    [ENDPOINTS],
  );
  await db.pool.query(
    `INSERT INTO scan (id, endpoint_id, started_at, received_at, complete, provider)
     SELECT gen_random_uuid(), id, now(), now(), true, 'apt' FROM endpoint`,
  );
  await db.pool.query(
    `INSERT INTO installed_package (endpoint_id, name, arch, version, source, source_version, scan_id)
     SELECT endpoint_id, 'openssl', 'amd64', '3.0.1', 'openssl', '3.0.1', id FROM scan`,
  );
  await db.pool.query(
    `INSERT INTO available_update (endpoint_id, name, arch, installed, candidate, scan_id)
     SELECT s.endpoint_id, 'openssl', 'amd64', '3.0.1', '3.0.9', s.id FROM scan s JOIN endpoint e ON e.id = s.endpoint_id
      WHERE e.public_key::int > $1`,
    [WITHOUT_FIX],
  );
  const client = await db.pool.connect();
  id = await insertZeroDay(client, {
    name: 'openssl',
    reason: 'a test',
    request: {
      cves: [],
      packages: [{ name: 'openssl', minVersion: '3.0.9' }],
      override: { hours: false, freezes: false },
    },
    targets: [
      { asked: 'openssl', kind: 'package', name: 'openssl', source: 'openssl', fixedIn: ['3.0.9'], below: '3.0.9' },
    ],
    scope: null,
    requestedBy: 'test',
    dueAt: Date.now() + 3_600_000,
    exposed: ENDPOINTS,
    now: Date.now(),
  });
  client.release();
  await db.pool.query(
    'INSERT INTO zero_day_endpoint (zero_day_id, endpoint_id, exposed_since) SELECT $1, id, now() FROM endpoint',
    [id],
  );
  await db.pool.query('ANALYZE');
}, 120_000);
afterAll(async () => {
  await api?.close();
  await db?.drop();
});

test('every exposed endpoint is counted, however many there are', async () => {
  const { status, body } = await api.call('GET', `/v1/zero-day/${id}`);
  expect([status, body.counts]).toEqual([200, { exposed: ENDPOINTS, fixed: 0, meanSecondsToPatch: null }]);
  expect(body.standing).toEqual({
    counted: ENDPOINTS,
    byState: { waiting: ENDPOINTS - WITHOUT_FIX, noFix: WITHOUT_FIX },
    byReason: { notInChange: ENDPOINTS - WITHOUT_FIX },
    nextSteps: [
      {
        action: 'start',
        endpoints: ENDPOINTS - WITHOUT_FIX,
        text: expect.stringContaining(`/v1/zero-day/${id}/start`),
      },
      { action: 'scan', endpoints: WITHOUT_FIX, text: expect.any(String) },
    ],
  });
}, 60_000);

test('and listed, each once', async () => {
  const seen: string[] = [];
  for (let cursor: string | null = null, first = true; first || cursor !== null; first = false) {
    const at: string = cursor === null ? '' : `&cursor=${encodeURIComponent(cursor)}`;
    const { status, body } = await api.call('GET', `/v1/zero-day/${id}/exposure?limit=500${at}`);
    expect([status, body.detail]).toEqual([200, undefined]);
    seen.push(...body.items.map((item: { name: string }) => item.name));
    cursor = body.next;
  }
  expect(seen).toHaveLength(ENDPOINTS);
  expect([...new Set(seen)].sort()).toEqual(seen);
}, 60_000);
