/** Who gets which page of the console, and that its forms are as well guarded as the API. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import type { Role } from '../../domain/approval/rule.js';
import { startApi, type TestApi } from '../helpers/api-server.js';
import { Browser } from '../helpers/browser.js';
import { visibleText } from '../helpers/html.js';
import { createDatabase, type TestDatabase } from '../helpers/postgres.js';
import { seedAccount, seedPolicy } from '../helpers/seed-change.js';
import { type ConsoleFleet, PASSWORD, seedFleet } from './fleet.js';

jest.setTimeout(90_000);
let db: TestDatabase;
let api: TestApi;
let fleet: ConsoleFleet;
const browsers = {} as Record<Role | 'nobody', Browser>;
const ROLES = ['Administrator', 'Manager', 'Operator', 'User'] as const;

beforeAll(async () => {
  db = await createDatabase();
  api = await startApi({ apiUrl: db.apiUrl, pool: db.pool });
  fleet = await seedFleet(db.pool);
  browsers.nobody = new Browser(api.url);
  for (const role of ROLES) {
    const { email } = await seedAccount(db.pool, { name: `The ${role}`, roles: [role], password: PASSWORD });
    const browser = new Browser(api.url);
    const page = await browser.get('/sign-in');
    await browser.post('/sign-in', { _csrf: page.field('_csrf'), next: '/', email, password: PASSWORD });
    browsers[role] = browser;
  }
});
afterAll(async () => {
  await api?.close();
  await db?.drop();
});

const LEAST: [string, (f: ConsoleFleet) => string, Role][] = [
  ['home', () => '/', 'User'],
  ['approvals', () => '/approvals', 'User'],
  ['changes', () => '/changes', 'Operator'],
  ['a change', (f) => `/changes/${f.changeId}`, 'Operator'],
  ['zero-days', () => '/zero-days', 'Operator'],
  ['a zero-day', (f) => `/zero-days/${f.zeroDayId}`, 'Operator'],
  ['endpoints', () => '/endpoints', 'Operator'],
  ['an endpoint', (f) => `/endpoints/${f.endpointId}`, 'Operator'],
  ['packages', (f) => `/endpoints/${f.endpointId}/packages`, 'Operator'],
  ['compliance', () => '/compliance', 'Operator'],
  ['incidents', () => '/incidents', 'Operator'],
  ['the closed loop', () => '/closed-loop', 'Operator'],
  ['changes no ticket explains', () => '/closed-loop/unexplained', 'Operator'],
  ['rules no ticket explains', () => '/closed-loop/unexplained-rules', 'Operator'],
  ['a command', (f) => `/changes/${f.changeId}/abort`, 'Manager'],
  ['stop everything', () => '/stop-all', 'Manager'],
  ['the audit log', () => '/audit', 'Manager'],
];

it.each(LEAST)('%s is for those who may', async (_, path, least) => {
  for (const role of ROLES) {
    const reply = await browsers[role].get(path(fleet));
    const allowed = ROLES.indexOf(role) <= ROLES.indexOf(least as (typeof ROLES)[number]);
    expect([role, reply.status]).toEqual([role, allowed ? 200 : 403]);
    if (!allowed) expect(reply.text).toContain(`You need the role ${least}`);
  }
  const stranger = await browsers.nobody.get(path(fleet));
  expect(stranger.status).toBe(303);
  expect(stranger.headers.get('location')).toMatch(/^\/sign-in/);
});

it('offers only what one may do', async () => {
  const change = `/changes/${fleet.changeId}`;
  expect((await browsers.Manager.get(change)).text).toContain(`href="${change}/pause"`);
  expect((await browsers.Operator.get(change)).text).not.toContain(`href="${change}/pause"`);
  expect((await browsers.Operator.get(`/endpoints/${fleet.endpointId}`)).text).not.toContain('Scan now');
  expect((await browsers.User.get('/')).text).not.toContain('href="/changes"');
  expect((await browsers.Operator.get(change)).text).not.toContain('in the audit log');
});

describe('forms', () => {
  const halted = async () =>
    (await db.pool.query('SELECT halted FROM change WHERE id = $1', [fleet.changeId])).rows[0].halted as boolean;
  const path = () => `/changes/${fleet.changeId}/pause`;

  it('do nothing without the form’s token, from elsewhere, or for whoever may not', async () => {
    const token = (await browsers.Manager.get(path())).field('_csrf');
    expect((await browsers.Manager.post(path(), { reason: 'x' })).status).toBe(403);
    expect((await browsers.Manager.post(path(), { _csrf: token }, { 'sec-fetch-site': 'cross-site' })).status).toBe(
      403,
    );
    expect((await browsers.Operator.post(path(), { _csrf: token })).status).toBe(403);
    expect((await browsers.nobody.post(path(), { _csrf: token })).status).toBe(303);
    expect((await browsers.Manager.get(path())).status).toBe(200);
    expect(await halted()).toBe(false);
  });

  it('name what is wrong, and tell the workflow what the API would', async () => {
    const abort = `/changes/${fleet.changeId}/abort`;
    const _csrf = (await browsers.Manager.get(abort)).field('_csrf');
    const refused = await browsers.Manager.post(abort, { _csrf, reason: ' ' });
    expect([refused.status, refused.text.includes('role="alert">reason: ')]).toEqual([400, true]);
    const done = await browsers.Manager.post(`/changes/${fleet.changeId}/rollback`, {
      _csrf,
      reason: 'wrong kernel',
      ring: '1',
      ignoreWindows: 'yes',
    });
    expect([done.status, done.headers.get('location')]).toEqual([303, `/changes/${fleet.changeId}`]);
    const { rows } = await db.pool.query(
      `SELECT payload FROM outbox WHERE topic = 'command' ORDER BY created_at DESC LIMIT 1`,
    );
    expect(rows[0].payload).toMatchObject({ verb: 'rollback', reason: 'wrong kernel', ring: 1, ignoreWindows: true });
    expect((await browsers.Manager.post('/stop-all', { _csrf, reason: 'lightning' })).headers.get('location')).toBe(
      '/changes',
    );
    expect(await halted()).toBe(true);
  });

  it('are not there for what is closed or was never there', async () => {
    expect((await browsers.Manager.get(`/changes/${fleet.closedId}/pause`)).text).toContain('The change is closed');
    expect((await browsers.Manager.get(`/changes/${fleet.closedId}`)).text).not.toContain('/pause"');
    for (const nowhere of [
      `/changes/${randomUUID()}`,
      `/changes/${fleet.changeId}/delete`,
      `/endpoints/${randomUUID()}`,
      '/endpoints/x/packages',
    ])
      expect([nowhere, (await browsers.Manager.get(nowhere)).status]).toEqual([nowhere, 404]);
  });
});

it('says why an endpoint is as it is, in one sentence and the chain behind it', async () => {
  const path = `/endpoints/${fleet.endpointId}`;
  const { text } = await browsers.Operator.get(path);
  const { body } = await api.call('GET', `/v1${path}/why`);
  expect(body).toMatchObject({ code: 'failed', change: { id: fleet.changeId, name: 'November updates' } });
  const words = visibleText(text);
  expect(words).toContain(body.sentence);
  for (const reason of body.chain) expect(words).toContain(`${reason.text}.`);
  expect(text).toContain(`<a href="/changes/${fleet.changeId}">November updates</a>, ring 1`);
});

it('shows a zero-day’s countdown and who is exposed, and starts it again', async () => {
  const listed = visibleText((await browsers.Operator.get('/zero-days')).text);
  expect(listed).toMatch(/Zero-day package 1 1 in 1 d 23 h/);
  const path = `/zero-days/${fleet.zeroDayId}`;
  const words = visibleText((await browsers.Operator.get(path)).text);
  expect(words).toContain('1 endpoint is still exposed; 1 endpoint is proven fixed.');
  expect(words).toMatch(/Due in 1 d 23 h.*Mean time to patch 50 min.*it is offline since /);
  expect(words).not.toContain('Start it again');
  const token = (await browsers.Manager.get(`/endpoints/${fleet.endpointId}`)).field('_csrf');
  expect((await browsers.Operator.post(`${path}/start`, { _csrf: token, reason: 'x' })).status).toBe(403);
  const refused = await browsers.Manager.post(`${path}/start`, { _csrf: token, reason: ' ' });
  expect(refused.headers.get('location')).toBe(path);
  expect(visibleText((await browsers.Manager.get(path)).text)).toContain('Not started: reason: ');
  await browsers.Manager.post(`${path}/start`, { _csrf: token, reason: 'look again' });
  expect(visibleText((await browsers.Manager.get(path)).text)).toContain('they have been asked to look again');
  const audit = await api.call('GET', `/v1/audit?subject=zeroDay/${fleet.zeroDayId}`);
  expect(audit.body.items).toMatchObject([{ action: 'zeroDay.startedAgain', detail: { reason: 'look again' } }]);
});

it('patches one endpoint from its page, and says why not', async () => {
  const path = `/endpoints/${fleet.endpointId}`;
  const page = await browsers.Manager.get(path);
  expect((await browsers.Operator.get(path)).text).not.toContain('Patch this one');
  await browsers.Manager.post(`${path}/patch`, { _csrf: page.field('_csrf'), reason: 'a customer waits' });
  expect(visibleText((await browsers.Manager.get(path)).text)).toContain('it gets no change: no policy set applies');
  await seedPolicy(db.pool, { name: 'everyone' });
  const done = await browsers.Manager.post(`${path}/patch`, { _csrf: page.field('_csrf'), reason: 'a customer waits' });
  expect(done.headers.get('location')).toMatch(/^\/changes\/[0-9a-f-]{36}$/);
  expect((await browsers.Manager.get(done.headers.get('location') as string)).text).toContain(
    'The change has started.',
  );
});

it('shows what strangers wrote as text', async () => {
  const nasty = '<script>alert(1)</script>"\'&';
  await db.pool.query(
    `UPDATE endpoint SET name = $2, labels = jsonb_build_object('x', $2::text), facts = jsonb_build_object($2::text, $2::text) WHERE id = $1`,
    [fleet.endpointId, nasty],
  );
  await db.pool.query(`UPDATE change SET name = $2, waiting_for = $2 WHERE id = $1`, [fleet.changeId, nasty]);
  await db.pool.query(`UPDATE order_state SET reason = $2 WHERE endpoint_id = $1`, [fleet.endpointId, nasty]);
  for (const page of [
    '/',
    '/changes',
    `/changes/${fleet.changeId}`,
    '/endpoints?q=script',
    `/endpoints/${fleet.endpointId}`,
    `/zero-days/${fleet.zeroDayId}`,
    '/approvals',
    '/audit',
  ]) {
    const { status, text } = await browsers.Administrator.get(page);
    expect([page, status, text.includes('<script>alert')]).toEqual([page, 200, false]);
  }
  expect((await browsers.Administrator.get('/endpoints?q=%22%3E%3Cscript%3Ealert(1)')).text).not.toContain(
    '<script>alert',
  );
});

it('answers whatever is asked in a query with a page, not an error', async () => {
  for (const query of [
    'q=%00',
    'q=a%3Db',
    'state=x&silent=-1&sort=%27',
    'cursor=x',
    'sort=silent&cursor=WyJhIiwiYiJd',
    'cursor=WyJhIiwiYiJd',
  ])
    for (const path of ['/endpoints', '/changes', '/audit']) {
      const { status } = await browsers.Administrator.get(`${path}?${query}`);
      expect([path, query, [200, 400].includes(status)]).toEqual([path, query, true]);
    }
});
