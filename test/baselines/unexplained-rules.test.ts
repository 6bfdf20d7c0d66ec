/** What explains that a rule's result changed, from assessments as endpoints send them to the page and what a person says. */
import { afterAll, beforeAll, expect, it, jest } from '@jest/globals';
import type { Json } from '../helpers/agent-client.js';
import { Browser } from '../helpers/browser.js';
import { testRuleId } from '../helpers/data-stream.js';
import { type SeededAccount, seedAccount, seedChange } from '../helpers/seed-change.js';
import { BaselineRig, type Results } from './rig.js';

jest.setTimeout(60_000);

const BEFORE: Results = { one: 'fail', two: 'fail', three: 'pass', four: 'notapplicable' };
let rig: BaselineRig;
let alice: SeededAccount;
let checklist: string;
beforeAll(async () => {
  rig = await BaselineRig.start(['one', 'two', 'three', 'four']);
  const { pool } = rig.tickets.db;
  alice = await seedAccount(pool, { name: 'Alice', roles: ['Manager'], password: 'correct horse battery' });
  checklist = await rig.assign('all', { critical: [testRuleId('three')] });
});
afterAll(() => rig?.stop());

/** Measured, then an order of a change to put `one` right ended so. */
const worked = async (state: string): Promise<{ id: string; changeId: string; orderId: string }> => {
  const id = await rig.endpoint();
  await rig.measure(id, BEFORE);
  rig.tickets.skip(1_000);
  const changeId = await rig.remediation({ endpoints: [id], checklist, rules: ['one'], requestedBy: alice.id });
  const orderId = await rig.carryOut(changeId, id, state);
  rig.tickets.skip(1_000);
  return { id, changeId, orderId };
};
const listed = async (endpointId: string, more = ''): Promise<Json[]> =>
  (await rig.tickets.api.call('GET', `/v1/closed-loop/unexplained-rules?endpoint=${endpointId}${more}`)).body.items;
const unexplained = async (endpointId: string) =>
  (await listed(endpointId)).map(({ rule, from, to }) => `${rule}: ${from} → ${to}`).sort();
const told = (orderId: string, detail: object) =>
  rig.tickets.rows(
    `INSERT INTO order_event (order_id, actor, event, from_state, to_state, detail) VALUES ($1, 'agent', 'apply', 'staged', 'applying', $2)`,
    [orderId, JSON.stringify(detail)],
  );

it('a remediation explains what it put right, named or not, and nothing that got worse; that is noticed as nobody’s', async () => {
  const { id, changeId } = await worked('succeeded');
  // While the order runs, which does not name the rule.
  const detail = { before: 'pass', after: 'fail' };
  await rig.notice(id, { name: testRuleId('three'), detail, at: rig.tickets.clock() });
  expect(await rig.work(id)).toHaveLength(1);
  await rig.measureAgain(id, { one: 'pass', two: 'pass', three: 'fail', four: 'fail' });
  expect(await unexplained(id)).toEqual(['four: notapplicable → fail', 'three: pass → fail']);
  const moved = await rig.tickets.rows(
    'SELECT change_id FROM rule_change WHERE change_id IS NOT NULL AND endpoint_id = $1',
    [id],
  );
  expect(moved).toEqual([{ change_id: changeId }, { change_id: changeId }]);
  // A critical rule that somebody broke while a change was at work is work for people like any other, and told once.
  await rig.duty('notices');
  expect(await rig.work(id)).toMatchObject([{ kind: 'drift', reason: 'three: pass → fail' }]);
});

it('what it moved goes back with it; what it neither names nor moved does not', async () => {
  const { id, changeId, orderId } = await worked('succeeded');
  await rig.measureAgain(id, { ...BEFORE, one: 'pass', two: 'pass' });
  rig.tickets.skip(1_000);
  await rig.tickets.workerPool.query(
    `INSERT INTO order_state (id, change_id, ring, home_ring, endpoint_id, kind, phase, state, reverts, content_digest, started_at, settled_at)
     SELECT gen_random_uuid(), change_id, 0, 0, endpoint_id, 'revert', 'done', 'reverted', id, id::text, to_timestamp($2 / 1000.0), to_timestamp($2 / 1000.0)
       FROM order_state WHERE id = $1`,
    [orderId, rig.tickets.clock()],
  );
  rig.tickets.skip(1_000);
  await rig.measureAgain(id, { ...BEFORE, three: 'fail' });
  expect(await unexplained(id)).toEqual(['three: pass → fail']);
  expect(
    await rig.tickets.rows(
      'SELECT DISTINCT change_id FROM rule_change WHERE endpoint_id = $1 AND change_id IS NOT NULL',
      [id],
    ),
  ).toEqual([{ change_id: changeId }]);
});

it.each([
  ['packages came along', [{ name: 'pam', arch: 'amd64', from: null, to: '1' }], []],
  ['none came', [], ['four: notapplicable → fail']],
  ['what it says has no known shape', { name: 'pam' }, ['four: notapplicable → fail']],
])('a rule that applies now: %s', async (_, alsoPackages, expected) => {
  const { id, orderId } = await worked('succeeded');
  await told(orderId, { alsoPackages });
  await rig.measureAgain(id, { ...BEFORE, four: 'fail' });
  expect(await unexplained(id)).toEqual(expected);
});

it('a patch cycle explains no rule; nor does a remediation that ended before', async () => {
  const id = await rig.endpoint();
  await rig.measure(id, BEFORE);
  const updates = [{ name: 'one', from: '1', to: '2' }];
  const rings = [{ name: 'all', endpoints: [id], updates }];
  const { changeId } = await seedChange(rig.tickets.db.pool, { requestedBy: alice.id, rings });
  rig.tickets.skip(1_000);
  await rig.carryOut(changeId, id, 'succeeded');
  rig.tickets.skip(1_000);
  await rig.measureAgain(id, { ...BEFORE, one: 'pass', three: 'fail' });
  expect(await unexplained(id)).toEqual(['one: fail → pass', 'three: pass → fail']);

  const { id: other } = await worked('succeeded');
  await rig.measureAgain(other, BEFORE);
  rig.tickets.skip(1_000);
  await rig.measureAgain(other, { ...BEFORE, one: 'pass' });
  expect(await unexplained(other)).toEqual(['one: fail → pass']);
});

it('a person says what it was, on record; the pages show it, page by page, with the endpoint and the rule', async () => {
  const id = await rig.endpoint();
  await rig.measure(id, BEFORE);
  rig.tickets.skip(1_000);
  await rig.measureAgain(id, { ...BEFORE, three: 'fail' });
  const [item] = await listed(id);
  const explain = (ruleChange: unknown, explanation: string) =>
    rig.tickets.api.call('PUT', `/v1/closed-loop/unexplained-rules/${ruleChange}/explanation`, {
      body: { explanation },
    });

  const browser = new Browser(rig.tickets.api.url);
  const page = await browser.get('/sign-in');
  const signIn = { _csrf: page.field('_csrf'), next: '/', email: alice.email, password: 'correct horse battery' };
  await browser.post('/sign-in', signIn);
  const shown = await browser.get('/closed-loop');
  for (const link of [`/endpoints/${id}`, `/compliance/${encodeURIComponent(checklist)}/rules/three`])
    expect(shown.text).toContain(`href="${link}"`);

  expect((await explain(item?.id, 'INC-9: tried by hand')).status).toBe(204);
  expect(await listed(id)).toMatchObject([{ explanation: 'INC-9: tried by hand', explainedBy: expect.any(String) }]);
  expect(await listed(id, '&explained=false')).toEqual([]);
  expect(await listed(id, '&explained=true')).toHaveLength(1);
  expect((await explain(999_999, 'x')).status).toBe(404);
  expect((await explain('nine', 'x')).status).toBe(400);
  // What an order explains is nobody's to explain.
  const [{ id: byChange }] = await rig.tickets.rows('SELECT id FROM rule_change WHERE change_id IS NOT NULL LIMIT 1');
  expect((await explain(byChange, 'x')).status).toBe(404);
  expect(await rig.tickets.rows(`SELECT subject FROM audit_entry WHERE action = 'ruleChange.explained'`)).toEqual([
    { subject: `endpoint/${id}` },
  ]);

  const [web] = await rig.tickets.rows('SELECT name FROM endpoint WHERE id = $1', [id]);
  for (const path of ['/closed-loop/unexplained', '/closed-loop/unexplained-rules']) {
    const { status, text } = await browser.get(path);
    expect(status).toBe(200);
    for (const words of ['INC-9: tried by hand', web.name]) expect(text).toContain(words);
  }
  expect((await browser.get('/closed-loop')).text).not.toContain(web.name);
  await rig.tickets.rows(
    `INSERT INTO rule_change (endpoint_id, checklist_id, position, before, after, at)
     SELECT endpoint_id, checklist_id, position, 'p', 'f', now() FROM rule_change, generate_series(1, 40) WHERE id = $1`,
    [item?.id],
  );
  const first = (await browser.get('/closed-loop/unexplained-rules')).text;
  expect(first).not.toContain('INC-9');
  const next = /rel="next" href="([^"]+)"/.exec(first)?.[1] ?? '';
  expect((await browser.get(next)).text).toContain('INC-9');
});
