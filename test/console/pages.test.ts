/** The console in a real browser: usable by everybody, live, and just as well without scripts. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { AxeBuilder } from '@axe-core/playwright';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import type { BrowserContext, Page } from 'playwright-core';
import { approvalPages } from '../../api/approvals/pages.js';
import { eventually } from '../helpers/api-process.js';
import { startApi, type TestApi } from '../helpers/api-server.js';
import { type Chromium, chromiumPath, startChromium } from '../helpers/chromium.js';
import { createDatabase, type TestDatabase } from '../helpers/postgres.js';
import type { SeededAccount } from '../helpers/seed-change.js';
import { type ConsoleFleet, PASSWORD, seedFleet } from './fleet.js';

jest.setTimeout(120_000);
const inBrowser = chromiumPath === undefined ? describe.skip : describe;
/** A folder to look at what the pages look like. */
const PICTURES = process.env.RINGMASTER_TEST_PICTURES;
const DESKTOP = { width: 1280, height: 900 };
const PHONE = { width: 360, height: 740 };
const SMALLEST = { width: 320, height: 640 };

let db: TestDatabase;
let api: TestApi;
let chromium: Chromium;
let fleet: ConsoleFleet;

const signIn = async (context: BrowserContext, who: SeededAccount): Promise<Page> => {
  const page = await context.newPage();
  await page.goto(`${api.url}/sign-in`);
  await page.fill('#email', who.email);
  await page.fill('#password', PASSWORD);
  await page.click('button[type=submit]');
  await page.waitForURL(`${api.url}/`);
  return page;
};
const pagesOf = (f: ConsoleFleet): Record<string, string> => ({
  home: '/',
  changes: '/changes',
  change: `/changes/${f.changeId}`,
  'closed change': `/changes/${f.closedId}`,
  pause: `/changes/${f.changeId}/pause`,
  rollback: `/changes/${f.changeId}/rollback`,
  skip: `/changes/${f.changeId}/skip`,
  'stop everything': '/stop-all',
  'zero-days': '/zero-days',
  'a zero-day': `/zero-days/${f.zeroDayId}`,
  approvals: '/approvals',
  approval: `/approvals/${f.locator}`,
  endpoints: '/endpoints',
  'nothing found': '/endpoints?q=nobody',
  endpoint: `/endpoints/${f.endpointId}`,
  packages: `/endpoints/${f.endpointId}/packages`,
  audit: '/audit',
  'not there': '/changes/none',
});

inBrowser('the console', () => {
  beforeAll(async () => {
    db = await createDatabase();
    [api, chromium, fleet] = await Promise.all([
      startApi({ apiUrl: db.apiUrl, pool: db.pool, plugs: [(context) => ({ pages: approvalPages(context) })] }),
      startChromium(),
      seedFleet(db.pool),
    ]);
    if (PICTURES !== undefined) mkdirSync(PICTURES, { recursive: true });
  });
  afterAll(async () => {
    await chromium?.close();
    await api?.close();
    await db?.drop();
  });

  it.each([
    ['light', 'desktop', DESKTOP],
    ['dark', 'phone', PHONE],
  ] as const)('has nothing that axe objects to: %s, %s', async (colorScheme, size, viewport) => {
    const context = await chromium.open({ viewport, colorScheme });
    const page = await signIn(context, fleet.ada);
    const found: string[] = [];
    for (const [name, path] of Object.entries(pagesOf(fleet))) {
      await page.goto(`${api.url}${path}`);
      const { violations } = await new AxeBuilder({ page }).setLegacyMode(true).analyze();
      found.push(...violations.map((v) => `${name}: ${v.id} ${v.nodes.map((n) => n.html).join(' ')}`));
      if (PICTURES !== undefined)
        await page.screenshot({
          path: join(PICTURES, `${name}-${size}-${colorScheme}.png`.replaceAll(' ', '-')),
          fullPage: true,
        });
    }
    expect(found).toEqual([]);
    await context.close();
  });

  it('fits 320 pixels without scrolling sideways, and every page is small', async () => {
    const context = await chromium.open({ viewport: SMALLEST });
    const page = await signIn(context, fleet.ada);
    const wrong: string[] = [];
    for (const [name, path] of Object.entries(pagesOf(fleet))) {
      const reply = await page.goto(`${api.url}${path}`);
      const size = (await reply?.body())?.length ?? 0;
      if (size > 50_000) wrong.push(`${name} has ${size} bytes`);
      const width = await page.evaluate('document.documentElement.scrollWidth');
      if (width !== SMALLEST.width) wrong.push(`${name} is ${width} wide`);
    }
    expect(wrong).toEqual([]);
    await context.close();
  });

  it('shows a ring’s counts as they change, without loading the page again, and says only what matters', async () => {
    const context = await chromium.open();
    const page = await signIn(context, fleet.olga);
    await page.goto(`${api.url}/changes/${fleet.changeId}`);
    // Not `waitForFunction`: what it asks again later is `eval` in the page, which the page's policy forbids.
    await page.locator('#live-state', { hasText: 'up to date' }).waitFor();
    await page.evaluate('window.notLoadedAgain = true');
    const count = page.locator('[data-count="2 succeeded"]');
    expect(await count.textContent()).toBe('18');
    await db.pool.query(
      `UPDATE order_state SET state = 'succeeded', phase = 'done' WHERE change_id = $1 AND ring = 2 AND state = 'applying'`,
      [fleet.changeId],
    );
    await db.pool.query(`SELECT pg_notify('rm_orders', $1)`, [fleet.changeId]);
    await eventually(
      async () => count.textContent(),
      (text) => text === '24',
      30,
    );
    expect(await page.locator('#said').textContent()).toBe('');
    await db.pool.query(`UPDATE change SET waiting_for = 'Ring 3 waits for a person to approve it' WHERE id = $1`, [
      fleet.changeId,
    ]);
    await eventually(
      async () => page.locator('#said').textContent(),
      (text) => text === 'Ring 3 waits for a person to approve it',
      30,
    );
    expect(await page.evaluate('window.notLoadedAgain')).toBe(true);
    await context.close();
  });

  it('pauses a change by keyboard alone', async () => {
    const context = await chromium.open();
    const page = await signIn(context, fleet.ada);
    await page.goto(`${api.url}/changes/${fleet.changeId}`);
    await page.keyboard.press('Tab');
    expect(await page.evaluate('document.activeElement.textContent')).toBe('Skip to the content');
    await page.keyboard.press('Enter');
    await page.keyboard.press('Tab');
    expect(await page.evaluate('document.activeElement.textContent')).toBe('Pause');
    await page.keyboard.press('Enter');
    await page.waitForURL(/\/pause$/);
    const focused = async () => page.evaluate('document.activeElement.id || document.activeElement.textContent');
    for (let i = 0; i < 20 && (await focused()) !== 'reason'; i += 1) await page.keyboard.press('Tab');
    await page.keyboard.type('the ERP is being moved');
    await page.keyboard.press('Tab');
    expect(await focused()).toBe('Pause');
    await page.keyboard.press('Enter');
    await page.waitForURL(`${api.url}/changes/${fleet.changeId}`);
    expect(await page.locator('[role=status].good').textContent()).toMatch(/^Paused: nothing more is released/);
    expect(await page.locator('[data-live=state] .message').textContent()).toMatch(/^Paused by Ada Lovelace\./);
    const { rows } = await db.pool.query('SELECT halted, halt_verb, halted_by FROM change WHERE id = $1', [
      fleet.changeId,
    ]);
    expect(rows).toEqual([{ halted: true, halt_verb: 'pause', halted_by: fleet.ada.id }]);
    // Said once.
    await page.reload();
    expect(await page.locator('[role=status].good').count()).toBe(0);
    await context.close();
  });

  it('works without scripts: search, forms with their mistakes named, hold and lift, loading again only for who asks', async () => {
    const context = await chromium.open({ javaScriptEnabled: false, viewport: PHONE });
    const page = await signIn(context, fleet.ada);
    await page.click('nav >> text=Endpoints');
    await page.fill('#q', 'site=graz');
    await page.selectOption('#sort', 'silent');
    await page.click('button:has-text("Search")');
    expect(await page.locator('tbody tr').count()).toBe(50);
    await page.click('text=More endpoints');
    expect(await page.locator('tbody tr').count()).toBe(10);
    await page.fill('#q', 'erp-119');
    await page.click('button:has-text("Search")');
    await page.click('tbody a');
    expect(await page.locator('h1').textContent()).toContain('erp-119');

    await page.click('button:has-text("Scan now")');
    expect(await page.locator('[role=status]').textContent()).toContain('asked for a fresh scan');
    await page.selectOption('#hours', '24');
    await page.fill('#reason', 'year-end closing');
    await page.click('button:text-is("Hold")');
    expect(await page.locator('[role=status]').textContent()).toContain('Held for 1 day');
    expect(await page.locator('main').textContent()).toContain('year-end closing');
    await page.click('button:has-text("Lift the hold")');
    expect(await page.locator('[role=status]').textContent()).toBe('The hold is lifted.');

    await page.goto(`${api.url}/changes/${fleet.changeId}/skip`);
    await page.fill('#endpoint', 'no-such-host');
    await page.fill('#reason', 'broken disk');
    await page.click('main button');
    expect(await page.locator('[role=alert]').textContent()).toBe('Endpoint: this change has none of that name');
    expect(await page.inputValue('#reason')).toBe('broken disk');

    await page.goto(`${api.url}/changes/${fleet.changeId}`);
    expect(await page.locator('meta[http-equiv=refresh]').count()).toBe(0);
    // Playwright's text selectors leave out what <noscript> shows.
    await page.click('a[href$="?reload=20"]');
    expect(await page.content()).toContain('http-equiv="refresh" content="20"');
    await page.goto(`${api.url}/changes/${fleet.changeId}/pause?reload=20`);
    expect(await page.content()).not.toContain('http-equiv="refresh"');
    await context.close();
  });

  it('leads from the inbox to the page where one decides, which runs no script', async () => {
    const context = await chromium.open();
    const page = await signIn(context, fleet.ada);
    await page.click('nav >> text=Approvals');
    await page.click('main a:has-text("November updates")');
    expect(await page.locator('h1').textContent()).toBe('November updates');
    expect(await page.locator('button[value=approve]').count()).toBe(1);
    const reply = await page.reload();
    expect(reply?.headers()['content-security-policy']).not.toContain('script-src');
    expect(await page.locator('script').count()).toBe(0);
    await context.close();
  });

  it('says that simulated endpoints are, everywhere', async () => {
    const context = await chromium.open();
    const page = await signIn(context, fleet.olga);
    const { rows } = await db.pool.query('SELECT id FROM endpoint WHERE simulated LIMIT 1');
    for (const path of ['/', '/endpoints', `/endpoints/${rows[0].id}`, `/endpoints/${rows[0].id}/packages`]) {
      await page.goto(`${api.url}${path}`);
      expect([path, await page.locator('main').getByText('simulated').count()]).not.toEqual([path, 0]);
    }
    await context.close();
  });
});
