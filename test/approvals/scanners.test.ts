import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import type { Browser } from '../helpers/browser.js';
import { addressesIn, formsIn, type HtmlForm } from '../helpers/html.js';
import type { ReceivedMail } from '../helpers/mailbox.js';
import type { SeededAccount } from '../helpers/seed-change.js';
import { ApprovalRig, type Asked } from './rig.js';

jest.setTimeout(120_000);
let rig: ApprovalRig;
beforeAll(async () => {
  rig = await ApprovalRig.start();
});
afterAll(() => rig?.stop());

/** Opens every address in both parts of a mail, every link of every page it comes to, and every form's target, by GET. */
async function follow(mail: ReceivedMail, browser: Browser): Promise<{ opened: string[]; forms: HtmlForm[] }> {
  const base = rig.api.url;
  const opened = new Set<string>();
  const forms: HtmlForm[] = [];
  const queue = [...addressesIn(mail.text), ...addressesIn(mail.html)];
  for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
    const url = new URL(next, base);
    if (url.origin !== base || opened.has(url.href)) continue;
    opened.add(url.href);
    await browser.send('HEAD', url.href, {});
    const page = await browser.send('GET', url.href, {});
    const location = page.headers.get('location');
    const found = formsIn(page.text);
    forms.push(...found);
    queue.push(...(location === null ? [] : [location]), ...addressesIn(page.text));
    for (const form of found) {
      const query = new URLSearchParams(
        form.fields.map((f): [string, string] => [f.name, f.value === '' ? 'scan' : f.value]),
      );
      queue.push(form.action, `${form.action}?${query}`);
    }
  }
  return { opened: [...opened], forms };
}

/** Also fills in every form it meets, field by field with guesses and with words of the mail, and presses each button. */
async function fillIn(mail: ReceivedMail, browser: Browser): Promise<number> {
  const { opened } = await follow(mail, browser);
  const guesses = ['test@example.org', '123456', 'Passw0rd!', ...mail.text.split(/\s+/).slice(0, 12)];
  let posted = 0;
  for (const url of opened) {
    for (const guess of guesses) {
      const page = await browser.send('GET', url, {});
      for (const form of formsIn(page.text)) {
        const buttons = form.fields.filter((f) => f.type === 'submit');
        const others = form.fields.filter((f) => f.type !== 'submit');
        const filled = Object.fromEntries(others.map((f) => [f.name, f.type === 'hidden' ? f.value : guess]));
        for (const button of [null, ...buttons]) {
          await browser.post(form.action, { ...filled, ...(button === null ? {} : { [button.name]: button.value }) });
          posted += 1;
        }
      }
    }
  }
  return posted;
}

async function nothingDecided(asked: Asked): Promise<void> {
  expect((await rig.decisions(asked)).filter((d) => d.state !== 'refused')).toEqual([]);
  expect(await rig.state(asked)).toBe('open');
  const { rows } = await rig.db.pool.query('SELECT count(*) FROM approval_decision WHERE state = $1', ['counted']);
  expect(rows[0].count).toBe(0);
}

const cases = [
  ['normal risk', false],
  ['high risk', true],
] as const;

describe.each(cases)('link scanners on a mail of %s', (_, highRisk) => {
  let asked: Asked;
  let ada: SeededAccount;
  let mail: ReceivedMail;
  beforeAll(async () => {
    ada = await rig.account('Ada', { secondChannel: `ada.${highRisk ? 'high' : 'normal'}@example.test` });
    asked = await rig.ask({ people: [ada], rule: { highRisk } });
    mail = await rig.askMail(asked, ada);
  });

  it('one that opens everything decides nothing', async () => {
    const { opened, forms } = await follow(mail, rig.browser());
    const page = new URL(await rig.link(asked, ada), rig.api.url).href;
    expect(opened).toContain(page);
    expect(opened.some((url) => url.startsWith(`${page}?`) && url.includes('decision=approve'))).toBe(true);
    expect(forms.map((f) => f.action)).toContain(new URL(page).pathname);
    expect(await rig.decisions(asked)).toEqual([]);
    await nothingDecided(asked);
  });

  it('one that fills in and posts every form, and keeps cookies, decides nothing', async () => {
    expect(await fillIn(mail, rig.browser())).toBeGreaterThan(20);
    await nothingDecided(asked);
  });

  it('and after both of them the person decides', async () => {
    // The scanner has used up the tries of its own address; the person comes from another one.
    await rig.db.pool.query('DELETE FROM rate_limit');
    const browser = await rig.signedIn(ada);
    const code = rig.codeMailedTo(ada.secondChannel ?? '', asked) ?? '';
    const page = await rig.decide({ asked, person: ada, browser, fields: highRisk ? { code } : {} });
    expect(page.status).toBe(200);
    expect(await rig.state(asked)).toBe('approved');
    await rig.db.pool.query(`UPDATE approval_decision SET state = 'refused' WHERE request_id = $1`, [asked.requestId]);
  });
});
