/** From drift of a critical rule, or a remediation that failed, to one ticket; and how assessments settle it. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { MINUTE } from '../../domain/time.js';
import type { Json } from '../helpers/agent-client.js';
import { testRuleId } from '../helpers/data-stream.js';
import { seedAccount } from '../helpers/seed-change.js';
import { type FakeTracker, startFakeTracker } from '../tickets/fake-rest2.js';
import { BaselineRig, type Results } from './rig.js';

jest.setTimeout(60_000);

const GOOD: Results = { one: 'pass', two: 'pass', three: 'pass' };
let rig: BaselineRig;
let fake: FakeTracker;
let systemId: string;
let requestedBy: string;
let checklist: string;

beforeAll(async () => {
  rig = await BaselineRig.start(['one', 'two', 'three']);
  requestedBy = (await seedAccount(rig.tickets.db.pool, { name: 'Requester' })).id;
  checklist = await rig.assign('all', { critical: [testRuleId('one'), testRuleId('two')] });
});
afterAll(() => rig?.stop());
beforeEach(async () => {
  fake = await startFakeTracker();
  const settings = { url: fake.url, user: 'ringmaster', queue: 'Patching' };
  const policy = { work: { rescanMinutes: 20 } };
  const body = { name: 'fake', provider: 'request-tracker', settings, secret: 'any', policy };
  systemId = (await rig.tickets.makeSystem(body)).id;
});
afterEach(async () => {
  await rig.tickets.rows(`UPDATE work_item SET closed_at = now(), state = 'closed' WHERE closed_at IS NULL`);
  await rig.tickets.api.call('DELETE', `/v1/ticket-systems/${systemId}`);
  await fake.close();
});

const ticketOf = async (endpointId: string) => {
  const [item] = await rig.work(endpointId);
  return fake.tickets[Number(item?.tickets[0]?.ref) - 1];
};
const claim = async (endpointId: string) => {
  const [item] = await rig.work(endpointId);
  const ticket = await ticketOf(endpointId);
  if (ticket !== undefined) ticket.status = 'resolved';
  await rig.tickets.saysOfWork({ systemId, workItemId: item?.id, state: 'done' });
};
/** First lines of what the ticket was told. */
const said = async (endpointId: string) =>
  (await ticketOf(endpointId))?.history.filter((h) => h.type === 'Comment').map((h) => h.text.split('\n')[0]);
const measured = async (results: Results = GOOD): Promise<string> => {
  const id = await rig.endpoint();
  await rig.measure(id, results);
  return id;
};

describe('a critical rule that drifts', () => {
  it('is one ticket, whether agent, assessment or both find it; claimed, an assessment reopens or closes it', async () => {
    const id = await measured();
    await rig.drift(id, 'one', ['pass', 'fail']);
    await rig.measureAgain(id, { ...GOOD, one: 'fail' });
    await rig.duty('notices');
    await rig.tickets.handle();
    expect(await rig.work(id)).toMatchObject([
      {
        kind: 'drift',
        state: 'open',
        seen: 1,
        changeId: null,
        reason: 'one: pass → fail',
        tickets: [{ state: 'open' }],
      },
    ]);
    expect(fake.standing()).toHaveLength(1);
    expect((await ticketOf(id))?.history[0]?.text).toMatch(
      /Rule: xccdf_org\.example_rule_one\nIt was: pass, it is: fail/,
    );

    await claim(id);
    expect(await rig.work(id)).toMatchObject([{ state: 'claimed', claimedBy: 'alice' }]);
    const disproof = await rig.measure(id, { ...GOOD, one: 'fail' });
    await rig.tickets.handle();
    expect(await rig.work(id)).toMatchObject([{ state: 'open', judgedScan: disproof }]);
    expect((await ticketOf(id))?.status).toBe('open');
    expect((await said(id))?.at(-1)).toMatch(
      new RegExp(`^Not done, says scan ${disproof} of .*: one: the scanner says fail\\. Open again\\.$`),
    );

    await claim(id);
    const proof = await rig.measure(id, GOOD);
    await rig.tickets.handle();
    expect(await rig.work(id)).toMatchObject([{ state: 'closed', judgedScan: proof }]);
    expect((await ticketOf(id))?.status).toBe('resolved');
    expect(fake.standing()).toHaveLength(1);
  });

  it('found by an assessment alone is work as well; of a rule that is not critical it is none', async () => {
    const id = await measured();
    await rig.measureAgain(id, { one: 'pass', two: 'fail', three: 'fail' });
    await rig.duty('notices');
    expect(await rig.work(id)).toMatchObject([{ kind: 'drift', reason: 'two: pass → fail' }]);
  });

  it('of two rules is two things to do', async () => {
    const id = await measured();
    await rig.drift(id, 'one', ['pass', 'fail']);
    await rig.drift(id, 'two', ['pass', 'error']);
    expect((await rig.work(id)).map((item) => item.reason).sort()).toEqual(['one: pass → fail', 'two: pass → error']);
  });

  it('that the agent says passes again is measured, and closed by that', async () => {
    const id = await measured();
    await rig.drift(id, 'one', ['pass', 'fail']);
    await rig.drift(id, 'one', ['fail', 'pass']);
    expect(await rig.work(id)).toMatchObject([{ state: 'open' }]);
    await rig.measure(id, GOOD);
    await rig.tickets.handle();
    expect(await rig.work(id)).toMatchObject([{ state: 'closed' }]);
  });

  it('an answer to an order from before the claim proves nothing', async () => {
    const id = await measured();
    await rig.drift(id, 'one', ['pass', 'fail']);
    await rig.tickets.handle();
    await rig.tickets.api.call('POST', `/v1/endpoints/${id}/assess`);
    await rig.assess();
    await claim(id);
    await rig.answer(id, GOOD);
    await rig.tickets.handle();
    expect(await rig.work(id)).toMatchObject([{ state: 'claimed' }]);
    await rig.measure(id, GOOD);
    await rig.tickets.handle();
    expect(await rig.work(id)).toMatchObject([{ state: 'closed' }]);
  });

  it.each([
    ['ignored by a notice rule', async () => void (await rule('quiet', { kinds: ['rule'], respond: 'ignore' })), 0],
    ['told as an incident', async () => void (await rule('loud', { kinds: ['rule'], respond: 'incident' })), 1],
    ['mapped to a ticket', async () => void (await rule('ticket', { kinds: ['rule'], respond: 'ticket' })), 1],
  ])('%s', async (_, prepare, tickets) => {
    const id = await measured();
    await prepare();
    await rig.drift(id, 'one', ['pass', 'fail']);
    await rig.tickets.handle();
    expect(await rig.work(id)).toHaveLength(tickets);
    expect(fake.standing()).toHaveLength(tickets);
    await noRules();
  });

  it('that is excepted, or marked as wrong, needs nobody', async () => {
    const id = await measured();
    const path = `/v1/endpoints/${id}/assessments/${checklist}/false-positives`;
    const body = { rule: testRuleId('one'), reason: 'the scanner misreads it' };
    expect((await rig.tickets.api.call('PUT', path, { body })).status).toBe(204);
    await rig.tickets.rows(
      `INSERT INTO exception (id, selector, rule, reason, owner, approved_by, created_at, expires_at)
       VALUES (gen_random_uuid(), $1, 'two', 'r', $2, 'x', now(), now() + interval '30 days')`,
      [JSON.stringify({ ids: [id] }), requestedBy],
    );
    await rig.drift(id, 'one', ['pass', 'fail']);
    await rig.drift(id, 'two', ['pass', 'fail']);
    expect(await rig.work(id)).toEqual([]);
  });
});

const rule = (name: string, over: object) =>
  rig.tickets.api.call('PUT', `/v1/notice-rules/${name}`, {
    body: { precedence: 1, appliesTo: { all: true }, severity: 'high', ...over },
  });
const incidents = async (endpointId: string): Promise<Json[]> =>
  (await rig.tickets.api.call('GET', '/v1/incidents?open=true')).body.items.filter(
    (one: Json) => one.endpointId === endpointId,
  );
const noRules = async () => {
  for (const { name } of (await rig.tickets.api.call('GET', '/v1/notice-rules')).body.items)
    await rig.tickets.api.call('DELETE', `/v1/notice-rules/${name}`);
};

describe('what else a notice rule makes a ticket of', () => {
  const listener = { kind: 'listener', action: 'added', name: 'tcp 0.0.0.0:23' };
  beforeEach(() => rule('listeners', { kinds: ['listener'], respond: 'ticket' }));
  afterEach(noRules);

  it('ends when the endpoint says that it is gone, and its incident with it', async () => {
    const id = await measured();
    await rig.notice(id, listener);
    await rig.tickets.handle();
    expect(await rig.work(id)).toMatchObject([
      { kind: 'drift', reason: 'listens on tcp 0.0.0.0:23 (added)', state: 'open' },
    ]);
    await claim(id);
    await rig.notice(id, { ...listener, action: 'removed' });
    await rig.tickets.handle();
    expect(await rig.work(id)).toMatchObject([{ state: 'closed', closedReason: expect.stringContaining('as before') }]);
    expect((await ticketOf(id))?.status).toBe('resolved');
    expect(await incidents(id)).toEqual([]);
  });

  it('ends when somebody closes the incident: it may stay', async () => {
    const id = await measured();
    await rig.notice(id, listener);
    await rig.tickets.handle();
    const [incident] = await incidents(id);
    expect((await ticketOf(id))?.history[0]?.text ?? '').toContain(incident?.id);
    await rig.tickets.api.call('POST', `/v1/incidents/${incident?.id}/close`);
    await rig.tickets.handle();
    expect(await rig.work(id)).toMatchObject([
      { state: 'closed', closedReason: expect.stringContaining('accepted as it is by') },
    ]);
  });
});

describe('an endpoint that a remediation failed on', () => {
  const failed = async (state = 'failed') => {
    const id = await measured({ one: 'fail', two: 'fail', three: 'pass' });
    const changeId = await rig.remediation({ endpoints: [id], checklist, rules: ['one', 'two'], requestedBy });
    await rig.carryOut(changeId, id, state);
    await rig.tickets.handle();
    return { id, changeId };
  };

  it('claimed, comes back with the rules that still fail; all of them passing closes it', async () => {
    const { id, changeId } = await failed();
    expect(await rig.work(id)).toMatchObject([{ kind: 'failedEndpoint', changeId, state: 'open' }]);
    await claim(id);
    // Packages prove nothing about rules.
    await rig.tickets.scan(id, { curl: '8' });
    await rig.tickets.handle();
    expect(await rig.work(id)).toMatchObject([{ state: 'claimed' }]);
    await rig.measure(id, { one: 'pass', two: 'fail', three: 'fail' });
    await rig.tickets.handle();
    expect(await rig.work(id)).toMatchObject([{ state: 'open' }]);
    expect((await said(id))?.at(-1)).toMatch(/: two: the scanner says fail\. Open again\.$/);
    await claim(id);
    const proof = await rig.measure(id, { one: 'pass', two: 'pass', three: 'fail' });
    await rig.tickets.handle();
    expect(await rig.work(id)).toMatchObject([{ state: 'closed', closedReason: expect.stringContaining(proof) }]);
    expect((await ticketOf(id))?.status).toBe('resolved');
  });

  it('that nobody claimed is closed by the assessment after the change, if that shows it', async () => {
    const { id } = await failed('reverted');
    await rig.measure(id, { one: 'fail', two: 'pass', three: 'pass' });
    await rig.tickets.handle();
    expect(await rig.work(id)).toMatchObject([{ state: 'open' }]);
    expect(await said(id)).toEqual([]);
    await rig.measureAgain(id, GOOD);
    await rig.tickets.handle();
    expect(await rig.work(id)).toMatchObject([{ state: 'closed' }]);
  });

  it('of a change that was rolled back, may fail as before, but somebody must say that it is done', async () => {
    const { id, changeId } = await failed('revertFailed');
    await rig.tickets.close(changeId, 'rolledBack');
    await rig.measure(id, { one: 'fail', two: 'fail', three: 'pass' });
    await rig.tickets.handle();
    expect(await rig.work(id)).toMatchObject([{ state: 'open' }]);
    await claim(id);
    await rig.measure(id, { one: 'fail', two: 'error', three: 'pass' });
    await rig.tickets.handle();
    expect((await said(id))?.at(-1)).toContain(': two: the scanner says error.');
    await claim(id);
    await rig.measure(id, { one: 'fail', two: 'fail', three: 'pass' });
    await rig.tickets.handle();
    expect(await rig.work(id)).toMatchObject([{ state: 'closed' }]);
  });

  it('where no baseline holds any more: whoever says it is done is believed', async () => {
    const { id } = await failed();
    await rig.tickets.rows('DELETE FROM assessment_target WHERE endpoint_id = $1', [id]);
    await claim(id);
    expect(await rig.work(id)).toMatchObject([
      { state: 'closed', closedReason: 'said to be done; nothing measures it there any more' },
    ]);
  });
});

// Last: from here on the clock of web tier and worker is ahead of the database's.
it('a claim without an answer in the policy’s minutes comes back', async () => {
  const id = await measured();
  await rig.drift(id, 'one', ['pass', 'fail']);
  await rig.tickets.handle();
  await claim(id);
  await rig.assess();
  await rig.answer(id, 'the scanner was killed 3 times');
  rig.tickets.skip(21 * MINUTE);
  await rig.tickets.handle();
  expect(await rig.work(id)).toMatchObject([{ state: 'open' }]);
  expect((await said(id))?.at(-1)).toMatch(
    /^No scan came in time .*its assessment failed: the scanner was killed 3 times/,
  );
});
