import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { ROLES } from '../../domain/identity/permissions.js';
import { simulatedAgent } from '../helpers/agent-client.js';
import { startApi, type TestApi } from '../helpers/api-server.js';
import { createDatabase, type TestDatabase } from '../helpers/postgres.js';

// The machine may be busy with other suites; nothing here is about speed.
jest.setTimeout(60_000);

let db: TestDatabase;
let api: TestApi;
const tokens: Record<string, string> = {};
const accounts: Record<string, string> = {};

beforeAll(async () => {
  db = await createDatabase();
  api = await startApi({ apiUrl: db.apiUrl, pool: db.pool });
  for (const role of [...ROLES, 'none'] as const) {
    const roles = role === 'none' ? [] : [role];
    const made = await api.call('POST', '/v1/accounts', { body: { name: role, email: `${role}@example.com`, roles } });
    accounts[role] = made.body.id;
    const body = { name: 'test', role: role === 'none' ? 'Administrator' : role, expiresInSeconds: null };
    tokens[role] = (await api.call('POST', `/v1/accounts/${made.body.id}/tokens`, { body })).body.token;
  }
}, 60_000);
afterAll(async () => {
  await api?.close();
  await db?.drop();
});

const enrol = async (name = 'host'): Promise<string> => {
  const { body } = await api.call('POST', '/v1/join-tokens', { body: {} });
  return (await simulatedAgent({ url: api.url }).enrol(body.token, { name })).body.endpointId;
};
const ring = {
  name: 'test',
  select: { labels: { env: 'test' } },
  maxInFlight: 5,
  errorBudget: { count: 0 },
  successThresholdPercent: 100,
  minSample: 1,
  soakMinutes: 0,
  approvals: [],
  deadlineMinutes: 600,
  haltAction: 'pause',
};
const spec = {
  kind: 'patch',
  name: 'November',
  reason: 'monthly cycle',
  scope: { all: true },
  rings: [ring],
  priority: 0,
  deadlineMinutes: 10_080,
  offlineAfterMinutes: 60,
  parameters: {},
};
const change = async (body: object = spec): Promise<string> => {
  const made = await api.call('POST', '/v1/changes', { body });
  expect(made.status).toBe(201);
  return made.body.id;
};
const outbox = async (workflowId: string) =>
  (await db.pool.query('SELECT topic, payload FROM outbox WHERE workflow_id = $1 ORDER BY created_at', [workflowId]))
    .rows;
const audit = async (subject: string) =>
  (await db.pool.query('SELECT actor, action FROM audit_entry WHERE subject = $1 ORDER BY id', [subject])).rows;

describe('changes', () => {
  test('intent, outbox and audit are written together, and nothing else', async () => {
    const id = await change();
    expect(await outbox(`change/${id}`)).toEqual([{ topic: 'startChange', payload: { changeId: id } }]);
    expect((await audit(`change/${id}`)).map((a) => a.action)).toEqual(['change.requested']);
    const read = await api.call('GET', `/v1/changes/${id}`);
    expect(read.body).toMatchObject({ stage: 'requested', outcome: null, halted: false, rings: [], spec, plan: null });
    expect(Date.parse(read.body.deadline) - Date.parse(read.body.requestedAt)).toBe(10_080 * 60_000);
    const listed = await api.call('GET', '/v1/changes?open=true&limit=1');
    expect(listed.body).toMatchObject({ items: [{ id }] });
  });

  test.each([
    ['a bare number as budget', { rings: [{ ...ring, errorBudget: 3 }] }, 'rings[0].errorBudget'],
    ['no threshold', { rings: [{ ...ring, successThresholdPercent: undefined }] }, 'rings[0].successThresholdPercent'],
    ['a kind nobody knows', { kind: 'magic' }, 'kind: no such kind of change: magic'],
    ['parameters the kind does not have', { parameters: { includes: 'all' } }, 'parameters'],
    ['a group nobody made', { scope: { groups: ['ghost'] } }, 'scope.groups[0]: no such group: ghost'],
    [
      'an approver who does not exist',
      {
        rings: [
          {
            ...ring,
            approvals: [
              {
                from: { accounts: [randomUUID()] },
                quorum: 1,
                remindEveryMinutes: 60,
                escalateAfterMinutes: 60,
                escalateTo: { role: 'Manager' },
                expireAfterMinutes: 120,
                highRisk: false,
              },
            ],
          },
        ],
      },
      'rings[0].approvals[0].from.accounts[0]: no such account',
    ],
  ])('%s is refused by name, and nothing is kept', async (_, wrong, text) => {
    const count = async () => (await db.pool.query('SELECT count(*) AS n FROM change')).rows[0].n;
    const before = await count();
    const reply = await api.call('POST', '/v1/changes', { body: { ...spec, ...wrong } });
    expect([reply.status, reply.body.detail]).toEqual([400, expect.stringContaining(text)]);
    expect(await count()).toBe(before);
  });

  test('a stop is a row before it is answered; everything is told to the workflow', async () => {
    const id = await change();
    await db.pool.query(
      `INSERT INTO ring (change_id, ordinal, name, spec, state) VALUES ($1, 0, 'test', '{}', 'open')`,
      [id],
    );
    const say = (verb: string, body: object = {}) =>
      api.call('POST', `/v1/changes/${id}/${verb}`, { body, token: tokens.Manager ?? '' });
    const paused = await say('pause', { reason: 'looks odd' });
    expect(paused).toMatchObject({ status: 202, body: { outstanding: 0, mayStillStartUntil: null } });
    expect((await api.call('GET', `/v1/changes/${id}`)).body).toMatchObject({
      halted: true,
      haltVerb: 'pause',
      haltedBy: accounts.Manager,
      rings: [{ halted: true, haltReason: 'looks odd' }],
    });
    const endpointId = randomUUID();
    expect((await say('resume')).status).toBe(202);
    expect((await say('skip', { endpointId, reason: 'broken disk' })).status).toBe(202);
    expect((await say('retry-failed', { ring: 0 })).status).toBe(202);
    expect((await say('rollback', { reason: 'bad patch', ring: 0 })).status).toBe(202);
    const replans = async (rows: string) => {
      await db.pool.query(rows, [id]);
      const { status, body } = await say('replan', { reason: 'the till is excepted' });
      return [status, body.detail];
    };
    expect(await replans(`UPDATE ring SET state = 'open' WHERE change_id = $1`)).toEqual([
      409,
      expect.stringContaining('no plan yet'),
    ]);
    expect(await replans('UPDATE change SET plan_revision = 1 WHERE id = $1')).toEqual([
      409,
      expect.stringContaining('ring 0 is under way'),
    ]);
    expect(await replans(`UPDATE ring SET state = 'passed' WHERE change_id = $1`)).toEqual([
      409,
      expect.stringContaining('every ring has had its turn'),
    ]);
    const another = `INSERT INTO ring (change_id, ordinal, name, spec, state) VALUES ($1, 1, 'rest', '{}', 'waiting')`;
    expect(await replans(another)).toEqual([202, undefined]);
    expect((await say('abort', { reason: 'enough' })).status).toBe(202);
    const told = (await outbox(`change/${id}`)).slice(1);
    expect(told.map((row) => row.payload)).toMatchObject([
      { verb: 'pause', by: accounts.Manager, reason: 'looks odd' },
      { verb: 'resume' },
      { verb: 'skip', endpointId, reason: 'broken disk' },
      { verb: 'retryFailed', ring: 0 },
      { verb: 'rollback', ring: 0, ignoreWindows: false, reason: 'bad patch' },
      { verb: 'replan', reason: 'the till is excepted' },
      { verb: 'abort', reason: 'enough' },
    ]);
    expect((await audit(`change/${id}`)).map((a) => a.action)).toEqual([
      'change.requested',
      'change.pause',
      'change.resume',
      'change.skip',
      'change.retryFailed',
      'change.rollback',
      'change.replan',
      'change.abort',
    ]);
    await db.pool.query(`UPDATE change SET closed_at = now(), stage = 'closed', outcome = 'aborted' WHERE id = $1`, [
      id,
    ]);
    expect((await say('resume')).status).toBe(409);
  });

  test.each([
    ['abort', {}, 'reason'],
    ['rollback', { reason: 'x', ring: -1 }, 'ring'],
    ['skip', { reason: 'x' }, 'endpointId'],
    ['pause', { ring: 1 }, 'ring: unknown field'],
  ])('%s with %j is refused by name', async (verb, body, text) => {
    const reply = await api.call('POST', `/v1/changes/${await change()}/${verb}`, { body });
    expect([reply.status, reply.body.detail]).toEqual([400, expect.stringContaining(text)]);
  });

  test('stop-all halts every open change at once', async () => {
    const ids = [await change(), await change()];
    const reply = await api.call('POST', '/v1/stop-all', { body: { reason: 'fire' } });
    expect(reply.body.changes.map((c: { changeId: string }) => c.changeId)).toEqual(expect.arrayContaining(ids));
    const { rows } = await db.pool.query('SELECT FROM change WHERE closed_at IS NULL AND NOT halted');
    expect(rows).toEqual([]);
    expect((await outbox(`change/${ids[0]}`)).at(-1)?.payload).toMatchObject({ verb: 'pause', reason: 'fire' });
  });

  test('an order tells everything that happened to it', async () => {
    const id = await change();
    const endpointId = await enrol('order-host');
    const orderId = randomUUID();
    await db.pool.query(
      `INSERT INTO order_state (id, change_id, ring, home_ring, endpoint_id, kind, state, phase) VALUES ($1, $2, 0, 0, $3, 'change', 'succeeded', 'done')`,
      [orderId, id, endpointId],
    );
    await db.pool.query(
      `INSERT INTO order_event (order_id, actor, event, seq, from_state, to_state) VALUES ($1, 'server', 'release', NULL, 'pending', 'released'), ($1, 'agent', 'accept', 1, 'offered', 'accepted')`,
      [orderId],
    );
    expect((await api.call('GET', `/v1/orders/${orderId}`)).body).toMatchObject({
      endpointName: 'order-host',
      state: 'succeeded',
      events: [{ event: 'release' }, { event: 'accept', seq: 1, from: 'offered', to: 'accepted' }],
    });
    expect((await api.call('GET', `/v1/changes/${id}/orders?state=succeeded`)).body.items).toMatchObject([
      { id: orderId },
    ]);
    const metrics = await api.call('GET', '/metrics', { token: null });
    expect(metrics.body).toContain('ringmaster_orders{kind="change",state="succeeded"} 1');
    expect(metrics.body).toContain('ringmaster_database_up 1');
  });
});

describe('schedules and repositories', () => {
  const calendar = { rrule: 'FREQ=MONTHLY;BYDAY=2TU', plusDays: 3, at: '22:00', zone: 'Europe/Berlin' };

  test('a schedule says when it will start, and is an intent of its own', async () => {
    const body = { name: 'Monthly', calendar, overlap: 'skip', spec };
    const made = await api.call('POST', '/v1/schedules', { body });
    expect(made.status).toBe(201);
    for (const start of made.body.nextStarts) expect(start).toMatch(/T2[01]:00:00/);
    expect((await api.call('POST', '/v1/schedules', { body })).status).toBe(409);
    expect((await api.call('GET', '/v1/schedules')).body.items).toMatchObject([
      { name: 'Monthly', applied: false, overlap: 'skip' },
    ]);
    expect((await api.call('DELETE', `/v1/schedules/${made.body.id}`)).status).toBe(204);
    expect((await api.call('DELETE', `/v1/schedules/${made.body.id}`)).status).toBe(404);
  });

  test.each([
    ['a rule nobody can read', { calendar: { ...calendar, rrule: 'second Tuesday' } }, 'calendar'],
    ['no overlap policy', { overlap: undefined }, 'overlap'],
    ['a threshold inside', { spec: { ...spec, rings: [{ ...ring, minSample: 'all' }] } }, 'spec.rings[0].minSample'],
    ['a group nobody made', { spec: { ...spec, scope: { groups: ['ghost'] } } }, 'spec.scope.groups[0]'],
  ])('a schedule with %s is refused by name', async (_, wrong, field) => {
    const reply = await api.call('POST', '/v1/schedules', {
      body: { name: 'Bad', calendar, overlap: 'skip', spec, ...wrong },
    });
    expect([reply.status, reply.body.detail]).toEqual([400, expect.stringContaining(field)]);
  });

  test('a repository’s password is for the worker alone', async () => {
    const config = {
      uri: 'https://user:secret@mirror.example/debian',
      suite: 'stable',
      components: ['main'],
      architecture: 'amd64',
      keyring: { files: ['/usr/share/keyrings/x.gpg'] },
    };
    const put = await api.call('PUT', '/v1/repositories/debian', { body: { kind: 'apt', config } });
    expect(put.status).toBe(200);
    const listed = await api.call('GET', '/v1/repositories', { token: tokens.Operator ?? '' });
    expect(listed.body.items[0].config.uri).toBe('https://user:***@mirror.example/debian');
    const { rows } = await db.pool.query('SELECT config, state FROM repository');
    expect(rows[0].config).toEqual(config);
    await db.pool.query(`UPDATE repository SET state = '{"etag": "x"}'`);
    expect((await api.call('POST', `/v1/repositories/${put.body.id}/sync`)).status).toBe(202);
    expect((await db.pool.query('SELECT state FROM repository')).rows[0].state).toEqual({
      etag: 'x',
      syncRequested: expect.any(Number),
    });
    expect(JSON.stringify((await db.pool.query('SELECT detail FROM audit_entry')).rows)).not.toContain('secret@');
    const bad = await api.call('PUT', '/v1/repositories/debian', {
      body: { kind: 'apt', config: { ...config, keyring: {} } },
    });
    expect([bad.status, bad.body.detail]).toEqual([400, expect.stringContaining('config.keyring')]);
  });
});
