/** What assistive technology, and browsers without JavaScript, need of the page. */
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { keepPackageLists } from '../../db/baseline/brings.js';
import { bringsOf, packageIndex } from '../../domain/content/brings.js';
import { formsIn, visibleText } from '../helpers/html.js';
import { ApprovalRig } from './rig.js';

jest.setTimeout(60_000);
let rig: ApprovalRig;
const pages: Record<string, { readonly text: string; readonly headers: Headers }> = {};

beforeAll(async () => {
  rig = await ApprovalRig.start();
  const ada = await rig.account('Ada', { secondChannel: 'ada.page@example.test' });
  const asked = await rig.ask({ people: [ada], rule: { quorum: 2 } });
  const path = await rig.link(asked, ada);
  const browser = await rig.signedIn(ada);
  pages['by code'] = await rig.browser().get(path);
  pages['signed in'] = await browser.get(path);
  pages.refused = await rig.decide({
    asked,
    person: ada,
    fields: { code: 'ABCDE-FGHJK', comment: 'a "quoted" <comment>' },
  });
  pages.decided = await rig.decide({ asked, person: ada, browser });
  const risky = await rig.ask({ people: [ada], rule: { highRisk: true } });
  pages['high risk'] = await (await rig.signedIn(ada)).get(await rig.link(risky, ada));
  const bob = await rig.account('Bob');
  const never = await rig.ask({ people: [bob], rule: { highRisk: true } });
  pages['no second channel'] = await rig.browser().get(await rig.link(never, bob));
});
afterAll(() => rig?.stop());

const NAMES = ['by code', 'signed in', 'refused', 'decided', 'high risk', 'no second channel'];
const VOID = new Set(['meta', 'link', 'input', 'br', 'hr', 'img']);

describe.each(NAMES)('the page, %s', (name) => {
  const html = () => pages[name]?.text ?? '';

  it('says its language and title, and fits small screens', () => {
    expect(html()).toMatch(/^<!doctype html>\s*<html lang="en">/);
    expect(html()).toMatch(/<title>Approve ring 1 of November · Ringmaster<\/title>/);
    expect(html()).toMatch(/<meta name="viewport"/);
    expect(html()).toMatch(/<main[ >]/);
  });

  it('is well-formed: every element is closed, in order', () => {
    const open: string[] = [];
    for (const [, slash, tag = ''] of html().matchAll(/<(\/?)([a-z][a-z0-9]*)\b[^>]*>/gi)) {
      if (VOID.has(tag)) continue;
      if (slash === '') open.push(tag);
      else expect(open.pop()).toBe(tag);
    }
    expect(open).toEqual([]);
  });

  it('has one main heading, and skips no level', () => {
    const levels = [...html().matchAll(/<h([1-6])\b/g)].map((m) => Number(m[1]));
    expect(levels.filter((l) => l === 1)).toHaveLength(1);
    expect(levels[0]).toBe(1);
    for (const [i, level] of levels.entries()) expect(level - (levels[i - 1] ?? 1)).toBeLessThanOrEqual(1);
  });

  it('labels every field, names every button, and describes with what is there', () => {
    const labels = new Set([...html().matchAll(/<label for="([^"]+)">\s*\S/g)].map((m) => m[1]));
    const ids = [...html().matchAll(/\sid="([^"]+)"/g)].map((m) => m[1]);
    expect(new Set(ids).size).toBe(ids.length);
    for (const [tag] of html().matchAll(/<(?:input|textarea|select)\b[^>]*>/g)) {
      if (tag.includes('type="hidden"')) continue;
      expect(labels).toContain(/\sid="([^"]+)"/.exec(tag)?.[1]);
    }
    for (const [, text = ''] of html().matchAll(/<button\b[^>]*>([^<]*)<\/button>/g)) expect(text.trim()).not.toBe('');
    for (const [, id] of html().matchAll(/aria-describedby="([^"]+)"/g)) expect(ids).toContain(id);
  });

  it('has headers in its table', () => {
    expect(html()).toMatch(/<caption>/);
    expect([...html().matchAll(/<th\b[^>]*>/g)].every(([tag]) => /scope="(row|col)"/.test(tag))).toBe(true);
  });

  it('needs no script and loads nothing from elsewhere', () => {
    expect(html()).not.toMatch(/<script|javascript:|\son[a-z]+=|style=/i);
    expect([...html().matchAll(/(?:src|href|action)="([^"]*)"/g)].every(([, to = '']) => to.startsWith('/'))).toBe(
      true,
    );
    const headers = pages[name]?.headers;
    expect(headers?.get('content-security-policy')).toContain("default-src 'none'");
    // No other site learns the locator; our own form still says where it comes from.
    expect(headers?.get('referrer-policy')).toBe('same-origin');
    expect(headers?.get('cache-control')).toBe('no-store');
  });
});

it('asks for a code only from whom one is wanted', () => {
  const code = (name: string) =>
    formsIn(pages[name]?.text ?? '').flatMap((f) => f.fields.filter((field) => field.name === 'code'));
  expect(NAMES.map((name) => code(name).length)).toEqual([1, 0, 1, 0, 1, 0]);
  expect(pages['high risk']?.text).toMatch(/<input id="code"[^>]*\srequired/);
  expect(pages['by code']?.text).not.toMatch(/<input id="code"[^>]*\srequired/);
});

it('says what happened where a screen reader hears it, and keeps what was typed', () => {
  expect(pages.refused?.text).toMatch(/role="alert">Not counted/);
  expect(pages.refused?.text).toContain('a &quot;quoted&quot; &lt;comment&gt;</textarea>');
  expect(pages.decided?.text).toMatch(/role="status">Your decision \(approve\) has been counted/);
});

it('leads whoever has the link to all that a package may bring with it, and to no other list', async () => {
  const file = (name: string, depends = '') => ({
    provides: '',
    name,
    version: '1',
    arch: 'amd64',
    sha256: randomBytes(32).toString('hex'),
    depends,
  });
  const [aide, libaio, tree] = [file('aide', 'libaio'), file('libaio'), file('tree')];
  const lists = [aide, tree].map((root) => bringsOf(packageIndex([aide, libaio, tree]), root));
  const kept = lists.flatMap((one) => (one.ok ? [one] : []));
  await keepPackageLists(rig.db.pool, kept, rig.clock());
  const [brings, other] = kept;
  const ada = await rig.account('Ada');
  const change = await rig.smallChange((await rig.account('Requester')).id);
  await rig.db.pool.query(
    `WITH us AS (INSERT INTO update_set (digest, items)
       SELECT $2, jsonb_set(u.items, '{0,installs}', $3) FROM plan_endpoint p JOIN update_set u ON u.digest = p.update_set_digest
        WHERE p.change_id = $1 LIMIT 1 RETURNING digest)
     UPDATE plan_endpoint SET update_set_digest = us.digest FROM us WHERE change_id = $1`,
    [change.changeId, randomBytes(32).toString('hex'), JSON.stringify({ ...aide, brings: brings?.list })],
  );
  const asked = await rig.ask({ people: [ada], change });
  const browser = rig.browser();
  const path = await rig.link(asked, ada);
  const link = /href="([^"]+)">What may come with it/.exec((await browser.get(path)).text)?.[1] ?? '';
  expect(link).toBe(`${path}/packages/${brings?.list.sha256}`);
  const page = await browser.get(link);
  expect([page.status, page.headers.get('cache-control')]).toEqual([200, 'no-store']);
  expect(visibleText(page.text)).toMatch(/1 file.*libaio 1 amd64/s);
  expect(page.text).toContain(`href="${path}"`);
  expect((await browser.get(`${path}/packages/${other?.list.sha256}`)).status).toBe(404);
  expect((await browser.get(link.replace(path, `/approvals/${'A'.repeat(32)}`))).status).toBe(404);
});
