import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { simulatedAgent } from '../helpers/agent-client.js';
import { startApi, type TestApi } from '../helpers/api-server.js';
import { createDatabase, type TestDatabase } from '../helpers/postgres.js';

let db: TestDatabase;
let api: TestApi;
beforeAll(async () => {
  db = await createDatabase();
  api = await startApi({ apiUrl: db.apiUrl, pool: db.pool });
  const { body } = await api.call('POST', '/v1/join-tokens', { body: { uses: 4 } });
  for (const name of ['web-1', 'web-2', 'db-1', 'old-1']) {
    const { endpointId } = (await simulatedAgent({ url: api.url }).enrol(body.token, { name })).body;
    if (name === 'old-1') await api.call('POST', `/v1/endpoints/${endpointId}/retire`, { body: { reason: 'old' } });
  }
}, 60_000);
afterAll(async () => {
  await api?.close();
  await db?.drop();
});

const always = { always: true };
const put = (name: string, precedence: number, change: object = {}) =>
  api.call('PUT', `/v1/policy-sets/${name}`, {
    body: {
      precedence,
      document: {
        appliesTo: { all: true },
        hours: { communicate: always, stage: always, apply: always },
        freezeCalendars: [],
        reboot: 'never',
        expectedMinutes: 5,
        healthChecks: [],
        hooks: [],
        stageRateLimit: null,
        ...change,
      },
    },
  });
const reach = async (name: string) => (await api.call('GET', `/v1/policy-sets/${name}/reach`)).body;

test('a policy set has its history, its reach, and an end', async () => {
  await put('all', 0);
  await put('all', 1);
  await put('web', 5, { appliesTo: { where: 'name ~ web-*' } });
  await put('rival', 5, { appliesTo: { names: ['web-2'] } });
  expect(await reach('all')).toEqual({ selected: 3, inForce: 1, overruled: 1, tied: 1 });
  expect(await reach('web')).toEqual({ selected: 2, inForce: 1, overruled: 0, tied: 1 });
  const versions = await api.call('GET', '/v1/policy-sets/all/versions');
  expect(versions.body.items).toMatchObject([
    { version: 2, precedence: 1, retiredAt: null },
    { version: 1, precedence: 0, retiredAt: expect.any(String) },
  ]);
  expect((await api.call('DELETE', '/v1/policy-sets/rival')).status).toBe(204);
  expect((await api.call('DELETE', '/v1/policy-sets/rival')).status).toBe(404);
  expect((await api.call('GET', '/v1/policy-sets/rival')).status).toBe(404);
  expect((await api.call('GET', '/v1/policy-sets/rival/versions')).body.items).toHaveLength(1);
  expect(await reach('web')).toMatchObject({ inForce: 2, tied: 0 });
  expect((await put('rival', 0)).body).toMatchObject({ version: 1 });
  for (const path of ['reach', 'versions']) {
    expect((await api.call('GET', `/v1/policy-sets/nobody/${path}`)).status).toBe(404);
  }
  const { body } = await api.call('GET', '/v1/audit?action=policySet.retired');
  expect(body.items).toMatchObject([{ detail: { name: 'rival' } }]);
});

test('a freeze calendar shows what it freezes in a zone, and stays while it is obeyed', async () => {
  const year = new Date().getUTCFullYear() + 1;
  const icalendar = [
    'BEGIN:VCALENDAR',
    'VERSION:2.0',
    'PRODID:test',
    'BEGIN:VEVENT',
    'UID:1',
    'DTSTAMP:20260101T000000Z',
    `DTSTART;VALUE=DATE:${year}0101`,
    `DTEND;VALUE=DATE:${year}0102`,
    'SUMMARY:New Year',
    'END:VEVENT',
    'END:VCALENDAR',
    '',
  ].join('\r\n');
  await api.call('PUT', '/v1/freeze-calendars/holidays', {
    raw: icalendar,
    headers: { 'content-type': 'text/calendar' },
  });
  await put('calm', -1, { freezeCalendars: ['holidays'] });
  const { body } = await api.call('GET', '/v1/freeze-calendars/holidays?zone=Asia/Tokyo');
  expect(body).toMatchObject({
    name: 'holidays',
    usedBy: ['calm'],
    zone: 'Asia/Tokyo',
    events: [{ line: 4, label: 'New Year', allDay: true, recurring: false }],
    next: [{ label: 'New Year', from: `${year - 1}-12-31T15:00:00.000Z`, to: `${year}-01-01T15:00:00.000Z` }],
    problem: null,
  });
  expect((await api.call('GET', '/v1/freeze-calendars/holidays?zone=Nowhere')).body.errors).toMatchObject([
    { field: 'zone', in: 'query' },
  ]);
  const refused = await api.call('DELETE', '/v1/freeze-calendars/holidays');
  expect([refused.status, refused.body.detail]).toEqual([409, 'the calendar is obeyed by policy sets calm']);
  await api.call('DELETE', '/v1/policy-sets/calm');
  expect((await api.call('DELETE', '/v1/freeze-calendars/holidays')).status).toBe(204);
  expect((await api.call('GET', '/v1/freeze-calendars/holidays')).status).toBe(404);
});

test('a schedule is read with its next starts', async () => {
  const calendar = { rrule: 'FREQ=WEEKLY;BYDAY=TU', plusDays: 0, at: '22:00', zone: 'Europe/Berlin' };
  const rest = {
    name: 'all',
    select: { where: 'not name = db-1' },
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
    name: 'weekly',
    reason: 'weekly',
    scope: { where: 'state = active' },
    rings: [rest],
    priority: 0,
    deadlineMinutes: 6_000,
    offlineAfterMinutes: 60,
    parameters: {},
  };
  const made = await api.call('POST', '/v1/schedules', { body: { name: 'weekly', calendar, overlap: 'skip', spec } });
  expect([made.status, made.body.nextStarts?.length]).toEqual([201, 3]);
  const { body } = await api.call('GET', `/v1/schedules/${made.body.id}`);
  expect(body).toMatchObject({
    name: 'weekly',
    nextStarts: made.body.nextStarts,
    applied: false,
    overlap: 'skip',
    spec,
  });
  expect((await api.call('GET', '/v1/schedules')).body.items).toEqual([body]);
  expect((await api.call('GET', `/v1/schedules/${randomUUID()}`)).status).toBe(404);
});
