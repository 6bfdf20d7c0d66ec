/** Approvals as a resource: who sees which, and that the API decides by the very rules of the mailed page. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { SeededAccount } from '../helpers/seed-change.js';
import { ApprovalRig, type Asked } from './rig.js';

let rig: ApprovalRig;
beforeAll(async () => {
  rig = await ApprovalRig.start();
}, 60_000);
afterAll(() => rig?.stop());

const tokenOf = async (person: SeededAccount, role = 'User'): Promise<string> => {
  const body = { name: 'robot', role, expiresInSeconds: null };
  return (await rig.api.call('POST', `/v1/accounts/${person.id}/tokens`, { body })).body.token;
};
const decide = (requestId: string, token: string, body: object) =>
  rig.api.call('POST', `/v1/approvals/${requestId}/decisions`, { token, body });

const countedOf = async ({ requestId }: Asked) => {
  const { rows } = await rig.db.pool.query(
    `SELECT proof, decision, comment FROM approval_decision WHERE request_id = $1 AND state = 'counted'`,
    [requestId],
  );
  return rows;
};

describe('deciding', () => {
  it('takes a token with the one-time code that was sent to its owner, and nothing less', async () => {
    const ada = await rig.account('Ada', { roles: ['User'], secondChannel: 'ada.api@example.test' });
    const asked = await rig.ask({ people: [ada], rule: { highRisk: true } });
    await rig.sendMail();
    const token = await tokenOf(ada);
    const good = { decision: 'approve', planDigest: asked.planDigest };
    const alone = await decide(asked.requestId, token, good);
    expect([alone.status, alone.body.detail]).toEqual([403, expect.stringContaining('API token decides nothing')]);
    const shape = await decide(asked.requestId, token, { ...good, code: 'no' });
    expect([shape.status, shape.body.detail]).toEqual([422, expect.stringContaining('no one-time code')]);
    const wrong = await decide(asked.requestId, token, { ...good, code: 'ABCDE-FGHJK' });
    expect([wrong.status, wrong.body.detail]).toEqual([422, 'Not counted: the one-time code is wrong.']);
    const code = rig.codeMailedTo('ada.api@example.test', asked) ?? '';
    const stale = await decide(asked.requestId, token, { ...good, planDigest: 'b'.repeat(64), code });
    expect([stale.status, stale.body]).toEqual([
      409,
      expect.objectContaining({
        detail: expect.stringContaining(
          `the plan has changed since this page was shown. The plan in force is now ${asked.planDigest}`,
        ),
        planInForce: asked.planDigest,
      }),
    ]);
    const counted = await decide(asked.requestId, token, { ...good, code, comment: 'by API' });
    expect([counted.status, counted.body]).toEqual([201, expect.objectContaining({ state: 'counted' })]);
    const again = await decide(asked.requestId, token, { ...good, code });
    expect(again.status).toBe(409);
    expect(await countedOf(asked)).toEqual([{ proof: 'code', decision: 'approve', comment: 'by API' }]);
  });

  it('takes a session, and not one from another site', async () => {
    const ada = await rig.account('Ada', { roles: ['User'] });
    const asked = await rig.ask({ people: [ada] });
    const browser = await rig.signedIn(ada);
    const path = `/v1/approvals/${asked.requestId}/decisions`;
    const body = JSON.stringify({ decision: 'reject', planDigest: asked.planDigest, comment: 'not now' });
    const post = (headers: Record<string, string>) =>
      browser.send('POST', path, { body, headers: { 'content-type': 'application/json', ...headers } });
    expect((await post({ origin: 'https://evil.example' })).status).toBe(403);
    expect(await rig.decisions(asked)).toEqual([]);
    const reply = await post({ origin: rig.api.url });
    expect([reply.status, JSON.parse(reply.text)]).toEqual([201, expect.objectContaining({ state: 'counted' })]);
    expect(await countedOf(asked)).toEqual([{ proof: 'session', decision: 'reject', comment: 'not now' }]);
  });

  it('is for those who were asked', async () => {
    const [ada, eve] = [
      await rig.account('Ada', { roles: ['User'] }),
      await rig.account('Eve', { roles: ['Manager'] }),
    ];
    const asked = await rig.ask({ people: [ada] });
    const body = { decision: 'approve', planDigest: asked.planDigest, code: 'ABCDE-FGHJK' };
    const manager = await decide(asked.requestId, await tokenOf(eve, 'Manager'), body);
    expect([manager.status, manager.body.detail]).toEqual([403, 'you have not been asked to decide this']);
    const stranger = await rig.account('Uwe', { roles: ['User'] });
    expect((await decide(asked.requestId, await tokenOf(stranger), body)).status).toBe(404);
    expect(await rig.decisions(asked)).toEqual([]);
  });
});

describe('looking', () => {
  it('users see what they were asked; who may see changes sees all, open ones first, and nobody a locator', async () => {
    const [ada, bob, eve] = [
      await rig.account('Ada', { roles: ['User'] }),
      await rig.account('Bob', { roles: ['User'] }),
      await rig.account('Eve', { roles: ['Operator'] }),
    ];
    const [first, second] = [await rig.ask({ people: [ada] }), await rig.ask({ people: [bob] })];
    const [user, operator] = [await tokenOf(ada), await tokenOf(eve, 'Operator')];
    const list = async (token: string, query = '') =>
      (await rig.api.call('GET', `/v1/approvals?limit=500${query}`, { token })).body;
    expect((await list(user)).items).toMatchObject([
      { id: first.requestId, asked: true, myDecision: null, state: 'open' },
    ]);
    expect((await list(operator, '&mine=true')).items).toEqual([]);
    const all = (await list(operator)).items;
    const states = all.map((one: { state: string }) => one.state === 'open');
    expect(states).toEqual([...states].sort((a, b) => Number(b) - Number(a)));
    expect(all.map((one: { id: string }) => one.id)).toEqual(
      expect.arrayContaining([first.requestId, second.requestId]),
    );
    const paged: string[] = [];
    for (let cursor = ''; ; ) {
      const { body } = await rig.api.call('GET', `/v1/approvals?limit=2${cursor}`, { token: operator });
      paged.push(...body.items.map((one: { id: string }) => one.id));
      if (body.next === null) break;
      cursor = `&cursor=${body.next}`;
    }
    expect(paged).toEqual(all.map((one: { id: string }) => one.id));
    expect((await rig.api.call('GET', `/v1/approvals/${second.requestId}`, { token: user })).status).toBe(404);
    const { body } = await rig.api.call('GET', `/v1/approvals/${first.requestId}`, { token: operator });
    expect(body).toMatchObject({
      planDigest: first.planDigest,
      evidence: { planDigest: first.planDigest },
      asked: false,
    });
    expect(body.people).toMatchObject([{ accountId: ada.id }]);
    const { rows } = await rig.db.pool.query('SELECT locator FROM approval_person');
    for (const { locator } of rows) expect(JSON.stringify([all, body])).not.toContain(locator);
  });
});
