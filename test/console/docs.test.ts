/** `/docs` in a real browser: the whole document, tried with a token, and nothing from elsewhere. */
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { ADMIN_TOKEN, startApi, type TestApi } from '../helpers/api-server.js';
import { type Chromium, chromiumPath, startChromium } from '../helpers/chromium.js';
import { createDatabase, type TestDatabase } from '../helpers/postgres.js';

jest.setTimeout(120_000);
const inBrowser = chromiumPath === undefined ? describe.skip : describe;

inBrowser('/docs', () => {
  let db: TestDatabase;
  let api: TestApi;
  let chromium: Chromium;
  beforeAll(async () => {
    db = await createDatabase();
    [api, chromium] = await Promise.all([startApi({ apiUrl: db.apiUrl, pool: db.pool }), startChromium()]);
  }, 120_000);
  afterAll(async () => {
    await chromium?.close();
    await api?.close();
    await db?.drop();
  });

  test('lists every group of operations, shows those of one, asks the API with the token given, and loads nothing from elsewhere', async () => {
    const { body: document } = await api.call('GET', '/v1/openapi.json', { token: null });
    type Operation = { readonly tags: readonly string[] };
    const tags = new Set(
      Object.values(document.paths as Record<string, Record<string, Operation>>)
        .flatMap((methods) => Object.values(methods))
        .flatMap((operation) => operation.tags ?? []),
    );
    const context = await chromium.open();
    const page = await context.newPage();
    const wrong: string[] = [];
    page.on('console', (message) => void (message.type() === 'error' && wrong.push(message.text())));
    page.on('pageerror', (error) => wrong.push(error.message));
    page.on('request', (request) => {
      const { origin, protocol } = new URL(request.url());
      if (origin !== api.url && protocol !== 'data:') wrong.push(request.url());
    });
    await page.goto(`${api.url}/docs`);
    await page.locator('.opblock-tag').first().waitFor();
    expect(tags.size).toBeGreaterThan(20);
    expect(await page.locator('.opblock-tag').count()).toBe(tags.size);
    await page.click('#operations-tag-self');
    await page.locator('[data-path="/v1/self"]').first().waitFor();

    await page.locator('button.authorize').first().click();
    await page.locator('.auth-container input').first().fill(ADMIN_TOKEN);
    await page.locator('.auth-container button.authorize').first().click();
    await page.locator('button.btn-done').first().click();
    const self = page.locator('.opblock', { has: page.locator('[data-path="/v1/self"]') });
    await self.locator('.opblock-summary').click();
    await self.locator('.try-out__btn').click();
    await self.locator('button.execute').click();
    const answer = self.locator('.live-responses-table .response-col_status').first();
    await answer.waitFor();
    expect(await self.locator('.live-responses-table').textContent()).toContain('"roles"');
    expect(wrong).toEqual([]);
    await context.close();
  });
});
