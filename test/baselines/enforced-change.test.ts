/** A baseline in mode `enforce`, from drift to proof: the change that the duty makes goes through the whole system, and nothing goes past it. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type pg from 'pg';
import { createPool } from '../../db/pool.js';
import { baselineDuties } from '../../worker/baseline-duty.js';
import type { Json } from '../helpers/agent-client.js';
import { testAssignment, testDataStream } from '../helpers/data-stream.js';
import { approvalRule } from '../helpers/scripted-activities.js';
import { lookAt } from '../helpers/stack/look.js';
import { BOOTSTRAP_TOKEN, ringOf, type Stack, startStack } from '../helpers/stack.js';
import { addManager, decide, type Manager } from '../zero-day/rig.js';
import { RuleEndpoint } from './rule-endpoint.js';

const RULES = ['one', 'two'];
const fleet = ['canary', 'web-1', 'web-2', 'other'] as const;
let stack: Stack;
let see: ReturnType<typeof lookAt>;
let grace: Manager;
let pool: pg.Pool;
const endpoints = new Map<string, RuleEndpoint>();
const at = (name: (typeof fleet)[number]): RuleEndpoint => endpoints.get(name) as RuleEndpoint;

beforeAll(async () => {
  stack = await startStack({ hosts: [], packages: [] });
  see = lookAt(stack);
  pool = createPool({ url: stack.workerUrl, applicationName: 'another-worker' });
  grace = await addManager(stack, 'grace');
  await ask('PUT', '/v1/groups/shop', { selector: { labels: { team: 'shop' } } });
  const baseline = await fetch(`${stack.apiUrl}/v1/baselines?name=house`, {
    method: 'POST',
    headers: { authorization: `Bearer ${BOOTSTRAP_TOKEN}`, 'content-type': 'application/xml' },
    body: testDataStream({
      rules: RULES.map((name) => ({ name, file: '/etc/a.conf', line: `${name} yes`, fix: `echo '${name} yes'\n` })),
    }),
  });
  expect([baseline.status, await baseline.text()]).toEqual([201, expect.any(String)]);
  await Promise.all(
    fleet.map(async (name) => {
      const { token } = await ask('POST', '/v1/join-tokens', { labels: { team: name === 'other' ? 'other' : 'shop' } });
      const endpoint = new RuleEndpoint(name, stack.apiUrl, RULES);
      endpoints.set(name, endpoint);
      await endpoint.start(token);
    }),
  );
}, 120_000);
afterAll(async () => {
  await Promise.all([...endpoints.values()].map((endpoint) => endpoint.stop()));
  await pool?.end();
  await stack?.end();
}, 60_000);

async function ask(method: string, path: string, body?: object): Promise<Json> {
  const reply = await stack.api(method, path, body);
  if (reply.status >= 300) throw new Error(`${method} ${path}: ${reply.status} ${JSON.stringify(reply.body)}`);
  return reply.body;
}
/** The shop's baseline; the other team's is only proposed. */
const assign = async (over: object) => {
  await ask('PUT', '/v1/baseline-assignments/shop', testAssignment({ appliesTo: { groups: ['shop'] }, ...over }));
  await ask('PUT', '/v1/baseline-assignments/rest', testAssignment({ appliesTo: { labels: { team: 'other' } } }));
};
/** Measures it, by hand, until the server has what is so there now. */
async function measured(name: (typeof fleet)[number]): Promise<void> {
  const failing = RULES.filter((rule) => !at(name).passes(rule)).length;
  // What holds for it is known a moment after it was assigned.
  const path = `/v1/endpoints/${at(name).id}/assess`;
  await stack.waitFor(`${name} asked`, async () => (await stack.api('POST', path)).status === 202);
  await stack.waitFor(`results of ${name}`, async () => {
    const { items } = await ask('GET', `/v1/endpoints/${at(name).id}/assessments`);
    return items.length === 1 && items[0].fail === failing && items[0].wanted === false;
  });
}
const made = (): Promise<Json[]> =>
  stack.rows(`SELECT id, kind, requested_by FROM change WHERE kind = 'remediation' ORDER BY requested_at`);
/** What another worker beside the first would do about enforcement now. */
const anotherLook = async (): Promise<number> => {
  const duties = baselineDuties({ pool, store: null as never, signer: null as never, clock: Date.now });
  await duties.find(({ name }) => name === 'enforcement')?.run();
  return (await made()).length;
};
/** Who was given anything but scans by these changes. */
const given = async (changeId: string): Promise<string[]> =>
  (
    await stack.rows(
      `SELECT DISTINCT e.name FROM order_state o JOIN endpoint e ON e.id = o.endpoint_id
        WHERE o.change_id = $1 AND o.kind IN ('change', 'revert') AND o.released_at IS NOT NULL ORDER BY 1`,
      [changeId],
    )
  ).map((row) => row.name);
const asked = (changeId: string, ring: number) =>
  stack.waitFor(`the request of ring ${ring}`, async () => {
    const sql = `SELECT FROM approval_request WHERE change_id = $1 AND ring = $2 AND state = 'open'`;
    return (await stack.rows(sql, [changeId, ring])).length === 1;
  });
const pauseIsOver = () => stack.rows(`UPDATE change SET requested_at = requested_at - interval '2 hours'`);
const begun = () => Object.fromEntries(fleet.map((name) => [name, at(name).begun()]));

describe('drift where a baseline is enforced', () => {
  let changeId: string;

  test('makes one change, that waits for its approval and does nothing before', async () => {
    await assign({ mode: 'propose' });
    await Promise.all(fleet.map(measured));
    at('canary').drift('one');
    at('web-1').drift('one', 'two');
    at('other').drift('one', 'two');
    await Promise.all((['canary', 'web-1', 'other'] as const).map(measured));
    expect(await anotherLook()).toBe(0);

    const approvals = [approvalRule({ from: { accounts: [grace.id] }, escalateTo: { accounts: [grace.id] } })];
    const rings = [
      ringOf({ name: 'canaries', select: { names: ['canary'] }, approvals }),
      ringOf({ name: 'everyone', approvals }),
    ];
    await assign({ mode: 'enforce', enforcement: { rings, deadlineMinutes: 600, everyMinutes: 60 } });
    await stack.waitFor('the duty’s change', async () => (await made()).length > 0);
    changeId = (await made())[0].id;
    await asked(changeId, 0);
    // More of the same while it is under way is no reason for a second one.
    at('web-2').drift('two');
    await measured('web-2');
    expect(await anotherLook()).toBe(1);
    expect(await made()).toMatchObject([{ kind: 'remediation', requested_by: 'baseline-assignment/shop' }]);
    expect(await given(changeId)).toEqual([]);
    expect(begun()).toEqual({ canary: [], 'web-1': [], 'web-2': [], other: [] });
  });

  test('is put right ring by ring, each after its own approval, and only what was approved', async () => {
    const page = await decide(stack, { changeId, person: grace, decision: 'approve' });
    expect(page).toContain('enforce shop');
    await asked(changeId, 1);
    expect([at('canary').passes('one'), at('web-1').passes('one')]).toEqual([true, false]);
    expect(await given(changeId)).toEqual(['canary']);
    expect(await anotherLook()).toBe(1);
    await decide(stack, { changeId, person: grace, decision: 'approve', ring: 1 });
    await see.closed(changeId);
    expect(await see.outcome(changeId)).toBe('completed');
    expect(begun()).toEqual({ canary: [changeId], 'web-1': [changeId], 'web-2': [], other: [] });
    expect(await see.states(changeId)).toEqual({ canary: 'succeeded', 'web-1': 'succeeded' });
  });

  test('is confirmed by scans of exactly the rules that were put right', async () => {
    const { items } = await ask('GET', `/v1/changes/${changeId}/confirmations`);
    expect(items.map(({ endpointId, scanOf, proven }: Json) => [endpointId, scanOf, proven]).sort()).toEqual(
      [at('canary').id, at('web-1').id].sort().map((id) => [id, 'rules', true]),
    );
    const proofs = await stack.rows(
      `SELECT e.name, p.rules FROM rule_proof p JOIN endpoint e ON e.id = p.endpoint_id WHERE p.change_id = $1 ORDER BY 1`,
      [changeId],
    );
    expect(proofs).toEqual([
      { name: 'canary', rules: ['one'] },
      { name: 'web-1', rules: ['one', 'two'] },
    ]);
    const loop = await ask('GET', `/v1/closed-loop?change=${changeId}`);
    expect(loop.items[0]).toMatchObject({
      authorised: { answer: 'yes' },
      asAuthorised: { answer: 'yes' },
      confirmed: { answer: 'yes', succeeded: 2, scanned: 2 },
    });
  });
});

describe('what is left', () => {
  test('waits for the pause to be over; rejected, nobody is given anything', async () => {
    expect(await anotherLook()).toBe(1);
    await pauseIsOver();
    await stack.waitFor('the next change', async () => (await anotherLook()) === 2);
    const changeId = (await made())[1]?.id;
    await asked(changeId, 1);
    expect(await anotherLook()).toBe(2);
    await decide(stack, { changeId, person: grace, decision: 'reject', ring: 1 });
    await stack.waitFor('the shut ring', async () => {
      const [row] = await stack.rows('SELECT waiting_for FROM change WHERE id = $1', [changeId]);
      return /Ring 1 stays shut: approval rejected/.test(row.waiting_for ?? '');
    });
    await pauseIsOver();
    expect(await anotherLook()).toBe(2);
    await ask('POST', `/v1/changes/${changeId}/abort`, { reason: 'nobody wants it' });
    await see.closed(changeId);
    expect([await see.outcome(changeId), await given(changeId)]).toEqual(['aborted', []]);
    expect(at('web-2').passes('two')).toBe(false);
  });

  test('is not called done where the scan says otherwise, nor where an endpoint left it out; what it did do is confirmed', async () => {
    at('web-1').drift('one');
    at('web-2').drift('one');
    await Promise.all((['web-1', 'web-2'] as const).map(measured));
    await stack.waitFor('the next change', async () => (await anotherLook()) === 3);
    const changeId = (await made())[2]?.id;
    at('web-1').stubborn.add('one');
    at('web-2').unable.set('two', 'expected aide 0.18 as approved, offered 0.19');
    await decide(stack, { changeId, person: grace, decision: 'approve', ring: 1 });
    await see.closed(changeId);
    const declined = [{ name: 'two', reason: 'expected aide 0.18 as approved, offered 0.19' }];
    const [{ outcome, summary }] = await stack.rows('SELECT outcome, summary FROM change WHERE id = $1', [changeId]);
    expect(outcome).toBe('completedWithFailures');
    expect(summary).toMatchObject({
      ...{ succeeded: 2, confirmed: 1, missing: 1, declinedOn: 1 },
      unproven: [{ package: 'one:all', endpoints: ['web-1'] }],
      declined: [{ rule: 'two', reason: declined[0]?.reason, endpoints: 1 }],
    });
    const { items } = await ask('GET', `/v1/changes/${changeId}/confirmations`);
    const of = (name: 'web-1' | 'web-2') => items.find(({ endpointId }: Json) => endpointId === at(name).id);
    expect(of('web-1')).toMatchObject({ scanOf: 'rules', proven: false, declined: [] });
    expect(of('web-2')).toMatchObject({ scanOf: 'rules', proven: true, declined });
    const works = await stack.rows(
      `SELECT e.name, w.kind, w.reason, w.evidence ->> 'unproven' AS unproven FROM work_item w JOIN endpoint e ON e.id = w.endpoint_id WHERE w.change_id = $1 ORDER BY 1`,
      [changeId],
    );
    expect(works).toEqual([
      {
        name: 'web-1',
        kind: 'failedEndpoint',
        reason: 'reported success, but the scan after it does not show it',
        unproven: 'missing',
      },
      { name: 'web-2', kind: 'failedEndpoint', reason: `not done there: two: ${declined[0]?.reason}`, unproven: null },
    ]);
    const loop = await ask('GET', `/v1/closed-loop?change=${changeId}`);
    expect(loop.items[0].confirmed).toMatchObject({ answer: 'no', scanned: 2, missing: 1, declined: 1 });
  });

  test('nobody said anything that should not be', () => {
    expect([...endpoints.values()].flatMap(({ problems }) => problems)).toEqual([]);
  });
});
