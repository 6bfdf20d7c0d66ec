import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { simulatedAgent } from '../helpers/agent-client.js';
import { startApi, type TestApi } from '../helpers/api-server.js';
import { createDatabase, type TestDatabase } from '../helpers/postgres.js';

let db: TestDatabase;
let api: TestApi;
const ids: Record<string, string> = {};

beforeAll(async () => {
  db = await createDatabase();
  api = await startApi({ apiUrl: db.apiUrl, pool: db.pool });
  const { body } = await api.call('POST', '/v1/join-tokens', { body: { uses: 10, labels: { site: 'berlin' } } });
  for (const name of ['db-1', 'web-1', 'web-2', 'web-3']) {
    const facts = { os: 'Debian GNU/Linux 12 (bookworm)', osId: 'debian', osVersion: '12', kernel: '6.1.0' };
    ids[name] = (await simulatedAgent({ url: api.url }).enrol(body.token, { name, facts })).body.endpointId;
  }
  await api.call('PATCH', `/v1/endpoints/${ids['web-1']}`, {
    body: { sensitivity: 'high', function: 'shop', attackLikelihood: 'low' },
  });
  await api.call('PATCH', `/v1/endpoints/${ids['db-1']}`, { body: { labels: { site: 'bonn' } } });
  await db.pool.query(`UPDATE endpoint SET last_seen = now() - interval '10 days' WHERE id = $1`, [ids['web-3']]);
}, 60_000);
afterAll(async () => {
  await api?.close();
  await db?.drop();
});

const put = (name: string, selector: unknown) => api.call('PUT', `/v1/groups/${name}`, { body: { selector } });
const names = (reply: { body: { items: { name: string }[] } }) => reply.body.items.map((one) => one.name);
const preview = async (where: string) => {
  const { body } = await api.call('POST', '/v1/selectors/preview', { body: { selector: { where } } });
  return [body.total, ...body.items.map((one: { name: string }) => one.name)];
};

describe('selector text', () => {
  test.each([
    ['label.site = "berlin" and os ~ "debian 12*"', [3, 'web-1', 'web-2', 'web-3']],
    ['not name in ("web-1", "web-2")', [2, 'db-1', 'web-3']],
    ['sensitivity >= moderate and function = shop and attackLikelihood = low', [1, 'web-1']],
    ['lastSeen > 7d', [1, 'web-3']],
    ['lastSeen < 7d and kernel = 6.1.0', [3, 'db-1', 'web-1', 'web-2']],
    ['simulated and not scanOnly and state = active and zone = Europe/Berlin', [4, 'db-1', 'web-1', 'web-2', 'web-3']],
    ['simulated = false', [0]],
  ])('%s', async (where, expected) => {
    expect(await preview(where)).toEqual(expected);
  });

  test('is paged, and filters the list of endpoints beside everything else', async () => {
    const { body } = await api.call('POST', '/v1/selectors/preview', {
      body: { selector: { where: 'name ~ web-*' }, limit: 2 },
    });
    expect([body.total, body.items.length]).toEqual([3, 2]);
    const next = await api.call('GET', `/v1/endpoints?where=${encodeURIComponent('name ~ web-*')}&cursor=${body.next}`);
    expect(names(next)).toEqual(['web-3']);
    await put('web', { where: 'name ~ web-*' });
    expect(
      names(await api.call('GET', '/v1/endpoints?group=web&label=site%3Dberlin&where=not+lastSeen+%3E+7d')),
    ).toEqual(['web-1', 'web-2']);
    const bad = await api.call('GET', '/v1/endpoints?where=name+%3D');
    expect([bad.status, bad.body.errors]).toEqual([
      400,
      [{ field: 'where', in: 'query', reason: 'column 7: expected a value after "="' }],
    ]);
    expect((await api.call('GET', '/v1/endpoints?group=ghost')).body.errors).toMatchObject([{ field: 'group' }]);
  });

  test('other filters of the list', async () => {
    const since = new Date(Date.now() - 86_400_000).toISOString();
    expect(names(await api.call('GET', `/v1/endpoints?offlineSince=${encodeURIComponent(since)}`))).toEqual(['web-3']);
    expect(names(await api.call('GET', '/v1/endpoints?q=BONN'))).toEqual(['db-1']);
    expect(names(await api.call('GET', '/v1/endpoints?q=bookworm&hasUpdates=false'))).toHaveLength(4);
    expect(names(await api.call('GET', '/v1/endpoints?hasUpdates=true'))).toEqual([]);
  });

  test.each([
    [
      '/v1/groups/x',
      { selector: { where: 'label.site =' } },
      'selector.where',
      'column 13: expected a value after "="',
    ],
    ['/v1/quorum-groups/x', { selector: { where: '(all' }, maxUnavailable: 1 }, 'selector.where', 'column 5'],
    ['/v1/groups/x', { selector: { where: 'group ghost' } }, 'selector.where', 'no such group: ghost'],
    [
      '/v1/quorum-groups/x',
      { selector: { where: 'lastSeen < 1d' }, maxUnavailable: 1 },
      'selector',
      'may not change with time',
    ],
  ])('PUT %s with %j is refused by field', async (path, body, field, reason) => {
    const reply = await api.call('PUT', path, { body });
    expect([reply.status, reply.body.errors]).toEqual([
      400,
      [{ field, in: 'body', reason: expect.stringContaining(reason) }],
    ]);
  });

  test('in a policy and in a change, errors name the field and the column', async () => {
    const always = { always: true };
    const document = {
      appliesTo: { where: 'name ~' },
      hours: { communicate: always, stage: always, apply: always },
      freezeCalendars: [],
      reboot: 'never',
      expectedMinutes: 5,
      healthChecks: [],
      hooks: [],
      stageRateLimit: null,
    };
    const policy = await api.call('PUT', '/v1/policy-sets/p', { body: { precedence: 0, document } });
    expect(policy.body.errors).toMatchObject([
      { field: 'document.appliesTo.where', reason: 'column 7: expected a value after "~"' },
    ]);
    const ghost = { ...document, appliesTo: { where: 'not group ghost' } };
    const unknown = await api.call('PUT', '/v1/policy-sets/p', { body: { precedence: 0, document: ghost } });
    expect(unknown.body.errors).toMatchObject([{ field: 'document.appliesTo.where', reason: 'no such group: ghost' }]);
    const change = await api.call('POST', '/v1/changes', { body: { scope: { where: 'sensitivity > big' } } });
    expect(change.body.errors).toContainEqual(
      expect.objectContaining({ field: 'scope.where', reason: 'column 15: expected low, moderate or high' }),
    );
  });
});

describe('groups', () => {
  test('nest, and their members are paged', async () => {
    await put('berlin', { labels: { site: 'berlin' } });
    await put('berlin web', { where: 'group berlin and name ~ web-*' });
    await put('most of it', { groups: ['berlin web'], where: 'name != web-2' });
    const first = await api.call('GET', '/v1/groups/most%20of%20it/members?limit=1');
    expect(names(first)).toEqual(['web-1']);
    expect(names(await api.call('GET', `/v1/groups/most%20of%20it/members?cursor=${first.body.next}`))).toEqual([
      'web-3',
    ]);
    expect((await api.call('GET', '/v1/groups/ghost/members')).status).toBe(404);
  });

  test('a loop is refused by its names, and nothing is stored', async () => {
    await put('a', { all: true });
    await put('b', { groups: ['a'] });
    await put('c', { where: 'not group b' });
    const reply = await put('a', { where: 'group c' });
    expect([reply.status, reply.body.detail]).toEqual([400, expect.stringContaining('a → c → b → a')]);
    expect((await api.call('GET', '/v1/groups/a')).body.selector).toEqual({ all: true });
    const racing = await Promise.all([put('r1', { all: true }), put('r2', { all: true })]);
    expect(racing.map((r) => r.status)).toEqual([200, 200]);
    const crossed = await Promise.all([put('r1', { groups: ['r2'] }), put('r2', { groups: ['r1'] })]);
    expect(crossed.map((r) => r.status).sort()).toEqual([200, 400]);
  });

  test('one in use is not deleted, and the refusal names who uses it', async () => {
    await put('used', { all: true });
    await put('user of it', { where: 'name = x or group used' });
    await api.call('PUT', '/v1/quorum-groups/quorum', { body: { selector: { groups: ['used'] }, maxUnavailable: 1 } });
    const notices = { precedence: 1, kinds: ['service'], respond: 'alert', appliesTo: { groups: ['used'] } };
    expect((await api.call('PUT', '/v1/notice-rules/services', { body: notices })).status).toBe(200);
    const refused = await api.call('DELETE', '/v1/groups/used');
    expect([refused.status, refused.body.detail]).toEqual([
      409,
      'the group is used by group user of it, notice rule services, quorum group quorum',
    ]);
    expect((await api.call('DELETE', '/v1/notice-rules/services')).status).toBe(204);
    expect((await api.call('DELETE', '/v1/quorum-groups/quorum')).status).toBe(204);
    expect((await api.call('DELETE', '/v1/groups/user%20of%20it')).status).toBe(204);
    expect((await api.call('DELETE', '/v1/groups/used')).status).toBe(204);
    expect((await api.call('DELETE', '/v1/groups/used')).status).toBe(404);
    const { body } = await api.call('GET', '/v1/audit?action=group.deleted');
    expect(body.items[0].detail).toEqual({ name: 'used' });
  });
});

describe('quorum groups', () => {
  test('follow what selectors ask for, and never change with time', async () => {
    await put('shop', { where: 'function = shop' });
    const body = { selector: { groups: ['shop'] }, maxUnavailable: 1 };
    expect((await api.call('PUT', '/v1/quorum-groups/shop', { body })).body.members).toBe(1);
    await api.call('PATCH', `/v1/endpoints/${ids['web-2']}`, { body: { function: 'shop' } });
    expect((await api.call('GET', '/v1/quorum-groups/shop')).body).toMatchObject({ ...body, name: 'shop', members: 2 });
    const late = await put('shop', { where: 'lastSeen < 1d' });
    expect([late.status, late.body.detail]).toEqual([409, expect.stringContaining('quorum group shop')]);
    expect((await api.call('GET', '/v1/quorum-groups')).body.items).toHaveLength(1);
    expect((await api.call('DELETE', '/v1/quorum-groups/shop')).status).toBe(204);
    expect((await api.call('GET', '/v1/quorum-groups/shop')).status).toBe(404);
  });
});

test('a scan that tells another kernel moves the endpoint between quorum groups', async () => {
  const { body } = await api.call('POST', '/v1/join-tokens', { body: {} });
  const agent = simulatedAgent({ url: api.url });
  await agent.enrol(body.token, { name: 'kernel-1', facts: { kernel: '6.1.0-1' } });
  const members = async () => (await api.call('GET', '/v1/quorum-groups/new%20kernel')).body.members;
  await api.call('PUT', '/v1/quorum-groups/new%20kernel', {
    body: { selector: { where: 'kernel ~ 6.12.*' }, maxUnavailable: 1 },
  });
  expect(await members()).toBe(0);
  await agent.inventory({ facts: { kernel: '6.12.3' } });
  expect(await members()).toBe(1);
});

test('what nobody knows any more is said so by null', async () => {
  const path = `/v1/endpoints/${ids['web-1']}`;
  expect((await api.call('GET', path)).body).toMatchObject({
    sensitivity: 'high',
    function: 'shop',
    attackLikelihood: 'low',
  });
  const { body } = await api.call('PATCH', path, { body: { sensitivity: null } });
  expect(body).toMatchObject({ sensitivity: null, function: 'shop', attackLikelihood: 'low' });
  expect((await api.call('PATCH', path, { body: { sensitivity: 'extreme' } })).status).toBe(400);
  expect((await api.call('PATCH', `/v1/endpoints/${randomUUID()}`, { body: { function: 'x' } })).status).toBe(404);
});
