/** The pages of compliance: in a real browser without scripts, and as the roles see them. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { AxeBuilder } from '@axe-core/playwright';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import type { BrowserContext, Page } from 'playwright-core';
import { startApi, type TestApi } from '../helpers/api-server.js';
import { Browser } from '../helpers/browser.js';
import { type Chromium, chromiumPath, startChromium } from '../helpers/chromium.js';
import { testRuleId } from '../helpers/data-stream.js';
import { visibleText } from '../helpers/html.js';
import { createDatabase, type TestDatabase } from '../helpers/postgres.js';
import { type SeededAccount, seedChange } from '../helpers/seed-change.js';
import { type MeasuredFleet, PASSWORD, seedMeasured, seedPeople } from './baselines.js';

jest.setTimeout(120_000);
const inBrowser = chromiumPath === undefined ? describe.skip : describe;
/** A folder to look at what the pages look like. */
const PICTURES = process.env.RINGMASTER_TEST_PICTURES;

let db: TestDatabase;
let api: TestApi;
let fleet: MeasuredFleet;
let manager: Browser;
let operator: Browser;
let empty: string;
let noGold: string;

const signedIn = async (who: SeededAccount): Promise<Browser> => {
  const browser = new Browser(api.url);
  const page = await browser.get('/sign-in');
  await browser.post('/sign-in', { _csrf: page.field('_csrf'), next: '/', email: who.email, password: PASSWORD });
  return browser;
};
const words = async (browser: Browser, path: string): Promise<string> => {
  const { status, text } = await browser.get(path);
  if (status !== 200) throw new Error(`${path}: ${status} ${visibleText(text)}`);
  return visibleText(text);
};
/** Posts a form of a page. @returns what the page says after it */
const submit = async (
  browser: Browser,
  page: string,
  action: string,
  fields: Record<string, string>,
): Promise<string> => {
  const shown = await browser.get(page);
  const hidden: Record<string, string> = { _csrf: shown.field('_csrf') };
  if (shown.text.includes('name="seen"')) hidden.seen = shown.field('seen');
  const reply = await browser.post(action, { ...hidden, ...fields });
  return reply.status === 303 ? words(browser, reply.headers.get('location') as string) : visibleText(reply.text);
};
const on = (path: string) => `/compliance/${fleet.checklist}${path}`;
const own = () => `/endpoints/${fleet.endpointId}/baselines/${fleet.checklist}`;
const MODE = '/compliance/assignments/servers';
const audit = async (action: string) => (await api.call('GET', `/v1/audit?action=${action}`)).body.items;

/** One endpoint of the trial has a rule put right, and it stays. */
async function remediateCanary(): Promise<void> {
  const updates = [{ name: 'sshd-no-root', source: fleet.checklist, from: '0-fail', to: '1-pass' }];
  const endpoints = [fleet.endpointId];
  const { changeId } = await seedChange(db.pool, {
    requestedBy: fleet.ada.id,
    rings: [{ name: 'all', endpoints, updates }],
  });
  await db.pool.query(`UPDATE change SET kind = 'remediation', closed_at = now() WHERE id = $1`, [changeId]);
  await db.pool.query(
    `INSERT INTO order_state (id, change_id, ring, home_ring, endpoint_id, kind, phase, state, content_digest, started_at, settled_at)
     SELECT gen_random_uuid(), change_id, 0, 0, endpoint_id, 'change', 'done', 'succeeded', update_set_digest, now(), now() + interval '1 minute'
       FROM plan_endpoint WHERE change_id = $1`,
    [changeId],
  );
}

beforeAll(async () => {
  db = await createDatabase();
  api = await startApi({ apiUrl: db.apiUrl, pool: db.pool });
  const people = await seedPeople(db.pool);
  [manager, operator] = await Promise.all([signedIn(people.ada), signedIn(people.olga)]);
  empty = await words(manager, '/compliance');
  noGold = await words(operator, '/gold-standards');
  fleet = await seedMeasured(db.pool, { api, people });
  const { rows } = await db.pool.query(`SELECT id FROM endpoint WHERE name = 'web-120'`);
  await db.pool.query(
    `INSERT INTO installed_package (endpoint_id, name, arch, version, source, source_version, scan_id)
     SELECT p.id, p.name, 'amd64', p.version, p.name, p.version, gen_random_uuid()
       FROM (VALUES ($1::uuid, 'sudo', '1.9'), ($2::uuid, 'sudo', '1.8'), ($2::uuid, 'telnet', '0.17')) AS p (id, name, version)`,
    [rows[0].id, fleet.endpointId],
  );
  await api.call('PUT', '/v1/gold-standards/good', { body: { endpointId: rows[0].id } });
});
afterAll(async () => {
  await api?.close();
  await db?.drop();
});

/** By what they are called in pictures; those of a template that another one shows already are not looked at by axe as well. */
const pages = (): Record<string, string> => ({
  compliance: '/compliance',
  checklist: on(''),
  'a rule that installs': on('/rules/sudo-installed'),
  remediate: on('/rules/sudo-installed/remediate'),
  'mode and trial': MODE,
  incidents: '/incidents',
  'endpoint measured': `/endpoints/${fleet.endpointId}`,
  findings: own(),
  'gold standards': '/gold-standards',
  'gold standard': '/gold-standards/good',
  'gold drift': `/gold-standards/good/endpoints/${fleet.endpointId}`,
});
const alike = (): Record<string, string> => ({
  'all rules': on('?show=all'),
  'nothing found': on('?q=nothing'),
  'a rule with a script': on('/rules/sshd-no-root'),
  'closed incidents': '/incidents?show=closed',
  'one finding': `${own()}?rule=sudo-installed`,
});

inBrowser('in a browser', () => {
  let chromium: Chromium;
  const open = async (context: BrowserContext): Promise<Page> => {
    const page = await context.newPage();
    await page.goto(`${api.url}/sign-in`);
    await page.fill('#email', fleet.ada.email);
    await page.fill('#password', PASSWORD);
    await page.click('button[type=submit]');
    await page.waitForURL(`${api.url}/`);
    return page;
  };
  beforeAll(async () => {
    chromium = await startChromium();
    if (PICTURES !== undefined) mkdirSync(PICTURES, { recursive: true });
  });
  afterAll(async () => chromium?.close());

  it.each([
    ['light', 'desktop', { width: 1200, height: 900 }, () => Object.keys(pages())],
    // Axe takes its time: on a phone those that have everything the others have.
    [
      'dark',
      'phone',
      { width: 320, height: 640 },
      () => ['compliance', 'a rule that installs', 'mode and trial', 'findings'],
    ],
  ] as const)(
    'axe objects to nothing, and nothing is wider than the screen: %s, %s',
    async (colorScheme, size, viewport, forAxe) => {
      const context = await chromium.open({ viewport, colorScheme });
      const page = await open(context);
      const wrong: string[] = [];
      for (const [name, path] of Object.entries({ ...pages(), ...alike() })) {
        const reply = await page.goto(`${api.url}${path}`);
        if (reply?.status() !== 200) wrong.push(`${name}: ${reply?.status()}`);
        if (((await reply?.body())?.length ?? 0) > 50_000) wrong.push(`${name} is larger than 50 kB`);
        if (forAxe().includes(name)) {
          const { violations } = await new AxeBuilder({ page }).setLegacyMode(true).analyze();
          wrong.push(...violations.map((v) => `${name}: ${v.id} ${v.nodes.map((n) => n.html).join(' ')}`));
        }
        const width = await page.evaluate('document.documentElement.scrollWidth');
        if (width !== viewport.width) wrong.push(`${name} is ${width} wide`);
        if (PICTURES !== undefined)
          await page.screenshot({ path: join(PICTURES, `${name.replaceAll(' ', '-')}-${size}.png`), fullPage: true });
      }
      expect(wrong).toEqual([]);
      await context.close();
    },
  );

  it('from the fleet to a finding, which is marked as wrong and taken back, without scripts', async () => {
    const context = await chromium.open({ javaScriptEnabled: false, viewport: { width: 360, height: 740 } });
    const page = await open(context);
    await page.click('nav >> text=Compliance');
    await page.click('h3 a:text-is("servers")');
    await page.fill('#q', 'sudo');
    await page.click('button:text-is("Search")');
    expect(await page.locator('tbody tr').count()).toBe(1);
    await page.click('tbody a');
    expect(await page.locator('main').textContent()).toContain('installs sudo');
    await page.click('tbody tr:first-child td a');
    await page.fill('input[name=reason]', 'sudo comes from our own image');
    await page.click('button:text-is("Mark as wrong")');
    expect(await page.locator('[role=status]').textContent()).toContain('Marked as wrong');
    await page.goto(`${api.url}${on('/rules/sudo-installed')}`);
    expect(await page.locator('tbody tr').count()).toBe(29);
    expect(await page.locator('main').textContent()).toContain('sudo comes from our own image');
    await page.goto(`${api.url}${own()}`);
    await page.click('button:has-text("Take that back")');
    expect(await page.locator('[role=status]').textContent()).toBe('It counts again.');
    await context.close();
  });
});

it('tells where to begin when nothing is imported', () => {
  expect(empty).toContain('No baseline is imported yet.');
  expect(empty).toContain('ringmaster baseline import ssg-debian12-ds.xml --name debian12');
});

it('shows how the fleet stands, what moved lately and what waits for somebody', async () => {
  const seen = await words(operator, '/compliance');
  expect(seen).toContain('servers debian12 version 1 observe trial: propose');
  expect(seen).toMatch(/pass 59 fail 60 ended in an error 1 not measured yet 5 of 125 endpoints/);
  expect(seen).toContain('all endpoints; on trial: group canaries (12)');
  expect(seen).toContain('107 over all endpoints; in the last 7 days 1 began to fail, 1 ceased to');
  expect(seen).toMatch(/Measured longest ago .* \(20 h .*ago\)/);
  expect(seen).toContain('web-001 has the new privileged user mallory');
  expect(seen).not.toContain('Measure endpoints by a baseline');
});

it('lists rules by the endpoints they fail on, searched and paged, with what stands aside', async () => {
  const first = await operator.get(on(''));
  const names = [...first.text.matchAll(/\/rules\/([a-z0-9-]+)"/g)].map(([, name]) => name);
  expect(names).toEqual(['sshd-no-root', 'sudo-installed', 'telnet-removed', 'partition-for-tmp', 'limit-1']);
  const seen = visibleText(first.text);
  expect(seen).toMatch(/sshd-no-root high 60 0 30 d ago runs a script/);
  expect(seen).toMatch(/telnet-removed excepted high 12 0 30 d ago removes telnet/);
  expect(seen).toMatch(/partition-for-tmp low 5 0 30 d ago no fix: the baseline has no fix for it/);
  expect(seen).toMatch(/telnet_\* for group web until .* the plant needs it\. Approved by .*; Olga answers for it\./);
  const all = await operator.get(on('?show=all&severity=low'));
  expect(visibleText(all.text)).toContain('1 to 25 of 37 rules');
  const next = /rel="next" href="([^"]+)"/.exec(all.text)?.[1]?.replaceAll('&amp;', '&') as string;
  expect(await words(operator, next)).toContain('26 to 37 of 37 rules');
});

it('shows a rule with its text, its fix and since when each endpoint fails', async () => {
  const script = await words(operator, on('/rules/sshd-no-root'));
  expect(script).toContain('Made for tests.');
  expect(script).toContain("echo 'PermitRootLogin no'");
  const { text } = await operator.get(on('/rules/sudo-installed'));
  expect(visibleText(text)).toMatch(/web-001 propose .*\(2 d ago\).*web-002 propose .*\(30 d ago\)/);
  expect(text).not.toContain('/remediate"');
  const many = await operator.get(on('/rules/sshd-no-root'));
  const next = /rel="next" href="([^"]+)"/.exec(many.text)?.[1] as string;
  expect((await operator.get(next)).text.match(/<th scope="row">/g)).toHaveLength(10);
});

it('requests a remediation of a rule in rings, or says what is wrong with them', async () => {
  const page = on('/rules/sudo-installed/remediate');
  const form = {
    ...{
      assignment: 'servers',
      reason: 'audit of December',
      testGroup: 'canaries',
      maxInFlight: '10',
      failedPercent: '5',
    },
    ...{ soakHours: '2', approver: 'Manager', deadlineDays: '14' },
  };
  expect(await submit(manager, page, page, { ...form, maxInFlight: 'many' })).toMatch(/maxInFlight: .*number/);
  await submit(manager, page, page, form);
  const { items } = (await api.call('GET', '/v1/changes')).body;
  expect(items).toHaveLength(1);
  const { spec } = (await db.pool.query('SELECT spec FROM change WHERE id = $1', [items[0].id])).rows[0];
  expect(spec).toMatchObject({
    kind: 'remediation',
    scope: { all: true },
    parameters: { assignments: ['servers'], rules: [testRuleId('sudo_installed')] },
    rings: [
      { select: { groups: ['canaries'] }, soakMinutes: 120 },
      { select: { sharePercent: 100 }, errorBudget: { percent: 5 } },
    ],
  });
  expect((await operator.get(page)).status).toBe(403);
  expect((await manager.get(on('/rules/partition-for-tmp/remediate'))).status).toBe(409);
});

it('compares a trial with the rest, widens it and keeps what else the assignment says', async () => {
  const seen = await words(operator, MODE);
  expect(seen).toContain('Endpoints 12 113');
  expect(seen).toContain('It can’t be widened yet: no remediation has ended on the trial yet');
  expect(seen).not.toContain('Mode of all');
  expect(await submit(manager, MODE, MODE, { step: 'widen', seen: 'A'.repeat(22) })).toContain(
    'somebody has changed it since you looked',
  );
  expect(await submit(manager, MODE, MODE, { step: 'widen' })).toContain(
    'the trial is not over: no remediation has ended',
  );
  expect(await submit(manager, MODE, MODE, { step: 'widen', override: 'in a hurry' })).toContain(
    'an override needs a person with the role Administrator',
  );
  await remediateCanary();
  expect(await submit(manager, MODE, MODE, { step: 'widen' })).toContain('Mode propose for all of them now.');
  const widened = (await api.call('GET', '/v1/baseline-assignments/servers')).body;
  expect(widened).toMatchObject({
    mode: 'propose',
    trial: null,
    precedence: 10,
    critical: [testRuleId('sshd_no_root')],
  });
  const trial = { step: 'trial', mode: 'enforce', group: 'canaries' };
  expect(await submit(manager, MODE, MODE, trial)).toContain('enforcement.rings');
  const rings = {
    testGroup: 'canaries',
    maxInFlight: '5',
    failedPercent: '0',
    soakHours: '1',
    approver: 'Manager',
    deadlineDays: '7',
  };
  expect(await submit(manager, MODE, MODE, { ...trial, ...rings })).toContain(
    'On trial with mode enforce: group canaries.',
  );
  expect(await submit(manager, MODE, MODE, { step: 'end' })).toContain('Mode propose for all of them now.');
  expect((await api.call('GET', '/v1/baseline-assignments/servers')).body).toMatchObject({
    trial: null,
    enforcement: null,
  });
  expect((await operator.post(MODE, { step: 'end' })).status).toBe(403);
  expect(await audit('baseline.assigned')).toHaveLength(4);
});

it('has endpoints measured by a baseline, in mode observe, under a name that is free', async () => {
  const profile = `debian12 1 ${(await api.call('GET', '/v1/baselines')).body.items[0].profiles[0].id}`;
  const form = { name: 'shops', profile, group: 'web' };
  expect(await submit(manager, '/compliance', '/compliance/assign', form)).toContain(
    'shops Mode observe for group web',
  );
  expect(await submit(manager, '/compliance', '/compliance/assign', { ...form, group: '' })).toContain(
    'there is an assignment shops already',
  );
});

describe('gold standards', () => {
  it('tell when there is none, and who may make one', () => {
    expect(noGold).toContain('None is captured yet. You need the role Manager for that.');
  });

  it('are listed; endpoints are, the farthest first, and what differs on one', async () => {
    expect(await words(operator, '/gold-standards')).toMatch(/good .* by .* web-120 1 1 0/);
    const first = await operator.get('/gold-standards/good');
    expect(visibleText(first.text)).toMatch(/Endpoint Rules that differ web-001 4 web-002 4/);
    const next = /rel="next" href="([^"]+)"/.exec(first.text)?.[1] as string;
    const second = await operator.get(next);
    expect(second.text).not.toContain('>web-001<');
    expect(second.text.match(/<th scope="row"/g)).toHaveLength(50);
    const seen = await words(operator, `/gold-standards/good/endpoints/${fleet.endpointId}`);
    expect(seen).toMatch(/sshd_no_root pass fail sudo_installed pass fail/);
    expect(seen).toMatch(/sudo:amd64 1\.9 1\.8 telnet:amd64 – there/);
    expect(seen).toMatch(/Services and listeners None differs\./);
  });

  it('are captured by the name of an endpoint, and forgotten, by whoever may', async () => {
    const capture = (fields: Record<string, string>) => submit(manager, '/gold-standards', '/gold-standards', fields);
    expect(await capture({ name: 'mine', endpoint: 'nobody' })).toContain('Not captured: no endpoint is called nobody');
    const { text, status } = await manager.post('/gold-standards', {
      _csrf: (await manager.get('/gold-standards')).field('_csrf'),
      ...{ name: 'mine', endpoint: 'nobody' },
    });
    expect(status).toBe(409);
    expect(text).toContain('<p class="message bad" role="alert">Not captured');
    expect(text).toMatch(/name="endpoint"[^>]* value="nobody".*name="name"[^>]* value="mine"/s);
    expect(await capture({ name: 'mine', endpoint: 'web-001' })).toContain('web-001 is captured as it is now.');
    expect(await words(operator, '/gold-standards')).toMatch(/mine .* by Ada Lovelace web-001/);
    expect((await operator.post('/gold-standards', { name: 'x', endpoint: 'web-001' })).status).toBe(403);
    expect((await manager.post('/gold-standards/mine/forget', {})).status).toBe(403);
    expect(await submit(manager, '/gold-standards/mine', '/gold-standards/mine/forget', {})).toContain(
      'mine is forgotten.',
    );
    for (const path of ['/gold-standards/mine', '/gold-standards/%00', '/gold-standards/good/endpoints/x'])
      expect([path, (await operator.get(path)).status]).toEqual([path, 404]);
    expect(await audit('goldStandard.forgotten')).toHaveLength(1);
  });
});

it('has an incident acknowledged and closed, once', async () => {
  const path = `/incidents/${fleet.incidentId}`;
  expect(await words(operator, '/')).toContain('Incidents open 1');
  expect(await words(operator, '/incidents')).toMatch(/Nobody looks after it; escalated in \d+ min/);
  expect(await submit(operator, '/incidents', `${path}/acknowledge`, {})).toMatch(
    /You look after it.*Acknowledged .* by Olga/,
  );
  const { text, status } = await operator.post(`${path}/acknowledge`, {
    _csrf: (await operator.get('/incidents')).field('_csrf'),
  });
  expect(status).toBe(409);
  expect(text).toContain('<p class="message bad" role="alert">Nothing to do: ');
  await submit(operator, '/incidents', `${path}/close`, {});
  expect(await words(operator, '/incidents?show=closed')).toContain('mallory');
  expect(await audit('incident.acknowledged')).toHaveLength(1);
});

it('shows on an endpoint’s page its baselines with the worst rules that fail, and has it measured', async () => {
  const path = `/endpoints/${fleet.endpointId}`;
  const seen = await words(operator, path);
  expect(seen).toMatch(
    /debian12 version 1 propose 4 failing, 0 ended in an error, 36 pass\. Measured .* Europe|debian12 version 1 propose 4 failing/,
  );
  expect(seen).toMatch(/high .*sshd_no_root.* high .*telnet_removed.* medium .*sudo_installed.*installs sudo low/);
  expect(await submit(manager, own(), `${path}/assess`, {})).toContain('It is asked to measure itself.');
  expect(await words(operator, own())).not.toContain('The finding is wrong');
});

it('does nothing by a form without its token, nor for whoever may not', async () => {
  const remediate = on('/rules/sshd-no-root/remediate');
  const assess = `/endpoints/${fleet.endpointId}/assess`;
  const forms = ['/compliance/assign', MODE, remediate, `${own()}/mark`, `${own()}/unmark`, assess];
  const token = (await operator.get('/incidents')).field('_csrf');
  for (const path of forms) {
    expect([path, (await manager.post(path, { reason: 'x' })).status]).toEqual([path, 403]);
    expect([path, (await operator.post(path, { _csrf: token })).text.includes('You need the role Manager')]).toEqual([
      path,
      true,
    ]);
  }
  expect((await manager.post(`/incidents/${fleet.incidentId}/close`, {})).status).toBe(403);
});

it('is not there for what never was, and answers whatever is asked', async () => {
  for (const nowhere of [
    '/compliance/nothing',
    '/compliance/%00',
    on('/rules/%00'),
    '/compliance/assignments/%00',
    on('/rules/nothing'),
    '/compliance/assignments/nothing',
    `/endpoints/${fleet.endpointId}/baselines/x`,
  ])
    expect([nowhere, (await operator.get(nowhere)).status]).toEqual([nowhere, 404]);
  for (const query of ['from=-1', 'from=x&q=%00', 'severity=x&show=x', 'cursor=x'])
    for (const path of [on(''), on('/rules/sshd-no-root'), own(), '/incidents', '/compliance'])
      expect([path, query, [200, 400].includes((await operator.get(`${path}?${query}`)).status)]).toEqual([
        path,
        query,
        true,
      ]);
});

it('shows what strangers wrote as text', async () => {
  const nasty = '<script>alert(1)</script>"\'&';
  await db.pool.query('UPDATE endpoint SET name = $2 WHERE id = $1', [fleet.endpointId, nasty]);
  await db.pool.query('UPDATE checklist_rule SET title = $1 WHERE position = 0', [nasty]);
  await db.pool.query('UPDATE incident SET summary = $1, closed_at = NULL', [nasty]);
  for (const path of Object.values({ ...pages(), ...alike() })) {
    const { status, text } = await manager.get(path);
    expect([path, status, text.includes('<script>alert')]).toEqual([path, 200, false]);
  }
});
