import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { DAY } from '../../domain/time.js';
import { approvalRule } from '../helpers/scripted-activities.js';
import type { SeededAccount } from '../helpers/seed-change.js';
import { ApprovalRig, type Asked } from './rig.js';

jest.setTimeout(60_000);
let rig: ApprovalRig;
beforeAll(async () => {
  rig = await ApprovalRig.start();
});
afterAll(() => rig?.stop());

/** Of the mails with the link; codes come apart. */
const subjects = (person: SeededAccount) =>
  rig.mailbox
    .to(person.email)
    .map((m) => m.subject.split(':')[0] ?? '')
    .filter((subject) => !subject.startsWith('One-time code'));
const again = async (act: () => Promise<unknown>) => {
  for (let i = 0; i < 3; i += 1) await act();
  await rig.sendMail();
};

describe('asking', () => {
  it('says when it reminds, escalates and expires, and the same again when asked again', async () => {
    const ada = await rig.account('Ada');
    const change = await rig.smallChange((await rig.account('Requester')).id);
    const rule = approvalRule({ from: { accounts: [ada.id] } });
    const args = {
      requestId: crypto.randomUUID(),
      changeId: change.changeId,
      ring: 1,
      rule,
      planDigest: change.planDigest,
    };
    const first = await rig.activities.openApproval(args);
    const opened = first.expiresAt - 7 * DAY;
    expect(first).toEqual({
      people: [ada.name],
      quorum: 1,
      expiresAt: opened + 7 * DAY,
      remindAt: [1, 2, 3, 4, 5, 6].map((n) => opened + n * DAY),
      escalateAt: opened + 3 * DAY,
    });
    rig.skip(DAY);
    expect(await rig.activities.openApproval(args)).toEqual(first);
  });

  it('asks who has been asked already, at the same link, with one code', async () => {
    const ada = await rig.account('Ada', { roles: ['Operator'], secondChannel: 'ada.once@example.test' });
    const asked = await rig.ask({ people: [ada], rule: { escalateTo: { role: 'Operator' } } });
    const link = await rig.link(asked, ada);
    await again(() => rig.activities.escalateApproval({ requestId: asked.requestId }));
    expect(await rig.link(asked, ada)).toBe(link);
    expect(subjects(ada)).toEqual(['Approve or reject']);
    expect(rig.mailbox.to('ada.once@example.test')).toHaveLength(1);
    await rig.db.pool.query('DELETE FROM role_grant WHERE account_id = $1', [ada.id]);
  });

  it('nobody to ask: waits for its escalation', async () => {
    const grace = await rig.account('Grace', { roles: ['Operator'] });
    const asked = await rig.ask({ rule: { from: { role: 'User' }, escalateTo: { role: 'Operator' } } });
    expect(asked.people).toEqual([]);
    expect((await rig.activities.escalateApproval({ requestId: asked.requestId })).people).toEqual([grace.name]);
    const browser = await rig.signedIn(grace);
    expect((await rig.decide({ asked, person: grace, browser })).status).toBe(200);
    await rig.db.pool.query('DELETE FROM role_grant WHERE account_id = $1', [grace.id]);
  });
});

describe('reminders', () => {
  it('go to those who have not decided, once each, however often the activity runs', async () => {
    const [ada, bob] = [await rig.account('Ada'), await rig.account('Bob')];
    const asked = await rig.ask({ people: [ada, bob], rule: { quorum: 2 } });
    await rig.decide({ asked, person: ada, browser: await rig.signedIn(ada) });
    await again(() => rig.activities.remindApproval({ requestId: asked.requestId, reminder: 1 }));
    expect(subjects(ada)).toEqual(['Approve or reject']);
    expect(subjects(bob)).toEqual(['Approve or reject', 'Reminder']);
    await again(() => rig.activities.remindApproval({ requestId: asked.requestId, reminder: 2 }));
    expect(subjects(bob)).toEqual(['Approve or reject', 'Reminder', 'Reminder']);
    const [first, reminder] = rig.mailbox.to(bob.email).filter((m) => !m.subject.startsWith('One-time'));
    expect(reminder?.text).toContain(await rig.link(asked, bob));
    expect(reminder?.messageId).not.toBe(first?.messageId);
  });

  it('stop with the request', async () => {
    const ada = await rig.account('Ada');
    const asked = await rig.ask({ people: [ada] });
    await rig.activities.closeApproval({ requestId: asked.requestId, state: 'voided' });
    await again(() => rig.activities.remindApproval({ requestId: asked.requestId, reminder: 1 }));
    await again(() => rig.activities.escalateApproval({ requestId: asked.requestId }));
    expect(subjects(ada)).toEqual(['Approve or reject']);
    expect(await rig.audit(asked)).toEqual(['approval.opened', 'approval.voided']);
  });
});

describe('escalation', () => {
  let asked: Asked;
  let ada: SeededAccount;
  let grace: SeededAccount;
  beforeAll(async () => {
    ada = await rig.account('Ada', { roles: ['Operator'] });
    grace = await rig.account('Grace', { secondChannel: 'grace.second@example.test' });
    asked = await rig.ask({
      people: [ada],
      rule: { escalateTo: { accounts: [grace.id] }, quorum: 1 },
    });
  });

  it('before it, those it names have no say', async () => {
    await expect(rig.link(asked, grace)).rejects.toThrow('was not asked');
  });

  it('adds people and their codes, tells nobody twice, and is on record once', async () => {
    await again(() => rig.activities.escalateApproval({ requestId: asked.requestId }));
    expect(subjects(ada)).toEqual(['Approve or reject']);
    expect(subjects(grace)).toEqual(['Approve or reject']);
    expect(rig.codeMailedTo('grace.second@example.test', asked)).not.toBeNull();
    expect((await rig.audit(asked)).filter((a) => a === 'approval.escalated')).toHaveLength(1);
  });

  it('after it, both may decide', async () => {
    const code = rig.codeMailedTo('grace.second@example.test', asked) ?? '';
    expect((await rig.decide({ asked, person: grace, fields: { code } })).status).toBe(200);
    expect(await rig.state(asked)).toBe('approved');
  });
});

describe('the end', () => {
  it('is final: who ends it first has ended it, on record once', async () => {
    const asked = await rig.ask({ people: [await rig.account('Ada')] });
    const { requestId } = asked;
    await rig.activities.closeApproval({ requestId, state: 'expired' });
    await rig.activities.closeApproval({ requestId, state: 'expired' });
    await rig.activities.closeApproval({ requestId, state: 'approved' });
    expect(await rig.state(asked)).toBe('expired');
    expect(await rig.audit(asked)).toEqual(['approval.opened', 'approval.expired']);
  });

  it('judging again says the same, and writes nothing', async () => {
    const ada = await rig.account('Ada');
    const asked = await rig.ask({ people: [ada] });
    await rig.decide({ asked, person: ada, browser: await rig.signedIn(ada) });
    const { rows } = await rig.db.pool.query('SELECT id FROM approval_decision WHERE request_id = $1', [
      asked.requestId,
    ]);
    const before = await rig.audit(asked);
    const judged = await rig.activities.judgeDecision({ requestId: asked.requestId, decisionId: rows[0].id });
    expect(judged).toEqual({
      verdict: 'counted',
      decision: 'approve',
      reason: null,
      by: ada.name,
      approvals: 1,
      quorumMet: true,
    });
    expect(await rig.audit(asked)).toEqual(before);
  });
});
