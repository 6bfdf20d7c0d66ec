import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { ROLES } from '../../domain/identity/permissions.js';
import { simulatedAgent } from '../helpers/agent-client.js';
import { ADMIN_TOKEN, startApi, type TestApi } from '../helpers/api-server.js';
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
const always = { always: true };
const policy = {
  appliesTo: { all: true },
  hours: { communicate: always, stage: always, apply: always },
  freezeCalendars: [],
  reboot: 'ifNeeded',
  expectedMinutes: 10,
  healthChecks: [],
  hooks: [],
  stageRateLimit: null,
};
const audit = async (subject: string) =>
  (await db.pool.query('SELECT actor, action FROM audit_entry WHERE subject = $1 ORDER BY id', [subject])).rows;

describe('endpoints', () => {
  test('are listed page by page, filtered, edited and scanned', async () => {
    const ids = [];
    for (const name of ['web-1', 'web-2', 'web-3']) ids.push(await enrol(name));
    const names: string[] = [];
    for (let cursor = ''; ; ) {
      const { body } = await api.call('GET', `/v1/endpoints?name=WEB-&limit=2${cursor}`);
      names.push(...body.items.map((e: { name: string }) => e.name));
      if (body.next === null) break;
      cursor = `&cursor=${body.next}`;
    }
    expect(names).toEqual(['web-1', 'web-2', 'web-3']);

    const until = new Date(Date.now() + 3_600_000).toISOString();
    const body = { labels: { env: 'prod' }, zone: 'Asia/Tokyo', hold: { until, reason: 'audit' } };
    const patched = await api.call('PATCH', `/v1/endpoints/${ids[0]}`, { body });
    expect(patched.body).toMatchObject({
      labels: { env: 'prod' },
      zone: 'Asia/Tokyo',
      holdUntil: until,
      holdReason: 'audit',
    });
    const lifted = await api.call('PATCH', `/v1/endpoints/${ids[0]}`, { body: { hold: null } });
    expect(lifted.body).toMatchObject({ labels: { env: 'prod' }, holdUntil: null, holdReason: null });
    expect((await api.call('GET', '/v1/endpoints?label=env=prod')).body.items).toMatchObject([{ id: ids[0] }]);

    await db.pool.query('UPDATE endpoint SET wants_scan = false');
    expect((await api.call('POST', `/v1/endpoints/${ids[1]}/scan`)).status).toBe(202);
    expect((await api.call('GET', `/v1/endpoints/${ids[1]}`)).body.wantsScan).toBe(true);
    expect((await audit(`endpoint/${ids[1]}`)).map((a) => a.action)).toContain('endpoint.scanRequested');
  });

  test.each([
    ['a zone of nowhere', { zone: 'Nowhere' }, 'zone'],
    ['a hold that is over', { hold: { until: '2020-01-01T00:00:00Z', reason: 'x' } }, 'hold.until'],
    ['a hold for no reason', { hold: { until: '2099-01-01T00:00:00Z', reason: ' ' } }, 'hold.reason'],
    ['nothing', {}, 'changes nothing'],
    ['a state', { state: 'active' }, 'state: unknown field'],
  ])('%s is refused', async (_, body, text) => {
    const reply = await api.call('PATCH', `/v1/endpoints/${await enrol()}`, { body });
    expect([reply.status, reply.body.detail]).toEqual([400, expect.stringContaining(text)]);
  });

  test('have stakeholders', async () => {
    const id = await enrol();
    const put = (accountIds: string[]) =>
      api.call('PUT', `/v1/endpoints/${id}/stakeholders/itOwner`, { body: { accountIds } });
    expect((await put([accounts.Manager ?? '', accounts.User ?? ''])).status).toBe(200);
    expect((await put([accounts.User ?? ''])).status).toBe(200);
    expect((await api.call('GET', `/v1/endpoints/${id}`)).body.stakeholders).toEqual([
      { kind: 'itOwner', accountId: accounts.User },
    ]);
    expect((await put([randomUUID()])).body.detail).toContain('no such account');
  });
});

describe('groups and quorums', () => {
  test('members follow labels, groups and enrolments', async () => {
    const id = await enrol();
    await api.call('PUT', '/v1/groups/db', { body: { selector: { labels: { tier: 'db' } } } });
    const members = async () =>
      (await api.call('PUT', '/v1/quorum-groups/db', { body: { selector: { groups: ['db'] }, maxUnavailable: 1 } }))
        .body.members;
    expect(await members()).toBe(0);
    await api.call('PATCH', `/v1/endpoints/${id}`, { body: { labels: { tier: 'db' } } });
    const { rows } = await db.pool.query('SELECT endpoint_id FROM quorum_member');
    expect(rows).toEqual([{ endpoint_id: id }]);
    expect(await members()).toBe(1);
    const { body } = await api.call('POST', '/v1/join-tokens', { body: { labels: { tier: 'db' } } });
    await simulatedAgent({ url: api.url }).enrol(body.token);
    expect((await db.pool.query('SELECT FROM quorum_member')).rowCount).toBe(2);
    await api.call('PUT', '/v1/groups/db', { body: { selector: { labels: { tier: 'none' } } } });
    expect(await members()).toBe(0);
  });

  test.each([
    ['itself', { selector: { groups: ['loop'] } }, 'itself'],
    ['a group nobody made', { selector: { groups: ['ghost'] } }, 'ghost'],
    ['nothing', { selector: {} }, 'selects nothing'],
    ['everything and a typo', { selector: { all: true, label: {} } }, 'selector.label: unknown field'],
  ])('a group of %s is refused', async (_, body, text) => {
    const reply = await api.call('PUT', '/v1/groups/loop', { body });
    expect([reply.status, reply.body.detail]).toEqual([400, expect.stringContaining(text)]);
  });
});

describe('policies', () => {
  test('each put is a version; the earlier ones stay', async () => {
    const put = (precedence: number) =>
      api.call('PUT', '/v1/policy-sets/Servers%20EU', { body: { precedence, document: policy } });
    expect((await put(1)).body).toMatchObject({ name: 'Servers EU', version: 1 });
    const racing = await Promise.all([put(2), put(3), put(4)]);
    expect(racing.map((r) => r.body.version).sort()).toEqual([2, 3, 4]);
    const { rows } = await db.pool.query(
      `SELECT version, retired_at IS NULL AS current FROM policy_set WHERE name = 'Servers EU' ORDER BY version`,
    );
    expect(rows).toEqual([1, 2, 3, 4].map((version) => ({ version, current: version === 4 })));
    expect((await api.call('GET', '/v1/policy-sets/Servers%20EU')).body).toMatchObject({
      version: 4,
      document: policy,
    });
  });

  const window = { rrule: 'FREQ=WEEKLY;BYDAY=SA', from: '22:00', to: '04:00', zone: 'Europe/Berlin' };
  test.each([
    [
      'a window of no zone',
      { hours: { ...policy.hours, apply: { windows: [{ ...window, zone: 'Berlin' }] } } },
      'document.hours.apply.windows[0]',
    ],
    [
      'a rule nobody can read',
      { hours: { ...policy.hours, apply: { windows: [{ ...window, rrule: 'FREQ=OFTEN' }] } } },
      'document.hours.apply.windows[0]',
    ],
    ['hours that forget to apply', { hours: { communicate: always, stage: always } }, 'document.hours.apply'],
    ['a calendar nobody imported', { freezeCalendars: ['Year end'] }, 'document.freezeCalendars'],
    ['a group nobody made', { appliesTo: { groups: ['ghost'] } }, 'document.appliesTo.groups'],
    ['a health check by shell', { healthChecks: [{ type: 'shell', command: 'true' }] }, 'document.healthChecks[0]'],
    ['no reboot policy', { reboot: undefined }, 'document.reboot'],
  ])('%s is refused by name', async (_, wrong, field) => {
    const reply = await api.call('PUT', '/v1/policy-sets/bad', {
      body: { precedence: 0, document: { ...policy, ...wrong } },
    });
    expect([reply.status, reply.body.detail]).toEqual([400, expect.stringContaining(field)]);
    expect((await api.call('GET', '/v1/policy-sets/bad')).status).toBe(404);
  });

  test('freezes are imported from iCalendar, or refused by line', async () => {
    const put = (raw: string) =>
      api.call('PUT', '/v1/freeze-calendars/Year%20end', { raw, headers: { 'content-type': 'text/calendar' } });
    const event = [
      'BEGIN:VEVENT',
      'UID:1',
      'DTSTAMP:20260101T000000Z',
      'DTSTART;VALUE=DATE:20261218',
      'DTEND;VALUE=DATE:20270107',
      'SUMMARY:Year end',
      'END:VEVENT',
    ];
    const calendar = (lines: string[]) =>
      ['BEGIN:VCALENDAR', 'VERSION:2.0', 'PRODID:test', ...lines, 'END:VCALENDAR', ''].join('\r\n');
    expect((await put(calendar(event))).body).toMatchObject({ name: 'Year end', events: 1 });
    const bad = await put(calendar(event.map((line) => line.replace('DTSTART;VALUE=DATE:20261218', 'DTSTART:soon'))));
    expect([bad.status, bad.body.detail]).toEqual([400, expect.stringContaining('line 7')]);
    expect(
      (
        await api.call('PUT', '/v1/policy-sets/frozen', {
          body: { precedence: -5, document: { ...policy, freezeCalendars: ['Year end'] } },
        })
      ).status,
    ).toBe(200);
  });
});

describe('audit', () => {
  test('is read newest first, by those who may', async () => {
    await api.call('PUT', '/v1/groups/audited', { body: { selector: { all: true } } });
    const { body } = await api.call('GET', '/v1/audit?action=group.put&limit=1', { token: tokens.Manager ?? '' });
    expect(body.items).toMatchObject([{ action: 'group.put', detail: { name: 'audited' } }]);
    const older = await api.call('GET', `/v1/audit?limit=1&cursor=${body.next}`);
    expect(older.body.items[0].id).toBeLessThan(body.items[0].id);
  });

  test('never holds a token', async () => {
    const { rows } = await db.pool.query('SELECT detail FROM audit_entry');
    const text = JSON.stringify(rows);
    for (const token of [ADMIN_TOKEN, ...Object.values(tokens)]) expect(text).not.toContain(token);
  });
});
