/** The closed loop of a remediation: confirmed by which scan? */
import { afterAll, beforeAll, expect, it, jest } from '@jest/globals';
import { loadDeclinedRules } from '../../db/baseline/declined-rules.js';
import { askForRuleProof } from '../../db/baseline/remediation.js';
import { countClosedLoops } from '../../db/read/closed-loop.js';
import type { Json } from '../helpers/agent-client.js';
import { Browser } from '../helpers/browser.js';
import { visibleText } from '../helpers/html.js';
import { seedAccount } from '../helpers/seed-change.js';
import { BaselineRig } from './rig.js';

jest.setTimeout(60_000);

let rig: BaselineRig;
let requestedBy: string;
let checklist: string;
beforeAll(async () => {
  rig = await BaselineRig.start(['one', 'two']);
  requestedBy = (await seedAccount(rig.tickets.db.pool, { name: 'Requester' })).id;
  checklist = await rig.assign('all');
});
afterAll(() => rig?.stop());

const loop = async (changeId: string): Promise<Json> =>
  (await rig.tickets.api.call('GET', `/v1/closed-loop?change=${changeId}`)).body.items[0];
const confirmations = async (changeId: string): Promise<Map<string, Json>> => {
  const { items } = (await rig.tickets.api.call('GET', `/v1/changes/${changeId}/confirmations`)).body;
  return new Map(items.map((item: Json) => [item.endpointId, item]));
};
/** A remediation that says it succeeded on so many endpoints, each measured before. */
const carriedOut = async (count: number): Promise<{ readonly changeId: string; readonly ids: string[] }> => {
  const ids = await Promise.all(Array.from({ length: count }, () => rig.endpoint()));
  for (const id of ids) await rig.measure(id, { one: 'fail', two: 'fail' });
  const changeId = await rig.remediation({ endpoints: ids, checklist, rules: ['one', 'two'], requestedBy });
  for (const id of ids) await rig.carryOut(changeId, id, 'succeeded');
  return { changeId, ids };
};
const askForProof = async (changeId: string, endpointIds: readonly string[]) => {
  await askForRuleProof(rig.tickets.workerPool, { changeId, endpointIds, now: rig.tickets.clock() });
  // What is due after the change goes out as well; this is about the proofs alone.
  await rig.tickets.rows(`UPDATE assessment_target SET due_at = 'infinity'`);
  await rig.tickets.rows('DELETE FROM assessment_news');
  await rig.assess();
};

it('by the scan of exactly its rules, and by nothing else', async () => {
  const { changeId, ids } = await carriedOut(2);
  const [a, b] = ids as [string, string];
  await rig.tickets.scan(a, { curl: '8' });
  await rig.tickets.scan(b, { curl: '8' });
  expect(await loop(changeId)).toMatchObject({
    confirmed: {
      answer: 'notYet',
      succeeded: 2,
      scanned: 0,
      firstScan: null,
      why: '2 of 2 endpoints have sent no scan since',
    },
  });
  await askForProof(changeId, ids);
  rig.tickets.skip(1_000);
  const first = await rig.answer(a, { one: 'pass', two: 'pass' });
  rig.tickets.skip(1_000);
  const last = await rig.answer(b, { one: 'pass', two: 'fixed' });
  await rig.tickets.close(changeId, 'completed', { confirmed: 2, missing: 0, unconfirmed: 0 });
  const whole = {
    confirmed: {
      answer: 'yes',
      scanned: 2,
      firstScan: { id: first, of: 'rules' },
      lastScan: { id: last, of: 'rules' },
    },
    times: { minutesToConfirmed: expect.any(Number) },
  };
  expect(await loop(changeId)).toMatchObject(whole);
  await countClosedLoops(rig.tickets.workerPool, { limit: 100, now: rig.tickets.clock() });
  expect(await loop(changeId)).toMatchObject(whole);
  expect((await confirmations(changeId)).get(a)).toMatchObject({ scanId: first, scanOf: 'rules', proven: true });
});

it.each([
  ['a rule still fails', { one: 'pass', two: 'fail' } as const],
  ['the scanner gave no answer', 'the scanner was killed 3 times'],
])('not when %s: the scan is named, and that it proved nothing', async (_, answer) => {
  const { changeId, ids } = await carriedOut(1);
  const [id] = ids as [string];
  await askForProof(changeId, ids);
  rig.tickets.skip(1_000);
  const scanId = await rig.answer(id, answer);
  expect((await confirmations(changeId)).get(id)).toMatchObject({ scanId, scanOf: 'rules', proven: false });
});

it('not by a proof from before it was carried out once more', async () => {
  const { changeId, ids } = await carriedOut(1);
  const [id] = ids as [string];
  await askForProof(changeId, ids);
  await rig.answer(id, { one: 'pass', two: 'pass' });
  await rig.tickets.rows(`UPDATE order_state SET settled_at = settled_at + interval '1 hour' WHERE change_id = $1`, [
    changeId,
  ]);
  expect((await confirmations(changeId)).get(id)).toMatchObject({ scanId: null, scanOf: null, proven: null });
  expect(await loop(changeId)).toMatchObject({ confirmed: { scanned: 0 } });
});

it.each<[string, unknown, string[]]>([
  ['what an endpoint left out is not asked for', [{ name: 'two', reason: 'no way back' }], ['one']],
  ['a rule nobody ordered changes nothing', [{ name: 'three' }], ['one', 'two']],
  ['something of no known shape changes nothing', ['two', 7, null, { reason: 'x' }], ['one', 'two']],
  ['no list changes nothing', 'two', ['one', 'two']],
])('%s when it is confirmed', async (_, declined, rules) => {
  const { changeId, ids } = await carriedOut(1);
  await rig.tickets.rows(
    `INSERT INTO order_event (order_id, actor, event, from_state, to_state, detail)
     SELECT id, 'agent', 'apply', 'staged', 'applying', $2 FROM order_state WHERE change_id = $1`,
    [changeId, JSON.stringify({ declined })],
  );
  await askForProof(changeId, ids);
  expect(await rig.tickets.rows('SELECT rules FROM rule_proof WHERE change_id = $1', [changeId])).toEqual([{ rules }]);
  rig.tickets.skip(1_000);
  await rig.answer(ids[0] as string, Object.fromEntries(rules.map((name) => [name, 'pass' as const])));
  expect((await confirmations(changeId)).get(ids[0] as string)).toMatchObject({ proven: true });
});

it('what endpoints left out is told by rule and reason, also where nothing was left to do; what went back tells nothing', async () => {
  const { changeId, ids } = await carriedOut(2);
  const [a, b] = ids as [string, string];
  const late = await rig.endpoint();
  const says = (endpointId: string, event: string, declined: readonly Json[]) =>
    rig.tickets.rows(
      `INSERT INTO order_event (order_id, actor, event, from_state, to_state, detail)
       SELECT id, 'agent', $3, 'staged', 'applying', $4 FROM order_state WHERE change_id = $1 AND endpoint_id = $2`,
      [changeId, endpointId, event, JSON.stringify({ declined })],
    );
  await says(a, 'apply', [{ name: 'two', reason: 'no way back' }]);
  await says(b, 'apply', [{ name: 'two', reason: 'no way back' }, { name: 'nobody ordered this' }]);
  await rig.tickets.rows(
    `INSERT INTO plan_endpoint SELECT (jsonb_populate_record(p, jsonb_build_object('endpoint_id', $2::text))).* FROM plan_endpoint p
      WHERE change_id = $1 AND endpoint_id = $3`,
    [changeId, late, a],
  );
  await rig.carryOut(changeId, late, 'skipped');
  await says(late, 'decline', [{ name: 'one' }]);
  const found = async () =>
    (await loadDeclinedRules(rig.tickets.workerPool, changeId)).map(({ name, reason, endpointIds }) => [
      name,
      reason,
      endpointIds,
    ]);
  expect(await found()).toEqual([
    ['one', 'without a reason', [late]],
    ['two', 'no way back', [a, b].sort()],
  ]);
  await rig.tickets.rows(
    `INSERT INTO order_state (id, change_id, ring, home_ring, endpoint_id, kind, phase, state, reverts, content_digest)
     SELECT gen_random_uuid(), change_id, 0, 0, endpoint_id, 'revert', 'done', 'reverted', id, content_digest FROM order_state
      WHERE change_id = $1 AND endpoint_id = $2`,
    [changeId, b],
  );
  expect((await found())[1]).toEqual(['two', 'no way back', [a]]);
});

it('what endpoints left out, and why, is on the page of the change, also while it is under way', async () => {
  const password = 'correct horse battery';
  const ada = await seedAccount(rig.tickets.db.pool, { name: 'Ada', roles: ['Manager'], password });
  const browser = new Browser(rig.tickets.api.url);
  const form = await browser.get('/sign-in');
  await browser.post('/sign-in', { _csrf: form.field('_csrf'), next: '/', email: ada.email, password });
  const { changeId, ids } = await carriedOut(7);
  const shown = async () =>
    visibleText((await browser.get(`/changes/${changeId}`)).text)
      .replace(/\s+/g, ' ')
      .match(/Rules that endpoints left out .*? Approvals/)?.[0];
  expect(await shown()).toBe('Rules that endpoints left out None so far. Approvals');
  const say = (id: string, declined: unknown) =>
    rig.tickets.rows(
      `INSERT INTO order_event (order_id, actor, event, from_state, to_state, detail)
       SELECT id, 'agent', 'apply', 'staged', 'applying', $3 FROM order_state WHERE change_id = $1 AND endpoint_id = $2`,
      [changeId, id, JSON.stringify({ declined })],
    );
  const [first, ...others] = ids as [string, ...string[]];
  await say(first, [{ name: 'one', reason: 'no <b>way</b> back' }, { name: 'nobody ordered this' }, 7]);
  for (const id of others) await say(id, [{ name: 'two', reason: 'aide is held' }]);
  const names = await rig.tickets.rows('SELECT id, name FROM endpoint WHERE id = ANY ($1::uuid[]) ORDER BY name', [
    ids,
  ]);
  const nameOf = (id: string) => names.find((one) => one.id === id)?.name;
  const five = names.filter(({ id }) => id !== first).slice(0, 5);
  expect(await shown()).toBe(
    'Rules that endpoints left out Rule Why Endpoints ' +
      `two aide is held 6: ${five.map(({ name }) => name).join(' , ')} and 1 more ` +
      `one no <b>way</b> back 1: ${nameOf(first)} Approvals`,
  );
});
