import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { APPROVED_BY_OTHER_RULE, MAX_WRONG_CODES } from '../../domain/approval/refusal.js';
import { DAY } from '../../domain/time.js';
import { visibleText } from '../helpers/html.js';
import { approvalRule } from '../helpers/scripted-activities.js';
import { type SeededChange, seedChange, seedEndpoint, seedPolicy, seedStakeholder } from '../helpers/seed-change.js';
import { ApprovalRig } from './rig.js';

jest.setTimeout(60_000);
let rig: ApprovalRig;
beforeAll(async () => {
  rig = await ApprovalRig.start();
});
afterAll(() => rig?.stop());

const WRONG = 'ABCDE-FGHJK';

describe('deciding', () => {
  it('with the right one-time code counts, however it is typed, and only once', async () => {
    const ada = await rig.account('Ada', { secondChannel: 'ada.phone@example.test' });
    const asked = await rig.ask({ people: [ada] });
    const code = rig.codeMailedTo('ada.phone@example.test', asked) as string;
    expect(rig.codeMailedTo(ada.email, asked)).toBeNull();
    const page = await rig.decide({
      asked,
      person: ada,
      fields: { code: ` ${code.toLowerCase().replace('-', ' ')}`, comment: 'fine by me' },
    });
    expect([page.status, visibleText(page.text)]).toEqual([200, expect.stringContaining('has been counted')]);
    expect(page.text).toContain('fine by me');
    expect(page.text).not.toContain('<form class="narrow"');
    expect(await rig.state(asked)).toBe('approved');
    // The code as typed is not kept.
    expect(await rig.decisions(asked)).toEqual([{ state: 'counted', decision: 'approve', reason: null, code: null }]);
    expect(await rig.audit(asked)).toEqual([
      'approval.opened',
      'approval.decisionSubmitted',
      'approval.decided',
      'approval.approved',
    ]);
  });

  it('signed in needs no code at normal risk', async () => {
    const ada = await rig.account('Ada');
    const asked = await rig.ask({ people: [ada] });
    const page = await rig.decide({ asked, person: ada, browser: await rig.signedIn(ada) });
    expect(page.status).toBe(200);
    expect(await rig.state(asked)).toBe('approved');
  });

  it('without session and code is refused, and nothing is written', async () => {
    const ada = await rig.account('Ada');
    const asked = await rig.ask({ people: [ada] });
    const page = await rig.decide({ asked, person: ada, fields: { code: '' } });
    expect([page.status, visibleText(page.text)]).toEqual([401, expect.stringContaining('Sign in, or type')]);
    expect(await rig.decisions(asked)).toEqual([]);
  });

  it.each([
    ['no code could be this', { code: '123456' }, 422, 'This is no one-time code'],
    ['neither yes nor no', { decision: 'maybe' }, 400, 'decision'],
    ['no digest', { planDigest: '' }, 400, 'planDigest'],
    ['a comment without end', { comment: 'x'.repeat(2001), code: WRONG }, 400, 'comment'],
    ['no form token', { _csrf: '', code: WRONG }, 403, 'form'],
  ])('bad input names what is wrong: %s', async (_, fields, status, words) => {
    const ada = await rig.account('Ada');
    const asked = await rig.ask({ people: [ada] });
    const page = await rig.decide({ asked, person: ada, fields });
    expect([page.status, visibleText(page.text)]).toEqual([status, expect.stringContaining(words)]);
    expect(await rig.decisions(asked)).toEqual([]);
  });

  it('from another site is refused', async () => {
    const ada = await rig.account('Ada');
    const asked = await rig.ask({ people: [ada] });
    const browser = await rig.signedIn(ada);
    const path = await rig.link(asked, ada);
    const page = await browser.get(path);
    const fields = { _csrf: page.field('_csrf'), planDigest: asked.planDigest, decision: 'approve' };
    const reply = await browser.post(path, fields, { 'sec-fetch-site': 'cross-site' });
    expect([reply.status, await rig.decisions(asked)]).toEqual([403, []]);
  });

  it('on somebody else’s link is refused, whoever is signed in', async () => {
    const [ada, eve] = [await rig.account('Ada'), await rig.account('Eve', { roles: ['Administrator'] })];
    const asked = await rig.ask({ people: [ada] });
    const page = await rig.decide({ asked, person: ada, browser: await rig.signedIn(eve) });
    expect([page.status, visibleText(page.text)]).toEqual([403, expect.stringContaining(`sent to ${ada.name}`)]);
    expect(await rig.decisions(asked)).toEqual([]);
  });

  it('an unknown link leads nowhere', async () => {
    const page = await rig.browser().get(`/approvals/${'A'.repeat(32)}`);
    expect([page.status, page.text]).toEqual([404, expect.stringContaining('no approval request')]);
  });
});

describe('one-time codes', () => {
  it('a wrong one is refused, and after five of them the right one is, too', async () => {
    const ada = await rig.account('Ada', { secondChannel: 'ada.second@example.test' });
    const asked = await rig.ask({ people: [ada] });
    const code = rig.codeMailedTo('ada.second@example.test', asked) as string;
    for (let i = 0; i < MAX_WRONG_CODES; i += 1) {
      const page = await rig.decide({ asked, person: ada, fields: { code: WRONG } });
      expect([page.status, visibleText(page.text)]).toEqual([422, expect.stringContaining('one-time code is wrong')]);
    }
    const page = await rig.decide({ asked, person: ada, fields: { code } });
    expect([page.status, visibleText(page.text)]).toEqual([422, expect.stringContaining('wrong codes were typed')]);
    expect(await rig.state(asked)).toBe('open');
    // What the person can do still: sign in.
    expect((await rig.decide({ asked, person: ada, browser: await rig.signedIn(ada) })).status).toBe(200);
  });

  it('is bound to person, request and plan', async () => {
    const [ada, bob] = [
      await rig.account('Ada', { secondChannel: 'ada.bound@example.test' }),
      await rig.account('Bob', { secondChannel: 'bob.bound@example.test' }),
    ];
    const first = await rig.ask({ people: [ada, bob], rule: { quorum: 2 } });
    const second = await rig.ask({ people: [ada, bob], change: first, rule: { quorum: 2 } });
    const bobs = rig.codeMailedTo('bob.bound@example.test', first) as string;
    const code = rig.codeMailedTo('ada.bound@example.test', first) as string;
    // Both requests are about the same change and plan: the first mail is of the first request.
    for (const [asked, typed] of [
      [first, bobs],
      [second, code],
    ] as const) {
      const page = await rig.decide({ asked, person: ada, fields: { code: typed } });
      expect([page.status, visibleText(page.text)]).toEqual([422, expect.stringContaining('one-time code is wrong')]);
    }
    expect((await rig.decide({ asked: first, person: ada, fields: { code } })).status).toBe(200);
  });

  it('are spent with the decision: the same again is refused', async () => {
    const ada = await rig.account('Ada', { secondChannel: 'ada.spent@example.test' });
    const asked = await rig.ask({ people: [ada], rule: { quorum: 2 } });
    const code = rig.codeMailedTo('ada.spent@example.test', asked) as string;
    const browser = rig.browser();
    const path = await rig.link(asked, ada);
    const page = await browser.get(path);
    const fields = { _csrf: page.field('_csrf'), planDigest: page.field('planDigest'), code };
    expect((await browser.post(path, { ...fields, decision: 'approve' })).status).toBe(200);
    const again = await browser.post(path, { ...fields, decision: 'reject' });
    expect([again.status, visibleText(again.text)]).toEqual([409, expect.stringContaining('there already')]);
    expect(await rig.decisions(asked)).toMatchObject([{ state: 'counted', decision: 'approve' }]);
  });
});

describe('high risk', () => {
  it('a session alone is refused; with the code from the second channel it counts', async () => {
    const ada = await rig.account('Ada', { secondChannel: 'ada.high@example.test' });
    const asked = await rig.ask({ people: [ada], rule: { highRisk: true } });
    const browser = await rig.signedIn(ada);
    const page = await rig.decide({ asked, person: ada, browser });
    expect([page.status, visibleText(page.text)]).toEqual([401, expect.stringContaining('needs your one-time code')]);
    expect(await rig.decisions(asked)).toEqual([]);
    const code = rig.codeMailedTo('ada.high@example.test', asked) as string;
    expect((await rig.decide({ asked, person: ada, browser, fields: { code } })).status).toBe(200);
    expect(await rig.state(asked)).toBe('approved');
  });

  it.each([
    ['none', undefined],
    ['the same mailbox again', 'same'],
  ])('whose second channel is %s cannot decide, and mail and page say why', async (_, kind) => {
    const ada = await rig.account('Ada');
    if (kind !== undefined)
      await rig.db.pool.query('UPDATE account SET second_channel = upper(email) WHERE id = $1', [ada.id]);
    const asked = await rig.ask({ people: [ada], rule: { highRisk: true } });
    expect((await rig.askMail(asked, ada)).text).toContain('you have no second channel');
    expect(
      rig.mailbox.mails.filter((m) => m.subject.startsWith('One-time code') && m.text.includes(asked.planDigest)),
    ).toEqual([]);
    const browser = await rig.signedIn(ada);
    const path = await rig.link(asked, ada);
    const page = await browser.get(path);
    expect(page.text).not.toContain('name="decision"');
    expect(visibleText(page.text)).toContain(
      'You can’t decide on this high-risk change: no one-time code could be sent',
    );
    // The form of another page, sent here all the same.
    const token = (await browser.get('/sign-in')).field('_csrf');
    const fields = { _csrf: token, planDigest: asked.planDigest, decision: 'approve', code: WRONG };
    expect((await browser.post(path, fields)).status).toBe(409);
    // A second channel set now is not one that a code was sent to.
    await rig.db.pool.query(`UPDATE account SET second_channel = 'late@example.test' WHERE id = $1`, [ada.id]);
    await rig.activities.escalateApproval({ requestId: asked.requestId });
    await rig.sendMail();
    expect(rig.codeMailedTo('late@example.test', asked)).toBeNull();
    expect((await browser.post(path, fields)).status).toBe(409);
    expect(await rig.decisions(asked)).toEqual([]);
  });
});

describe('who may decide', () => {
  it('the requester is not asked, not even as the only one of the role, nor when it escalates', async () => {
    const ada = await rig.account('Ada', { roles: ['Operator'] });
    const grace = await rig.account('Grace', { roles: ['Operator'] });
    const change = await rig.smallChange(ada.id);
    const asked = await rig.ask({
      requestedBy: ada.id,
      change,
      rule: { from: { accounts: [ada.id] }, escalateTo: { role: 'Operator' } },
    });
    expect(asked.people).toEqual([]);
    const escalated = await rig.activities.escalateApproval({ requestId: asked.requestId });
    expect(escalated.people).toEqual([grace.name]);
    await expect(rig.link(asked, ada)).rejects.toThrow('was not asked');
  });

  it('asking by API token, or by a schedule of one’s own, makes the same person the requester', async () => {
    const ada = await rig.account('Ada', { roles: ['Manager'] });
    const { body } = await rig.api.call('POST', `/v1/accounts/${ada.id}/tokens`, {
      body: { name: 'ci', role: 'Manager', expiresInSeconds: null },
    });
    const reply = await rig.api.call('POST', '/v1/changes', { token: body.token, body: patchSpec() });
    expect(reply.status).toBe(201);
    const { rows } = await rig.db.pool.query('SELECT requested_by FROM change WHERE id = $1', [reply.body.id]);
    const scheduled = await rig.db.pool.query(
      `INSERT INTO schedule (id, name, spec, calendar, overlap, created_by) VALUES (gen_random_uuid(), 'tuesdays', '{}', '{}', 'skip', $1)
       RETURNING id`,
      [ada.id],
    );
    for (const requestedBy of [rows[0].requested_by, `schedule/${scheduled.rows[0].id}`]) {
      const asked = await rig.ask({
        requestedBy,
        rule: { from: { accounts: [ada.id] }, escalateTo: { accounts: [ada.id] } },
      });
      expect(asked.people).toEqual([]);
      expect((await rig.activities.escalateApproval({ requestId: asked.requestId })).people).toEqual([]);
      // Even a row that says otherwise does not count.
      await rig.db.pool.query(
        `INSERT INTO approval_person (request_id, account_id, via, locator) VALUES ($1, $2, 'forged', $3)`,
        [asked.requestId, ada.id, asked.requestId.replaceAll('-', '')],
      );
      const page = await rig.decide({ asked, person: ada, browser: await rig.signedIn(ada) });
      expect([page.status, visibleText(page.text)]).toEqual([
        422,
        expect.stringContaining('whoever requests a change'),
      ]);
      expect(await rig.state(asked)).toBe('open');
    }
  });

  it('an API token decides nothing', async () => {
    const ada = await rig.account('Ada', { roles: ['Manager'] });
    const asked = await rig.ask({ people: [ada] });
    const { body } = await rig.api.call('POST', `/v1/accounts/${ada.id}/tokens`, {
      body: { name: 'robot', role: 'Manager', expiresInSeconds: null },
    });
    const browser = rig.browser();
    const path = await rig.link(asked, ada);
    const page = await browser.get(path);
    const fields = { _csrf: page.field('_csrf'), planDigest: asked.planDigest, decision: 'approve', code: '' };
    const reply = await browser.post(path, fields, { authorization: `Bearer ${body.token}` });
    expect([reply.status, visibleText(reply.text)]).toEqual([
      403,
      expect.stringContaining('API token decides nothing'),
    ]);
    expect(await rig.decisions(asked)).toEqual([]);
  });

  it('owners of the ring’s endpoints are asked, those of others are not', async () => {
    const [ada, bob] = [await rig.account('Ada'), await rig.account('Bob')];
    const change = await rig.smallChange((await rig.account('Requester')).id);
    const { rows } = await rig.db.pool.query(
      'SELECT endpoint_id, ring FROM plan_endpoint WHERE change_id = $1 ORDER BY ring',
      [change.changeId],
    );
    await seedStakeholder(rig.db.pool, { endpointId: rows[1].endpoint_id, kind: 'itOwner', accountId: ada.id });
    await seedStakeholder(rig.db.pool, { endpointId: rows[0].endpoint_id, kind: 'itOwner', accountId: bob.id });
    const asked = await rig.ask({ change, rule: { from: { stakeholder: 'itOwner' } } });
    expect(asked.people).toEqual([ada.name]);
    expect((await rig.askMail(asked, ada)).text).toMatch(/IT owner of web-/);
  });

  it.each([
    ['lost the role', `DELETE FROM role_grant WHERE account_id = $1`, 422],
    ['was shut out', `UPDATE account SET disabled_at = now() WHERE id = $1`, 404],
  ])('who %s since the mail has no say any more', async (_, sql, status) => {
    const ada = await rig.account('Ada', { roles: ['User'], secondChannel: 'ada.revoked@example.test' });
    const asked = await rig.ask({ rule: { from: { role: 'User' } } });
    const code = rig.codeMailedTo('ada.revoked@example.test', asked) as string;
    const browser = rig.browser();
    const path = await rig.link(asked, ada);
    const page = await browser.get(path);
    await rig.db.pool.query(sql, [ada.id]);
    const fields = { _csrf: page.field('_csrf'), planDigest: asked.planDigest, decision: 'approve', code };
    expect((await browser.post(path, fields)).status).toBe(status);
    expect(await rig.state(asked)).toBe('open');
    await rig.db.pool.query('DELETE FROM role_grant WHERE account_id = $1', [ada.id]);
  });
});

describe('quorum', () => {
  it('two distinct people; one of them twice is one', async () => {
    const [ada, bob] = [await rig.account('Ada'), await rig.account('Bob')];
    const asked = await rig.ask({ people: [ada, bob], rule: { quorum: 2 } });
    const browser = await rig.signedIn(ada);
    expect((await rig.decide({ asked, person: ada, browser })).status).toBe(200);
    expect((await browser.get(await rig.link(asked, ada))).text).not.toContain('name="decision"');
    expect(await rig.state(asked)).toBe('open');
    const page = await rig.decide({ asked, person: bob, browser: await rig.signedIn(bob) });
    expect(visibleText(page.text)).toContain(`${ada.name}: approve`);
    expect(await rig.state(asked)).toBe('approved');
  });

  it('what can’t be undone needs a second person, whatever the rule says; with a snapshot before it, it does not', async () => {
    const kernel = {
      name: 'linux-image-amd64',
      to: '6.1.2',
      outcome: 'included',
      rule: 'kernel',
      reason: 'a kernel',
    } as const;
    const hooks = [{ name: 'snapshot', when: 'before', onFailure: 'fail', timeoutSeconds: 60 }];
    const covered = await seedPolicy(rig.db.pool, { name: 'With snapshot', document: { hooks } });
    const [ada, bob, requester] = [await rig.account('Ada'), await rig.account('Bob'), await rig.account('Cy')];
    const ask = async (policyId?: string) => {
      const endpoint = await seedEndpoint(rig.db.pool, { name: `host-${policyId ?? 'bare'}` });
      const ring = { endpoints: [endpoint], triage: [kernel], ...(policyId === undefined ? {} : { policyId }) };
      const change = await seedChange(rig.db.pool, {
        requestedBy: requester.id,
        rings: [
          { ...ring, name: 'test', endpoints: [] },
          { ...ring, name: 'web' },
        ],
      });
      return rig.ask({ people: [ada, bob], rule: { quorum: 1 }, change });
    };
    const bare = await ask();
    const browser = await rig.signedIn(ada);
    const page = await rig.decide({ asked: bare, person: ada, browser });
    expect(visibleText(page.text)).toContain('on 1 endpoint: one person');
    expect(await rig.state(bare)).toBe('open');
    await rig.decide({ asked: bare, person: bob, browser: await rig.signedIn(bob) });
    expect(await rig.state(bare)).toBe('approved');
    const safe = await ask(covered);
    await rig.decide({ asked: safe, person: ada, browser });
    expect(await rig.state(safe)).toBe('approved');
  });

  it('two rules of a ring that want distinct people are not met by one person, also not at the same moment', async () => {
    const [ada, bob, requester] = [await rig.account('Ada'), await rig.account('Bob'), await rig.account('Cy')];
    const change = await rig.smallChange(requester.id);
    const first = await rig.ask({ people: [ada, bob], rule: { distinctPeople: true }, change });
    const second = await rig.ask({ people: [ada, bob], change });
    const browser = await rig.signedIn(ada);
    await Promise.all([
      rig.decide({ asked: first, person: ada, browser }),
      rig.decide({ asked: second, person: ada, browser }),
    ]);
    const states = [await rig.state(first), await rig.state(second)];
    expect([...states].sort()).toEqual(['approved', 'open']);
    const [open, done] = states[0] === 'open' ? [first, second] : [second, first];
    expect(await rig.decisions(done)).toMatchObject([{ state: 'counted' }]);
    expect(await rig.decisions(open)).toMatchObject([{ state: 'refused', reason: APPROVED_BY_OTHER_RULE }]);
    await rig.decide({ asked: open, person: bob, browser: await rig.signedIn(bob) });
    expect(await rig.state(open)).toBe('approved');
  });

  it('asked anew after one of the rules came to nothing, the same person may decide again', async () => {
    const [ada, bob, requester] = [await rig.account('Ada'), await rig.account('Bob'), await rig.account('Cy')];
    const change = await rig.smallChange(requester.id);
    const rule = { distinctPeople: true };
    const first = await rig.ask({ people: [ada, bob], rule, change });
    const second = await rig.ask({ people: [ada, bob], rule, change });
    const browser = await rig.signedIn(ada);
    await rig.decide({ asked: first, person: ada, browser });
    expect(await rig.state(first)).toBe('approved');
    await rig.activities.closeApproval({ requestId: second.requestId, state: 'expired' });
    rig.skip(1_000);
    const again = await rig.ask({ people: [ada, bob], rule, change });
    await rig.decide({ asked: again, person: ada, browser });
    expect(await rig.state(again)).toBe('approved');
  });

  it('two rules that say nothing of it may be met by one person, unless what they allow can’t be undone', async () => {
    const [ada, requester] = [await rig.account('Ada'), await rig.account('Cy')];
    const browser = await rig.signedIn(ada);
    const twice = async (change: SeededChange) => {
      for (const asked of [await rig.ask({ people: [ada], change }), await rig.ask({ people: [ada], change })]) {
        await rig.decide({ asked, person: ada, browser });
        states.push(await rig.state(asked));
      }
    };
    const states: string[] = [];
    await twice(await rig.smallChange(requester.id));
    expect(states).toEqual(['approved', 'approved']);
    const endpoint = await seedEndpoint(rig.db.pool, { name: `bare-${ada.id.slice(0, 8)}` });
    const lost = {
      name: 'curl',
      to: '8.0-2',
      outcome: 'included',
      rule: 'old-file-missing',
      reason: 'no old file',
    } as const;
    const ring = { endpoints: [endpoint], triage: [lost], approvals: [approvalRule(), approvalRule()] };
    await twice(
      await seedChange(rig.db.pool, {
        requestedBy: requester.id,
        rings: [
          { name: 'test', endpoints: [] },
          { ...ring, name: 'web' },
        ],
      }),
    );
    expect(states.slice(2)).toEqual(['approved', 'open']);
  });

  it('one rejection rejects, whoever approved before', async () => {
    const [ada, bob, cy] = [await rig.account('Ada'), await rig.account('Bob'), await rig.account('Cy')];
    const asked = await rig.ask({ people: [ada, bob, cy], rule: { quorum: 3 } });
    await rig.decide({ asked, person: ada, browser: await rig.signedIn(ada) });
    await rig.decide({ asked, person: bob, browser: await rig.signedIn(bob), fields: { decision: 'reject' } });
    expect(await rig.state(asked)).toBe('rejected');
    const late = await (await rig.signedIn(cy)).get(await rig.link(asked, cy));
    expect(visibleText(late.text)).toContain('This request is rejected.');
    expect(late.text).not.toContain('name="decision"');
  });

  it.each([
    ['the same four times', ['approve', 'approve', 'approve', 'approve']],
    ['yes and no', ['approve', 'reject']],
  ])('posted at the same moment, %s, one decision counts', async (_, words) => {
    const [ada, bob] = [await rig.account('Ada'), await rig.account('Bob')];
    const asked = await rig.ask({ people: [ada, bob], rule: { quorum: 2 } });
    const browser = await rig.signedIn(ada);
    const path = await rig.link(asked, ada);
    const page = await browser.get(path);
    const fields = { _csrf: page.field('_csrf'), planDigest: asked.planDigest };
    const replies = await Promise.all(words.map((decision) => browser.post(path, { ...fields, decision })));
    expect(replies.map((p) => p.status).sort()).toEqual([200, ...words.slice(1).map(() => 409)]);
    expect(await rig.decisions(asked)).toMatchObject([{ state: 'counted' }]);
  });
});

describe('plans and time', () => {
  it('a decision on another plan than the one asked about is refused', async () => {
    const ada = await rig.account('Ada');
    const asked = await rig.ask({ people: [ada] });
    const fields = { planDigest: 'a'.repeat(64) };
    const page = await rig.decide({ asked, person: ada, browser: await rig.signedIn(ada), fields });
    expect([page.status, visibleText(page.text)]).toEqual([409, expect.stringContaining('the plan has changed')]);
    expect(await rig.state(asked)).toBe('open');
  });

  it.each(['voided', 'expired'] as const)('a request that is %s takes no decision', async (state) => {
    const ada = await rig.account('Ada');
    const asked = await rig.ask({ people: [ada] });
    const browser = await rig.signedIn(ada);
    const path = await rig.link(asked, ada);
    const page = await browser.get(path);
    await rig.activities.closeApproval({ requestId: asked.requestId, state });
    const fields = { _csrf: page.field('_csrf'), planDigest: asked.planDigest, decision: 'approve' };
    const reply = await browser.post(path, fields);
    expect([reply.status, visibleText(reply.text)]).toEqual([409, expect.stringContaining(`This request is ${state}`)]);
    expect(await rig.decisions(asked)).toEqual([]);
  });

  it('past its time a request takes no decision, though its workflow has not said so yet', async () => {
    const ada = await rig.account('Ada', { secondChannel: 'ada.late@example.test' });
    const asked = await rig.ask({ people: [ada] });
    const code = rig.codeMailedTo('ada.late@example.test', asked) as string;
    const browser = rig.browser();
    const path = await rig.link(asked, ada);
    const page = await browser.get(path);
    rig.skip(7 * DAY);
    const fields = { _csrf: page.field('_csrf'), planDigest: asked.planDigest, decision: 'approve', code };
    const reply = await browser.post(path, fields);
    expect([reply.status, visibleText(reply.text)]).toEqual([409, expect.stringContaining('has expired')]);
  });
});

function patchSpec(): object {
  return {
    kind: 'patch',
    name: 'from a pipeline',
    reason: 'nightly',
    scope: { all: true },
    priority: 0,
    deadlineMinutes: 600,
    offlineAfterMinutes: 15,
    parameters: {},
    rings: [
      {
        name: 'all',
        select: { sharePercent: 100 },
        maxInFlight: 1,
        errorBudget: { count: 0 },
        successThresholdPercent: 100,
        minSample: 1,
        soakMinutes: 0,
        approvals: [],
        deadlineMinutes: 600,
        haltAction: 'pause',
      },
    ],
  };
}
