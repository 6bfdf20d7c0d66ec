import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { looksLikeCode } from '../../domain/approval/one-time-code.js';
import { TOO_MANY_WRONG_CODES, WRONG_CODE } from '../../domain/approval/refusal.js';
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

/** Codes as they are made, and wrong: for somebody else, for another request, and such as the mail's own letters come to. */
function wrongCodes(mail: ReceivedMail, others: readonly string[]): string[] {
  const letters = mail.text.toUpperCase().replace(/[^2-9A-HJKMNP-TV-Z]/g, '');
  const codes = [...others, '22222-22222', letters.slice(0, 10), letters.slice(-10)];
  expect(codes.filter((code) => !looksLikeCode(code))).toEqual([]);
  return codes;
}

/** Sends each form it has found to each address it has found, with a code, each button and every hex word of the mail as the plan. */
async function postCodes(args: {
  readonly mail: ReceivedMail;
  readonly codes: readonly string[];
  readonly browser: Browser;
}): Promise<number[]> {
  const { mail, codes, browser } = args;
  const { opened, forms } = await follow(mail, browser);
  const deciding = forms.filter((form) => form.fields.some(({ name }) => name === 'planDigest'));
  const digests = mail.text.match(/\b[0-9a-f]{64}\b/g) ?? [];
  const statuses: number[] = [];
  for (const form of deciding.slice(0, 2)) {
    for (const url of new Set([form.action, ...opened.map((one) => new URL(one).pathname)])) {
      for (const [at, code] of codes.entries()) {
        // A token of the page as it is now: what is refused is to be refused for the code.
        const page = await browser.get(form.action);
        const fields = form.fields.map(({ name, value }): [string, string] => [name, value === '' ? code : value]);
        const csrf = /name="_csrf" value="([^"]*)"/.exec(page.text)?.[1] ?? '';
        const planDigest = digests[at % Math.max(1, digests.length)];
        const over = { _csrf: csrf, decision: 'approve', code, ...(planDigest === undefined ? {} : { planDigest }) };
        statuses.push((await browser.post(url, { ...Object.fromEntries(fields), ...over })).status);
      }
    }
  }
  return statuses;
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

  it('two that post every field with codes that are well formed and wrong decide nothing', async () => {
    const bob = await rig.account('Bob', { secondChannel: `bob.${highRisk ? 'high' : 'normal'}@example.test` });
    const another = await rig.ask({ people: [ada, bob], rule: { highRisk } });
    const others = [ada, bob].map((person) => rig.codeMailedTo(person.secondChannel ?? '', another) ?? '');
    const codes = wrongCodes(mail, others);
    const statuses = (await Promise.all([1, 2].map(() => postCodes({ mail, codes, browser: rig.browser() })))).flat();
    expect([...new Set(statuses)].filter((status) => status < 400 && status !== 303)).toEqual([]);
    // Codes were really looked at, until there were too many; and none of them was one.
    expect(statuses).toContain(422);
    const judged = await rig.decisions(asked);
    expect(judged.length).toBeGreaterThanOrEqual(codes.length);
    expect(new Set(judged.map(({ state, reason }) => `${state}: ${reason}`))).toEqual(
      new Set([`refused: ${WRONG_CODE}`, `refused: ${TOO_MANY_WRONG_CODES}`]),
    );
    await nothingDecided(asked);
    await nothingDecided(another);
  });

  it('and after all of them the person decides', async () => {
    // The scanner has used up the tries of its own address to sign in; the person comes from another one.
    await rig.db.pool.query(`DELETE FROM rate_limit WHERE key NOT LIKE 'approval-code:%'`);
    const browser = await rig.signedIn(ada);
    const code = rig.codeMailedTo(ada.secondChannel ?? '', asked) ?? '';
    const page = await rig.decide({ asked, person: ada, browser, fields: highRisk ? { code } : {} });
    expect(page.status).toBe(200);
    expect(await rig.state(asked)).toBe('approved');
    await rig.db.pool.query(`UPDATE approval_decision SET state = 'refused' WHERE request_id = $1`, [asked.requestId]);
  });
});
