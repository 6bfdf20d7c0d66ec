import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { visibleText } from '../helpers/html.js';
import type { ReceivedMail } from '../helpers/mailbox.js';
import { approvalRule } from '../helpers/scripted-activities.js';
import { type SeededAccount, seedChange, seedEndpoint, seedOutcome, seedPolicy } from '../helpers/seed-change.js';
import { ApprovalRig, type Asked } from './rig.js';

jest.setTimeout(60_000);
let rig: ApprovalRig;
let ada: SeededAccount;
let asked: Asked;
let mail: ReceivedMail;
let page: string;

beforeAll(async () => {
  rig = await ApprovalRig.start();
  const { pool } = rig.db;
  const requester = await rig.account('Rita');
  ada = await rig.account('Ada', { secondChannel: 'ada.mails@example.test', zone: 'Europe/Berlin' });
  const policyId = await seedPolicy(pool, {
    name: 'Servers EU',
    document: {
      hours: {
        communicate: { always: true },
        stage: { always: true },
        apply: { windows: [{ rrule: 'FREQ=WEEKLY;BYDAY=SA', from: '22:00', to: '04:00', zone: 'Europe/Berlin' }] },
      },
    },
  });
  const make = (name: string) => seedEndpoint(pool, { name });
  const tests = [await make('test-a'), await make('test-b')];
  const [webA, webB, erp] = [await make('web-a'), await make('web-b'), await make('erp-1')];
  const openssl = { source: 'openssl', from: '3.0-1', to: '3.0-3', cves: ['CVE-2026-1111', 'CVE-2026-2222'] };
  const change = await seedChange(pool, {
    requestedBy: requester.id,
    name: 'November <b>& more</b>\r\nBcc: eve@example.test',
    reason: 'Monthly "Patch Tuesday"',
    rings: [
      { name: 'test group', endpoints: tests, updates: [{ name: 'libssl3', ...openssl }] },
      {
        name: 'web & ERP',
        endpoints: [webA, webB, erp],
        updates: [
          { name: 'libssl3', ...openssl },
          { name: 'openssl', ...openssl },
          { name: 'linux-image-6.1.0-30-amd64', source: 'linux', from: null, to: '6.1.0-30' },
        ],
        triage: [
          { name: 'postgresql-17', to: '17.3-1', outcome: 'deferred', reason: 'upstream soak: 2 of 7 days' },
          { name: 'nano', to: '7.2-2', outcome: 'declined', reason: 'on the deny list' },
        ],
        reversibility: 'irreversible',
        policyId,
      },
    ],
  });
  const outcome = { changeId: change.changeId, ring: 0 };
  await seedOutcome(pool, { ...outcome, endpointId: tests[0] as string, state: 'succeeded' });
  await seedOutcome(pool, {
    ...outcome,
    endpointId: tests[1] as string,
    state: 'reverted',
    reason: 'postinst of libssl3 failed',
  });
  asked = await rig.ask({ people: [ada], change });
  mail = await rig.askMail(asked, ada);
  page = (await rig.browser().get(await rig.link(asked, ada))).text;
});
afterAll(() => rig?.stop());

describe('mail and page', () => {
  const said: [string, RegExp][] = [
    ['what', /November/],
    ['what in detail', /openssl.*3\.0-1.*3\.0-3/s],
    ['a new package', /linux.*new.*6\.1\.0-30/s],
    ['why', /Monthly "Patch Tuesday"/],
    ['who asks', /Rita/],
    ['what it fixes', /CVE-2026-1111, CVE-2026-2222/],
    ['where', /erp-1, web-a, web-b/],
    ['when', /Servers EU, UTC, 3 endpoints: .*Sat .*Europe\/Berlin/],
    ['until when', /\d \w{3} \d{4} \d\d:\d\d Europe\/Berlin/],
    ['risk: what cannot be undone', /can't be undone on 3 endpoints/],
    ['risk: limits', /error budget 1 endpoint \(failed\); beyond it: pause/],
    ['risk: failures before', /1 endpoint failed in the rings before/],
    ['test results', /ring 0 .test group. \(waiting\): 1 succeeded, 1 failed, 0 other/i],
    ['test failures', /test-b: postinst of libssl3 failed/],
    ['what is deferred', /deferred: postgresql-17 17\.3-1 on 3 endpoints: upstream soak: 2 of 7 days/],
    ['what is declined', /declined: nano 7\.2-2 on 3 endpoints: on the deny list/],
  ];
  it.each(said)('say %s: in the text, in the HTML and on the page', (_, words) => {
    const plain = (text: string) => text.replace(/[“”]/g, '"');
    expect(plain(mail.text)).toMatch(words);
    expect(visibleText(plain(mail.html.replaceAll('&ldquo;', '"').replaceAll('&rdquo;', '"')))).toMatch(words);
    expect(visibleText(plain(page))).toMatch(words);
  });

  it('name the plan by its digest', () => {
    for (const text of [mail.text, mail.html, page]) expect(text).toContain(asked.planDigest);
  });

  it('text as people typed it stays text: no markup, no header of its own', () => {
    expect(mail.html).toContain('November &lt;b&gt;&amp; more&lt;/b&gt;');
    expect(page).toContain('November &lt;b&gt;&amp; more&lt;/b&gt;');
    expect(mail.html).not.toContain('<b>');
    expect(mail.subject).toContain('November <b>& more</b> Bcc: eve@example.test');
    expect(rig.mailbox.to('eve@example.test')).toEqual([]);
    expect(mail.text).not.toMatch(/^Bcc/m);
  });

  it('the link is there once each, without a code; the code went elsewhere, without a link', async () => {
    const link = `${rig.api.url}${await rig.link(asked, ada)}`;
    expect(mail.text.split(link)).toHaveLength(2);
    expect(mail.html.split(link)).toHaveLength(2);
    const code = rig.codeMailedTo('ada.mails@example.test', asked) as string;
    expect(mail.text + mail.html).not.toContain(code);
    const [codeMail] = rig.mailbox.to('ada.mails@example.test');
    expect(`${codeMail?.text}${codeMail?.html}`).toContain(code);
    expect(`${codeMail?.text}${codeMail?.html}`).not.toMatch(/https?:/);
  });
});

describe('evidence', () => {
  it('is frozen when asked: what changes later does not change the page, and an activity’s retry asks nobody anew', async () => {
    const { pool } = rig.db;
    const before = rig.mailbox.mails.length;
    await pool.query(`UPDATE plan_endpoint SET triage = '[]' WHERE change_id = $1`, [asked.changeId]);
    const again = await rig.activities.openApproval({
      requestId: asked.requestId,
      changeId: asked.changeId,
      ring: 1,
      rule: approvalRule({ from: { accounts: [ada.id] } }),
      planDigest: asked.planDigest,
    });
    await rig.sendMail();
    expect(again.people).toEqual([ada.name]);
    expect(rig.mailbox.mails).toHaveLength(before);
    const now = (await rig.browser().get(await rig.link(asked, ada))).text;
    expect(visibleText(now)).toContain('declined: nano');
    expect((await rig.audit(asked)).filter((a) => a === 'approval.opened')).toHaveLength(1);
  });

  it('long lists stop at a hundred, and say how many more there are', async () => {
    const { pool } = rig.db;
    const requester = await rig.account('Rita');
    const endpoints: string[] = [];
    for (let i = 0; i < 103; i += 1)
      endpoints.push(await seedEndpoint(pool, { name: `many-${String(i).padStart(3, '0')}` }));
    const change = await seedChange(pool, {
      requestedBy: requester.id,
      rings: [
        { name: 'test', endpoints: [] },
        {
          name: 'many',
          endpoints,
          updates: Array.from({ length: 107 }, (_, i) => ({
            name: `p${i}`,
            from: '1',
            to: '2',
            cves: [`CVE-2026-${9000 + i}`],
          })),
          triage: Array.from({ length: 101 }, (_, i) => ({
            name: `q${i}`,
            to: '2',
            outcome: 'deferred' as const,
            reason: 'young',
          })),
        },
      ],
    });
    const bob = await rig.account('Bob');
    const many = await rig.ask({ people: [bob], change });
    const { text, html } = await rig.askMail(many, bob);
    const shown = (await rig.browser().get(await rig.link(many, bob))).text;
    for (const body of [text, visibleText(html), visibleText(shown)]) {
      expect(body).toMatch(/many-099,? and 3 more/);
      expect(body).toMatch(/and 7 more/i);
      expect(body).toMatch(/and 1 more/i);
    }
    expect(text).toContain('CVE-2026-9106');
  });

  it('counts endpoints once, however many sets and packages of a source they get', async () => {
    const { pool } = rig.db;
    const requester = await rig.account('Rita');
    const [a, b] = [await seedEndpoint(pool, { name: 'one' }), await seedEndpoint(pool, { name: 'two' })];
    const curl = [
      { name: 'curl', source: 'curl', from: '1', to: '2' },
      { name: 'libcurl4', source: 'curl', from: '1', to: '2' },
    ];
    const change = await seedChange(pool, {
      requestedBy: requester.id,
      rings: [
        { name: 'test', endpoints: [] },
        { name: 'first', endpoints: [a], updates: curl },
        { name: 'second', endpoints: [b], updates: [...curl, { name: 'vim', from: '1', to: '2' }] },
      ],
    });
    await pool.query('UPDATE plan_endpoint SET ring = 1 WHERE change_id = $1', [change.changeId]);
    const bob = await rig.account('Bob');
    const both = await rig.ask({ people: [bob], change });
    expect((await rig.askMail(both, bob)).text).toContain('curl 1 -> 2 on 2 endpoints: curl, libcurl4');
  });

  it('a failure that was tried again and went well is no failure', async () => {
    const { pool } = rig.db;
    const change = await rig.smallChange((await rig.account('Rita')).id);
    const { rows } = await pool.query('SELECT endpoint_id FROM plan_endpoint WHERE change_id = $1 AND ring = 0', [
      change.changeId,
    ]);
    const row = { changeId: change.changeId, ring: 0, endpointId: rows[0].endpoint_id };
    await seedOutcome(pool, { ...row, state: 'failed', retried: true });
    await seedOutcome(pool, { ...row, state: 'succeeded', attempt: 2 });
    const bob = await rig.account('Bob');
    const { text } = await rig.askMail(await rig.ask({ people: [bob], change }), bob);
    expect(text).toContain('1 succeeded, 0 failed, 0 other');
  });
});
