/**
 * A remediation authorised, told and closed in a real Request Tracker, by everything that runs in production: Temporal, worker and
 * web tier as processes of their own, agents on the protocol. Nothing is projected, judged or heard by the test.
 */
import { afterAll, beforeAll, expect, it, jest } from '@jest/globals';
import { RuleEndpoint } from '../baselines/rule-endpoint.js';
import type { Json } from '../helpers/agent-client.js';
import { testAssignment, testDataStream } from '../helpers/data-stream.js';
import { approvalRule } from '../helpers/scripted-activities.js';
import { lookAt } from '../helpers/stack/look.js';
import { BOOTSTRAP_TOKEN, ringOf, type Stack, startStack } from '../helpers/stack.js';
import { addManager, type Manager } from '../zero-day/rig.js';
import { describeRequestTracker, passwordOf, type RequestTracker, startRequestTracker } from './rt/request-tracker.js';

jest.setTimeout(240_000);

const RULES = ['one', 'two'];
const FLEET = ['canary', 'web'] as const;

describeRequestTracker('a remediation and its ticket in Request Tracker 5', () => {
  let rt: RequestTracker;
  let stack: Stack;
  let see: ReturnType<typeof lookAt>;
  let alice: Manager;
  let bob: Manager;
  const endpoints = new Map<string, RuleEndpoint>();
  const at = (name: (typeof FLEET)[number]): RuleEndpoint => endpoints.get(name) as RuleEndpoint;

  beforeAll(async () => {
    [rt, stack] = await Promise.all([startRequestTracker(), startStack({ hosts: [], packages: [] })]);
    see = lookAt(stack);
    [alice, bob] = [await addManager(stack, 'alice'), await addManager(stack, 'bob')];
    await ask('POST', '/v1/ticket-systems', {
      name: 'RT',
      provider: 'request-tracker',
      settings: { url: rt.url, user: 'ringmaster', queue: 'Patching', digestField: 'PlanDigest', hearSeconds: 2 },
      secret: passwordOf('ringmaster'),
      policy: {
        approvals: 'inTicket',
        work: { rescanMinutes: 5 },
        people: [
          { author: 'alice', accountId: alice.id },
          { author: 'bob', accountId: bob.id },
        ],
      },
    });
    const baseline = await fetch(`${stack.apiUrl}/v1/baselines?name=house`, {
      method: 'POST',
      headers: { authorization: `Bearer ${BOOTSTRAP_TOKEN}`, 'content-type': 'application/xml' },
      body: testDataStream({
        rules: RULES.map((name) => ({ name, file: '/etc/a.conf', line: `${name} yes`, fix: `echo '${name} yes'\n` })),
      }),
    });
    expect(baseline.status).toBe(201);
    await ask('PUT', '/v1/baseline-assignments/all', testAssignment());
    await Promise.all(
      FLEET.map(async (name) => {
        const { token } = await ask('POST', '/v1/join-tokens', { labels: { name } });
        const endpoint = new RuleEndpoint(name, stack.apiUrl, RULES);
        endpoints.set(name, endpoint);
        await endpoint.start(token);
      }),
    );
  });
  afterAll(async () => {
    await Promise.all([...endpoints.values()].map((endpoint) => endpoint.stop()));
    await stack?.end();
    await rt?.stop();
  });

  async function ask(method: string, path: string, body?: object): Promise<Json> {
    const reply = await stack.api(method, path, body);
    if (reply.status >= 300) throw new Error(`${method} ${path}: ${reply.status} ${JSON.stringify(reply.body)}`);
    return reply.body;
  }
  /** Measures it until the server has what is so there now. */
  const measured = async (name: (typeof FLEET)[number]) => {
    const failing = RULES.filter((rule) => !at(name).passes(rule)).length;
    const path = `/v1/endpoints/${at(name).id}/assess`;
    await stack.waitFor(`${name} asked`, async () => (await stack.api('POST', path)).status === 202);
    await stack.waitFor(`results of ${name}`, async () => {
      const { items } = await ask('GET', `/v1/endpoints/${at(name).id}/assessments`);
      return items.length === 1 && items[0].fail === failing && items[0].wanted === false;
    });
  };
  const remediate = (name: string): Promise<string> => {
    const approvals = [approvalRule({ from: { accounts: [alice.id] }, escalateTo: { accounts: [alice.id] } })];
    return stack.createChange({
      kind: 'remediation',
      name,
      reason: 'rules fail',
      scope: { all: true },
      rings: [
        ringOf({ name: 'canaries', select: { names: ['canary'] }, approvals }),
        ringOf({ name: 'everyone', approvals }),
      ],
      priority: 0,
      deadlineMinutes: 120,
      offlineAfterMinutes: 60,
      parameters: { assignments: ['all'], discoverMinutes: 1, confirmMinutes: 5 },
    });
  };
  const tickets = async (changeId: string): Promise<Json[]> =>
    (await ask('GET', `/v1/changes/${changeId}/tickets`)).items;
  const waitFor = (what: string, look: () => Promise<boolean>) => stack.waitFor(what, look, 40);
  const refOf = async (changeId: string): Promise<string> => {
    const own = async () => (await tickets(changeId)).find(({ workItemId }) => workItemId === null)?.ref;
    await waitFor('the ticket', async () => typeof (await own()) === 'string');
    return own();
  };
  const texts = async (ref: string): Promise<string[]> => {
    const { json } = await rt.as('root', 'GET', `/ticket/${ref}/attachments?fields=Content&per_page=100`);
    return json.items.map((item: Json) => item.Content as string);
  };
  /** Asks RT only when something was told there since: each look is a Perl process at work. */
  const said = async (ref: string, words: string) => {
    let told = -1;
    await waitFor(`“${words}” in ticket ${ref}`, async () => {
      const sql =
        'SELECT count(a.done_at)::int AS n FROM ticket_action a JOIN ticket t ON t.id = a.ticket_id WHERE t.ref = $1';
      const [{ n }] = await stack.rows(sql, [ref]);
      if (n === told) return false;
      told = n;
      return (await texts(ref)).some((text) => text.includes(words));
    });
  };
  /** As Ringmaster has seen or set it, and as it is. */
  const becomes = async (ref: string, state: string, Status: string) => {
    await waitFor(`ticket ${ref} ${state}`, async () => {
      return (await stack.rows('SELECT state FROM ticket WHERE ref = $1', [ref]))[0].state === state;
    });
    expect(await status(ref)).toBe(Status);
  };
  const status = async (ref: string): Promise<string> => (await rt.as('root', 'GET', `/ticket/${ref}`)).json.Status;
  const setStatus = (ref: string, Status: string) => rt.as('alice', 'PUT', `/ticket/${ref}`, { Status });
  const write = (user: string, ref: string, Content: string) =>
    rt.as(user, 'POST', `/ticket/${ref}/comment`, { Content, ContentType: 'text/plain' });
  const given = () => FLEET.map((name) => at(name).begun().length);
  const asked = (ref: string, ring: number) => said(ref, `Ring ${ring} “${['canaries', 'everyone'][ring]}” waits for`);
  const digestOf = async (changeId: string): Promise<string> =>
    (await stack.rows('SELECT plan_digest FROM change WHERE id = $1', [changeId]))[0].plan_digest;
  let confirmed: { readonly changeId: string; readonly ref: string };

  it('opens with plan and evidence; only a known person who was asked releases a ring, by the digest of exactly this plan', async () => {
    await Promise.all(FLEET.map(measured));
    at('canary').drift('one');
    at('web').drift('one', 'two');
    await Promise.all(FLEET.map(measured));
    const changeId = await remediate('harden the shop');
    const ref = await refOf(changeId);
    confirmed = { changeId, ref };
    const planDigest = await digestOf(changeId);
    const { json } = await rt.as('root', 'GET', `/ticket/${ref}`);
    expect(json.Subject).toBe('Remediation: harden the shop');
    expect(json.CustomFields.map((field: Json) => [field.name, field.values])).toEqual(
      expect.arrayContaining([
        ['RingmasterKey', [`change/${changeId}`]],
        ['PlanDigest', [planDigest]],
      ]),
    );
    const [first] = await texts(ref);
    for (const part of [
      planDigest,
      'Why: rules fail',
      'Ring 0 “canaries”',
      'Ring 1 “everyone”',
      '0-fail → 1-pass (one, two)',
    ])
      expect(first).toContain(part);

    await asked(ref, 0);
    await write('mallory', ref, `approve ${planDigest}`);
    await write('bob', ref, `approve ${planDigest}`);
    await write('alice', ref, `approve ${'0'.repeat(64)}`);
    await said(ref, 'Not counted: mallory is nobody known here.');
    await said(ref, 'Not counted: bob was not asked.');
    await said(ref, 'Not counted: it does not name the plan that is asked about.');
    expect(given()).toEqual([0, 0]);

    await write('alice', ref, `approve ${planDigest} canaries first`);
    await asked(ref, 1);
    expect(given()).toEqual([1, 0]);
    expect([at('canary').passes('one'), at('web').passes('one')]).toEqual([true, false]);
    const decisions = await stack.rows(
      `SELECT d.account_id, d.proof, d.state, d.comment FROM approval_decision d JOIN approval_request r ON r.id = d.request_id WHERE r.change_id = $1`,
      [changeId],
    );
    expect(decisions).toEqual([{ account_id: alice.id, proof: 'ticket', state: 'counted', comment: 'canaries first' }]);
  });

  it('is told each stage, and the ticket is closed only after scans have confirmed it', async () => {
    const { changeId, ref } = confirmed;
    for (const name of FLEET) at(name).busyScanning = true;
    await write('alice', ref, `approve ${await digestOf(changeId)}`);
    await said(ref, 'Stage confirm');
    expect([at('web').passes('one'), at('web').passes('two'), given()]).toEqual([true, true, [1, 1]]);
    expect(['new', 'open']).toContain(await status(ref));
    for (const name of FLEET) at(name).busyScanning = false;
    await see.closed(changeId);
    await becomes(ref, 'done', 'resolved');
    expect(await see.outcome(changeId)).toBe('completed');
    const lines = (await texts(ref)).map((text) => (text.split('\n')[0] ?? '').replace(/^.* UTC · |, until .*$/g, ''));
    expect(lines.filter((line) => !/^(approve|Not counted)/.test(line))).toEqual([
      expect.stringContaining('“harden the shop”, requested by Administrator'),
      'Stage test',
      'Ring 0 “canaries” waits for one approval',
      'alice decided on ring 0: approve: canaries first',
      'The approval request for ring 0 is approved.',
      'Ring 0 “canaries”: open',
      'Ring 0 “canaries”: passed',
      'Stage prepare',
      'Stage deploy',
      'Ring 1 “everyone” waits for one approval',
      'alice decided on ring 1: approve',
      'The approval request for ring 1 is approved.',
      'Ring 1 “everyone”: open',
      'Ring 1 “everyone”: passed',
      'Stage confirm',
      'The change is closed: completed',
    ]);
    const loop = await ask('GET', `/v1/closed-loop?change=${changeId}`);
    expect(loop.items[0]).toMatchObject({ authorised: { answer: 'yes' }, confirmed: { answer: 'yes' } });
  });

  it('opened again by hand it is noticed; closed by hand while it waits, too, and the change waits on', async () => {
    await setStatus(confirmed.ref, 'open');
    const attention = async (changeId: string) => (await tickets(changeId))[0]?.attention;
    await waitFor('noticed', async () => (await attention(confirmed.changeId)) === 'reopenedByHand');

    at('web').drift('one');
    await measured('web');
    const changeId = await remediate('again');
    const ref = await refOf(changeId);
    await asked(ref, 1);
    await setStatus(ref, 'rejected');
    await waitFor('noticed', async () => (await attention(changeId)) === 'closedByHand');
    expect(await see.outcome(changeId)).toBeNull();
    const told = await stack.rows(
      `SELECT action, actor, subject FROM audit_entry WHERE action IN ('ticket.closedByHand', 'ticket.reopenedByHand') ORDER BY id`,
    );
    expect(told).toEqual([
      { action: 'ticket.reopenedByHand', actor: 'ticket-system/RT/alice', subject: `change/${confirmed.changeId}` },
      { action: 'ticket.closedByHand', actor: 'ticket-system/RT/alice', subject: `change/${changeId}` },
    ]);
    expect(
      await stack.rows('SELECT recipient FROM mail WHERE subject = $1 ORDER BY 1', ['Ticket closed by hand: again']),
    ).toEqual([{ recipient: 'administrator@localhost' }, { recipient: 'alice@example.test' }]);
    await ask('POST', `/v1/changes/${changeId}/abort`, { reason: 'its ticket was rejected' });
    await see.closed(changeId);
    expect([await status(ref), given()]).toEqual(['rejected', [1, 1]]);
  });

  it('a fix that helped nothing keeps the ticket open, makes work, and both close when a later scan proves it', async () => {
    const changeId = await remediate('once more');
    const ref = await refOf(changeId);
    at('web').stubborn.add('one');
    await asked(ref, 1);
    await write('alice', ref, `approve ${await digestOf(changeId)}`);
    await see.closed(changeId);
    await said(ref, 'This ticket stays open');
    const work = async () => (await tickets(changeId)).find(({ workItemId }) => workItemId !== null);
    await waitFor('the ticket of the work', async () => typeof (await work())?.ref === 'string');
    const workRef = (await work())?.ref as string;

    await setStatus(workRef, 'resolved');
    await waitFor('opened again', async () => {
      const sql = `SELECT FROM audit_entry WHERE action = 'work.reopened'`;
      return (await stack.rows(sql)).length === 1;
    });
    await becomes(workRef, 'open', 'open');
    await said(workRef, 'one');
    expect(['new', 'open']).toContain(await status(ref));
    at('web').stubborn.clear();
    await setStatus(workRef, 'resolved');
    await becomes(ref, 'done', 'resolved');
    expect(await status(workRef)).toBe('resolved');
    expect([...endpoints.values()].flatMap(({ problems }) => problems)).toEqual([]);
  });
});
