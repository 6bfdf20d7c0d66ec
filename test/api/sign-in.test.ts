import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { ensureBootstrapToken } from '../../db/identity/bootstrap.js';
import { startApi, type TestApi } from '../helpers/api-server.js';
import { Browser } from '../helpers/browser.js';
import { createDatabase, type TestDatabase } from '../helpers/postgres.js';

// The machine may be busy with other suites; nothing here is about speed.
jest.setTimeout(60_000);

let db: TestDatabase;
let api: TestApi;
const password = 'correct horse battery';

beforeAll(async () => {
  db = await createDatabase();
  api = await startApi({ apiUrl: db.apiUrl, pool: db.pool });
}, 60_000);
afterAll(async () => {
  await api?.close();
  await db?.drop();
});

let people = 0;
const person = async (roles: string[] = ['Manager']): Promise<{ id: string; email: string }> => {
  people += 1;
  const email = `Person${people}@Example.com`;
  const { body } = await api.call('POST', '/v1/accounts', {
    body: { name: `Person ${people}`, email, roles, password },
  });
  return { id: body.id, email };
};
const signIn = async (browser: Browser, email: string, given = password, next = '') => {
  const page = await browser.get(`/sign-in${next}`);
  return browser.post('/sign-in', { _csrf: page.field('_csrf'), next: page.field('next'), email, password: given });
};
const actions = async (subject: string) =>
  (await db.pool.query('SELECT action FROM audit_entry WHERE subject = $1 ORDER BY id', [subject])).rows.map(
    (r) => r.action,
  );

describe('signing in', () => {
  test('with the right password: a new session, recorded, and out again', async () => {
    const { id, email } = await person();
    const browser = new Browser(api.url);
    browser.cookies.set('ringmaster.sid', 's%3Aplanted.by-somebody');
    const reply = await signIn(browser, email.toUpperCase(), password, '?next=/v1/changes');
    expect([reply.status, reply.headers.get('location')]).toEqual([303, '/v1/changes']);
    expect(reply.headers.get('set-cookie')).toMatch(/ringmaster\.sid=s%3A.*HttpOnly; SameSite=Lax/);
    expect(browser.cookies.get('ringmaster.sid')).not.toContain('planted');
    expect((await browser.get('/v1/changes')).status).toBe(200);
    const home = await browser.get('/');
    expect(home.text).toContain('Signed in as');

    const before = browser.cookies.get('ringmaster.sid') ?? '';
    expect((await browser.post('/sign-out', { _csrf: home.field('_csrf') })).headers.get('location')).toBe('/sign-in');
    browser.cookies.set('ringmaster.sid', before);
    expect((await browser.get('/v1/changes')).status).toBe(401);
    expect(await actions(`account/${id}`)).toEqual(['account.created', 'session.started', 'session.ended']);
  });

  test('every sign-in gets a session id of its own', async () => {
    const { email } = await person();
    const browser = new Browser(api.url);
    const seen = new Set<string | undefined>();
    for (let i = 0; i < 2; i += 1) {
      await signIn(browser, email);
      seen.add(browser.cookies.get('ringmaster.sid'));
    }
    expect(seen.size).toBe(2);
  });

  test('with a wrong password, or as nobody: the same answer, both recorded', async () => {
    const { id, email } = await person();
    const wrong = await signIn(new Browser(api.url), email, 'wrong password!!');
    const nobody = await signIn(new Browser(api.url), 'nobody@example.com', 'wrong password!!');
    expect([wrong.status, nobody.status]).toEqual([401, 401]);
    const plain = (text: string) => text.replaceAll(/value="[^"]*"/g, '');
    expect(plain(wrong.text)).toBe(plain(nobody.text));
    expect(await actions(`account/${id}`)).toContain('session.refused');
    expect(await actions('account/unknown')).toContain('session.refused');
  });

  test('who has no password, or is disabled, does not get in', async () => {
    const { id, email } = await person();
    await api.call('PUT', `/v1/accounts/${id}/disabled`, { body: { disabled: true } });
    expect((await signIn(new Browser(api.url), email)).status).toBe(401);
    await ensureBootstrapToken(db.pool, { token: 'rmt_test-administrator', now: Date.now() });
    expect((await signIn(new Browser(api.url), 'administrator@localhost')).status).toBe(401);
  });

  test('guessing ends: the right password is refused, too, and says until when', async () => {
    const { email } = await person();
    for (let i = 0; i < 10; i += 1)
      expect((await signIn(new Browser(api.url), email, `wrong password ${i}`)).status).toBe(401);
    const reply = await signIn(new Browser(api.url), email);
    expect(reply.status).toBe(429);
    expect(Number(reply.headers.get('retry-after'))).toBeGreaterThan(0);
  });

  test.each(['//evil.example', '/\\evil.example', 'https://evil.example', 'javascript:alert(1)'])(
    'never leads to %s',
    async (next) => {
      const { email } = await person();
      const reply = await signIn(new Browser(api.url), email, password, `?next=${encodeURIComponent(next)}`);
      expect(reply.headers.get('location')).toBe('/');
    },
  );
});

describe('a session', () => {
  test('ends with its account, and follows its roles at once', async () => {
    const { id, email } = await person(['Manager']);
    const browser = new Browser(api.url);
    await signIn(browser, email);
    expect((await browser.get('/v1/audit')).status).toBe(200);
    await api.call('PUT', `/v1/accounts/${id}/roles`, { body: { roles: ['User'] } });
    expect((await browser.get('/v1/audit')).status).toBe(403);
    await api.call('PUT', `/v1/accounts/${id}/disabled`, { body: { disabled: true } });
    expect((await browser.get('/v1/audit')).status).toBe(401);
  });

  test('ends when the password is set anew', async () => {
    const { id, email } = await person();
    const browser = new Browser(api.url);
    await signIn(browser, email);
    await api.call('PUT', `/v1/accounts/${id}/password`, { body: { password: 'another long password' } });
    expect((await browser.get('/v1/changes')).status).toBe(401);
  });

  test.each([
    ['Origin', { origin: 'https://evil.example' }],
    ['Origin: null', { origin: 'null' }],
    ['Sec-Fetch-Site', { 'sec-fetch-site': 'cross-site' }],
    ['a sibling site', { 'sec-fetch-site': 'same-site' }],
  ])('is not lent to other sites (%s)', async (_, headers) => {
    const { email } = await person();
    const browser = new Browser(api.url);
    await signIn(browser, email);
    const put = (extra: Record<string, string>) =>
      browser.send('PUT', '/v1/groups/mine', {
        body: '{"selector":{"all":true}}',
        headers: { 'content-type': 'application/json', ...extra },
      });
    expect((await put(headers)).status).toBe(403);
    expect((await put({ origin: api.url })).status).toBe(200);
  });
});

describe('forms', () => {
  test('without our token, or with that of another browser, are refused', async () => {
    const { email } = await person();
    const browser = new Browser(api.url);
    await browser.get('/sign-in');
    const other = await new Browser(api.url).get('/sign-in');
    for (const _csrf of ['', 'x', other.field('_csrf')]) {
      expect((await browser.post('/sign-in', { _csrf, email, password, next: '/' })).status).toBe(403);
    }
    const page = await browser.get('/sign-in');
    const fields = { _csrf: page.field('_csrf'), email, password, next: '/' };
    expect((await browser.post('/sign-in', fields, { origin: 'https://evil.example' })).status).toBe(403);
  });

  test('pages have no scripts, load nothing from elsewhere, and can’t be framed', async () => {
    const page = await new Browser(api.url).get('/sign-in?next="><script>x</script>');
    expect(page.text).not.toContain('<script');
    const policy = page.headers.get('content-security-policy') ?? '';
    expect(policy).toContain("default-src 'none'");
    expect(policy).toContain("frame-ancestors 'none'");
    expect((await new Browser(api.url).get('/assets/page.css')).headers.get('content-type')).toContain('text/css');
  });
});

describe('the bootstrap token', () => {
  test('is idempotent, replaced by another one, and safe when several start at once', async () => {
    const ask = async (token: string) => (await api.call('GET', '/v1/accounts', { token })).status;
    const put = (token: string) => ensureBootstrapToken(db.pool, { token, now: Date.now() });
    await Promise.all([put('rmt_first-token'), put('rmt_first-token'), put('rmt_first-token')]);
    expect(await ask('rmt_first-token')).toBe(200);
    await put('rmt_second-token');
    expect([await ask('rmt_first-token'), await ask('rmt_second-token')]).toEqual([401, 200]);
    await put('rmt_first-token');
    expect([await ask('rmt_first-token'), await ask('rmt_second-token')]).toEqual([200, 401]);
    const { rows } = await db.pool.query(`SELECT count(*) AS n FROM account WHERE email = 'administrator@localhost'`);
    expect(rows[0].n).toBe(1);
    await put('rmt_test-administrator');
  });
});
