import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import type pg from 'pg';
import { createPool } from '../../db/pool.js';
import type { SeededAccount } from '../helpers/seed-change.js';
import { ApprovalRig, type Asked } from './rig.js';

jest.setTimeout(60_000);
let rig: ApprovalRig;
let web: pg.Pool;
let ada: SeededAccount;
let asked: Asked;
beforeAll(async () => {
  rig = await ApprovalRig.start();
  web = createPool({ url: rig.db.apiUrl, applicationName: 'stolen' });
  ada = await rig.account('Ada', { secondChannel: 'ada.web@example.test' });
  asked = await rig.ask({ people: [ada], rule: { highRisk: true } });
});
afterAll(async () => {
  await web?.end();
  await rig?.stop();
});

/** A decision put into the database past the page, by somebody who has the web tier's password. */
async function forge(fields: Record<string, unknown>): Promise<string> {
  const id = randomUUID();
  const row = {
    id,
    request_id: asked.requestId,
    account_id: ada.id,
    decision: 'approve',
    plan_digest: asked.planDigest,
    proof: 'session',
    decided_at: new Date(),
    ...fields,
  };
  const names = Object.keys(row);
  await web.query(
    `INSERT INTO approval_decision (${names.join(', ')}) VALUES (${names.map((_, i) => `$${i + 1}`).join(', ')})`,
    Object.values(row),
  );
  return id;
}

describe('whoever has the web tier’s database role', () => {
  it('is that role', async () => {
    const { rows } = await web.query('SELECT current_user AS me');
    expect(rows[0].me).toBe('ringmaster_api');
  });

  it.each([
    ['read mails, and so codes', 'SELECT text_body FROM mail'],
    [
      'queue mails',
      `INSERT INTO mail (key, recipient, subject, text_body, html_body) VALUES ('k', 'r', 's', 't', 'h')`,
    ],
    ['count a decision', `UPDATE approval_decision SET state = 'counted'`],
    ['take a refusal back', 'DELETE FROM approval_decision'],
    [
      'write a counted decision',
      `INSERT INTO approval_decision (id, request_id, account_id, decision, plan_digest, proof, state)
      SELECT gen_random_uuid(), request_id, account_id, 'approve', '', 'code', 'counted' FROM approval_person`,
    ],
    ['approve a request', `UPDATE approval_request SET state = 'approved'`],
    ['make a request of its own', `INSERT INTO approval_request SELECT * FROM approval_request`],
    ['ask other people', 'INSERT INTO approval_person SELECT * FROM approval_person'],
    ['send the code elsewhere', `UPDATE approval_person SET code_way = 'mailbox'`],
    ['open a ring', `UPDATE ring SET approved_digest = 'x'`],
    ['change the plan', `UPDATE change SET plan_digest = 'x'`],
    ['change what is planned', 'UPDATE plan_endpoint SET ring = 0'],
    [
      'order anything',
      `INSERT INTO order_state (id, ring, home_ring, endpoint_id, kind)
      SELECT gen_random_uuid(), 0, 0, id, 'change' FROM endpoint`,
    ],
    ['sign anything', `INSERT INTO order_envelope (order_id, envelope) VALUES (gen_random_uuid(), '{}')`],
    ['say what the workflow answered', `UPDATE outbox SET done_at = now()`],
    ['rewrite the record', `UPDATE audit_entry SET actor = 'nobody'`],
  ])('cannot %s', async (_, sql) => {
    await expect(web.query(sql)).rejects.toMatchObject({ code: '42501' });
  });

  it.each([
    ['saying that a session proves it', { proof: 'session' }, 'needs your one-time code'],
    ['with a code of its own making', { proof: 'code', code: 'ABCDE-FGHJK' }, 'one-time code is wrong'],
    ['on a plan of its own', { plan_digest: 'b'.repeat(64) }, 'the plan has changed'],
  ])('cannot decide a high-risk request in somebody’s name: %s', async (_, fields, reason) => {
    const decisionId = await forge(fields);
    const judged = await rig.activities.judgeDecision({ requestId: asked.requestId, decisionId });
    expect(judged).toMatchObject({ verdict: 'refused', quorumMet: false, reason: expect.stringContaining(reason) });
  });

  it('cannot decide for somebody who was not asked, nor move a decision to another request', async () => {
    const eve = await rig.account('Eve', { roles: ['Administrator'] });
    const decisionId = await forge({ account_id: eve.id });
    const judged = await rig.activities.judgeDecision({ requestId: asked.requestId, decisionId });
    expect(judged).toMatchObject({ verdict: 'refused', reason: 'you have not been asked' });
    const other = await rig.ask({ people: [ada] });
    await expect(rig.activities.judgeDecision({ requestId: other.requestId, decisionId })).rejects.toThrow(
      'no decision',
    );
  });

  it('cannot send somebody’s codes elsewhere in silence, nor those of a request that is open', async () => {
    await expect(web.query('ALTER TABLE account DISABLE TRIGGER ALL')).rejects.toMatchObject({ code: '42501' });
    const before = rig.mailbox.mails.length;
    await web.query(`UPDATE account SET second_channel = 'eve@example.test' WHERE id = $1`, [ada.id]);
    await rig.activities.escalateApproval({ requestId: asked.requestId });
    await rig.activities.remindApproval({ requestId: asked.requestId, reminder: 1 });
    await rig.sendMail();
    const since = rig.mailbox.mails.slice(before);
    expect(since.filter((m) => m.to === 'eve@example.test')).toEqual([]);
    const notices = since.filter((m) => m.subject === 'Your Ringmaster account was changed');
    expect(notices.map((m) => m.to).sort()).toEqual(['ada.web@example.test', ada.email].sort());
    expect(notices[0]?.text).toContain('The second channel of your Ringmaster account');
    const { rows } = await rig.db.pool.query(
      `SELECT actor FROM audit_entry WHERE action = 'account.addressChanged' AND subject = $1`,
      [`account/${ada.id}`],
    );
    expect(rows).toEqual([{ actor: 'ringmaster_api' }]);
  });

  it('and the request is open still, for the person who has the code', async () => {
    expect(await rig.state(asked)).toBe('open');
    const code = rig.codeMailedTo('ada.web@example.test', asked) ?? '';
    expect((await rig.decide({ asked, person: ada, fields: { code } })).status).toBe(200);
    expect(await rig.state(asked)).toBe('approved');
  });
});
