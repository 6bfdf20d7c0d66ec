/** The closed loop over rows as workflows and scans leave them. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, it, jest } from '@jest/globals';
import { judgePackageChanges } from '../../db/loop/package-changes.js';
import { countClosedLoops } from '../../db/read/closed-loop.js';
import { noteWork } from '../../db/tickets/work.js';
import type { Json } from '../helpers/agent-client.js';
import { Browser } from '../helpers/browser.js';
import { type SeededAccount, seedAccount, seedChange, seedEndpoint, seedOutcome } from '../helpers/seed-change.js';
import { TicketRig } from './rig.js';

jest.setTimeout(60_000);

let rig: TicketRig;
let requester: SeededAccount;
let alice: SeededAccount;
beforeAll(async () => {
  rig = await TicketRig.start();
  requester = await seedAccount(rig.db.pool, { name: 'Requester' });
  alice = await seedAccount(rig.db.pool, { name: 'Alice', roles: ['Manager'], password: 'correct horse battery' });
});
afterAll(() => rig?.stop());

const UPDATES = [{ name: 'curl', from: '8.0-1', to: '8.0-2' }];
const endpoint = () => seedEndpoint(rig.db.pool, { name: `web-${randomUUID().slice(0, 6)}` });
const change = (endpoints: readonly string[]) =>
  seedChange(rig.db.pool, { requestedBy: requester.id, rings: [{ name: 'all', endpoints, updates: UPDATES }] });
const loop = async (changeId: string): Promise<Json> =>
  (await rig.api.call('GET', `/v1/closed-loop?change=${changeId}`)).body.items[0];
/** An order that was at work from then till now. */
const carryOut = async (changeId: string, endpointId: string, options: { digest?: string; kept?: boolean } = {}) => {
  await seedOutcome(rig.db.pool, { changeId, ring: 0, endpointId, state: 'succeeded' });
  await rig.rows(
    `UPDATE order_state o SET content_digest = coalesce($3, p.update_set_digest), started_at = now() - interval '1 minute', settled_at = now(), window_kept = $4
       FROM plan_endpoint p WHERE o.change_id = $1 AND o.endpoint_id = $2 AND p.change_id = $1 AND p.endpoint_id = $2`,
    [changeId, endpointId, options.digest ?? null, options.kept ?? true],
  );
};
const openRing = (changeId: string, digest: string | null) =>
  rig.rows(
    `UPDATE ring SET opened_at = now(), approved_digest = $2, state = 'open' WHERE change_id = $1 AND ordinal = 0`,
    [changeId, digest],
  );

it('answers the four questions, from request to the scan that confirms it', async () => {
  const id = await endpoint();
  const { changeId, planDigest } = await change([id]);
  expect(await loop(changeId)).toMatchObject({
    authorised: { answer: 'notYet' },
    asAuthorised: { answer: 'notYet' },
    confirmed: { answer: 'notYet' },
  });

  const requestId = await rig.ask({ changeId, planDigest, rule: { from: { accounts: [alice.id] } } });
  await rig.rows(
    `INSERT INTO approval_decision (id, request_id, account_id, decision, plan_digest, proof, state) VALUES (gen_random_uuid(), $1, $2, 'approve', $3, 'session', 'counted')`,
    [requestId, alice.id, planDigest],
  );
  await rig.rows(`UPDATE approval_request SET state = 'approved', closed_at = now() WHERE id = $1`, [requestId]);
  await openRing(changeId, planDigest);
  await carryOut(changeId, id);
  expect(await loop(changeId)).toMatchObject({
    authorised: {
      answer: 'yes',
      approvals: [
        { ring: 0, state: 'approved', planDigest, by: [{ name: 'Alice', decision: 'approve', proof: 'session' }] },
      ],
    },
    asAuthorised: { answer: 'yes', begun: 1 },
    confirmed: { answer: 'notYet', scanned: 0, why: '1 of 1 endpoints have sent no scan since' },
  });

  const scanId = await rig.scan(id, { curl: '8.0-2' });
  await rig.close(changeId, 'completed', { confirmed: 1, missing: 0, unconfirmed: 0 });
  const whole = {
    confirmed: { answer: 'yes', scanned: 1, firstScan: { id: scanId }, lastScan: { id: scanId } },
    times: { minutesToClosed: 0, minutesToConfirmed: 0 },
  };
  expect(await loop(changeId)).toMatchObject(whole);
  await countClosedLoops(rig.workerPool, { limit: 100, now: rig.clock() });
  expect(await rig.rows('SELECT 1 FROM change_loop WHERE change_id = $1', [changeId])).toHaveLength(1);
  expect(await loop(changeId)).toMatchObject(whole);
  const { body } = await rig.api.call('GET', `/v1/changes/${changeId}/confirmations`);
  expect(body.items).toMatchObject([{ endpointId: id, state: 'succeeded', scanId, windowKept: true }]);
});

it('says what was not as authorised', async () => {
  const [a, b] = [await endpoint(), await endpoint()];
  const { changeId } = await change([a as string, b as string]);
  await openRing(changeId, 'f'.repeat(64));
  await carryOut(changeId, a as string, { kept: false });
  await rig.rows(`INSERT INTO update_set (digest, items) VALUES ('other', '[]') ON CONFLICT DO NOTHING`);
  await carryOut(changeId, b as string, { digest: 'other' });
  await rig.scan(a as string, { curl: '8.0-2' });
  await rig.close(changeId, 'completedWithFailures', { confirmed: 1, missing: 0, unconfirmed: 1 });
  expect(await loop(changeId)).toMatchObject({
    authorised: { answer: 'no', why: '1 of 1 rings opened without approval of this plan' },
    asAuthorised: {
      answer: 'no',
      why: 'of 2 begun: 1 with other content than planned, 1 begun outside of their window',
    },
    confirmed: { answer: 'no', why: '1 of 2 endpoints have sent no scan since' },
  });
});

/** One endpoint says it succeeded; when the change closes a scan does not show it, which is work, as `closeChange` leaves it. */
const closedUnproven = async () => {
  const id = await endpoint();
  const { changeId } = await change([id]);
  await carryOut(changeId, id);
  // The scan's arrival has the web tier's clock, in milliseconds.
  await rig.rows(`UPDATE order_state SET settled_at = now() - interval '1 second' WHERE change_id = $1`, [changeId]);
  await rig.scan(id, { curl: '8.0-1' });
  const reason = 'reported success, but the scan after it does not show it';
  const evidence = { unproven: 'missing' };
  const works = [{ kind: 'failedEndpoint' as const, endpointId: id, changeId, reason, evidence }];
  await noteWork(rig.workerPool, { works, now: rig.clock() });
  await rig.close(changeId, 'completedWithFailures', { confirmed: 0, missing: 1, unconfirmed: 0 });
  await countClosedLoops(rig.workerPool, { limit: 100, now: rig.clock() });
  return { id, changeId };
};
const NOT_SHOWN = { answer: 'no', why: '1 of 1 endpoints did not show it' };

it('what was not shown is confirmed by a later scan that proves it, not by what another change does there', async () => {
  const { id, changeId } = await closedUnproven();
  expect(await loop(changeId)).toMatchObject({ confirmed: NOT_SHOWN, openWork: 1 });
  const updates = [{ name: 'nginx', from: '1.22-1', to: '1.23-1' }];
  const other = await seedChange(rig.db.pool, {
    requestedBy: requester.id,
    rings: [{ name: 'all', endpoints: [id], updates }],
  });
  await seedOutcome(rig.db.pool, { changeId: other.changeId, ring: 0, endpointId: id, state: 'verifying' });
  await rig.workerPool.query(`UPDATE order_state SET state = 'failed', reason = 'broke' WHERE change_id = $1`, [
    other.changeId,
  ]);
  expect(await loop(changeId)).toMatchObject({ confirmed: NOT_SHOWN, openWork: 1 });
  await rig.scan(id, { curl: '8.0-1', nginx: '1.23-1' });
  await rig.handle();
  expect(await loop(other.changeId)).toMatchObject({ openWork: 0 });
  expect(await loop(changeId)).toMatchObject({ confirmed: NOT_SHOWN, openWork: 1 });
  await rig.scan(id, { curl: '8.0-2', nginx: '1.23-1' });
  await rig.handle();
  expect(await loop(changeId)).toMatchObject({
    confirmed: { answer: 'yes', why: '1 scans; 1 endpoint only by a later one' },
    openWork: 0,
  });
});

it('an endpoint that is retired before it showed it has not shown it', async () => {
  const { id, changeId } = await closedUnproven();
  await rig.rows(`UPDATE endpoint SET state = 'retired' WHERE id = $1`, [id]);
  await rig.handle();
  expect(await loop(changeId)).toMatchObject({ confirmed: NOT_SHOWN, openWork: 0 });
});

const unexplained = async (endpointId: string): Promise<Json[]> => {
  await judgePackageChanges(rig.workerPool, 1_000);
  return (await rig.api.call('GET', `/v1/closed-loop/unexplained?endpoint=${endpointId}`)).body.items;
};

it('what somebody did beside all changes comes to light; what an order did does not, nor does a first scan', async () => {
  const id = await endpoint();
  await rig.scan(id, { curl: '8.0-1', nginx: '1.22-1', telnet: '1-1' });
  expect(await unexplained(id)).toEqual([]);
  await rig.scan(id, { curl: '8.0-1', nginx: '1.22-1', telnet: '1-1' });
  expect(await unexplained(id)).toEqual([]);

  const { changeId } = await change([id]);
  await carryOut(changeId, id);
  // While the change was at work, somebody else was, too.
  const scanId = await rig.scan(id, { curl: '8.0-2', nginx: '1.23-1', netcat: '1-2' });
  expect(await unexplained(id)).toMatchObject([
    {
      scanId,
      packages: 3,
      explanation: null,
      changes: [
        { name: 'netcat', from: null, to: '1-2' },
        { name: 'nginx', from: '1.22-1', to: '1.23-1' },
        { name: 'telnet', from: '1-1', to: null },
      ],
    },
  ]);
  // The same version again, but no order at work any more.
  await rig.rows(
    `UPDATE order_state SET started_at = now() - interval '2 hours', settled_at = now() - interval '1 hour' WHERE change_id = $1`,
    [changeId],
  );
  await rig.scan(id, { curl: '8.0-1', nginx: '1.23-1', netcat: '1-2' });
  expect((await unexplained(id))[0]).toMatchObject({
    packages: 1,
    changes: [{ name: 'curl', from: '8.0-2', to: '8.0-1' }],
  });
});

it('what an order says it moved besides is explained by it; what it says in no known shape explains nothing', async () => {
  const id = await endpoint();
  await rig.scan(id, { curl: '8.0-1' });
  const { changeId } = await change([id]);
  await carryOut(changeId, id);
  const said = [
    'nmap',
    { name: 'nmap' },
    [7, null, 'nmap', {}, [{}]],
    [{ name: 'tree', arch: 'amd64', from: null, to: '2-1' }],
  ];
  for (const alsoPackages of said)
    await rig.rows(
      `INSERT INTO order_event (order_id, actor, event, from_state, to_state, detail)
       SELECT id, 'agent', 'apply', 'staged', 'applying', $2 FROM order_state WHERE change_id = $1`,
      [changeId, JSON.stringify({ alsoPackages })],
    );
  await rig.scan(id, { curl: '8.0-1', tree: '2-1', nmap: '7-1' });
  expect(await unexplained(id)).toMatchObject([{ packages: 1, changes: [{ name: 'nmap', to: '7-1' }] }]);
});

it('an order that went back explains that, too; a machine that took the endpoint over starts afresh', async () => {
  const id = await endpoint();
  await rig.scan(id, { curl: '8.0-2' });
  const { changeId } = await change([id]);
  await carryOut(changeId, id);
  await rig.scan(id, { curl: '8.0-1' });
  expect(await unexplained(id)).toEqual([]);
  await rig.rows(`UPDATE endpoint SET identity_since = now() WHERE id = $1`, [id]);
  await rig.scan(id, { other: '1' });
  expect(await unexplained(id)).toEqual([]);
});

it('a person explains one, on record', async () => {
  const id = await endpoint();
  await rig.scan(id, { nginx: '1' });
  const scanId = await rig.scan(id, { nginx: '2' });
  expect(await unexplained(id)).toHaveLength(1);
  const path = `/v1/closed-loop/unexplained/${scanId}/explanation`;
  const reply = await rig.api.call('PUT', path, { body: { explanation: 'INC-7: tried by hand' } });
  expect(reply.status).toBe(204);
  expect(await unexplained(id)).toMatchObject([{ explanation: 'INC-7: tried by hand' }]);
  expect(
    (
      await rig.api.call('PUT', `/v1/closed-loop/unexplained/${randomUUID()}/explanation`, {
        body: { explanation: 'x' },
      })
    ).status,
  ).toBe(404);
  expect(await rig.rows('SELECT action FROM audit_entry WHERE subject = $1', [`scan/${scanId}`])).toEqual([
    { action: 'packageChange.explained' },
  ]);
});

it('goes page by page, without a gap', async () => {
  const whole = (await rig.api.call('GET', '/v1/closed-loop?limit=100')).body.items.map((one: Json) => one.id);
  const seen: string[] = [];
  for (let cursor: string | null = ''; cursor !== null; ) {
    const { body } = await rig.api.call('GET', `/v1/closed-loop?limit=2${cursor === '' ? '' : `&cursor=${cursor}`}`);
    seen.push(...body.items.map((one: Json) => one.id));
    cursor = body.next;
  }
  expect(seen).toEqual(whole);
  const scans: string[] = [];
  for (let cursor: string | null = ''; cursor !== null; ) {
    const { body } = await rig.api.call(
      'GET',
      `/v1/closed-loop/unexplained?limit=1${cursor === '' ? '' : `&cursor=${cursor}`}`,
    );
    scans.push(...body.items.map((one: Json) => one.scanId));
    cursor = body.next;
  }
  expect(scans).toEqual(
    (await rig.api.call('GET', '/v1/closed-loop/unexplained?limit=100')).body.items.map((one: Json) => one.scanId),
  );
});

it('is a page of the console', async () => {
  const browser = new Browser(rig.api.url);
  const page = await browser.get('/sign-in');
  await browser.post('/sign-in', {
    _csrf: page.field('_csrf'),
    next: '/',
    email: alice.email,
    password: 'correct horse battery',
  });
  const shown = await browser.get('/closed-loop');
  expect(shown.status).toBe(200);
  for (const words of ['Done as authorised', 'rings opened without approval of this plan', 'nginx'])
    expect(shown.text).toContain(words);
  expect((await browser.get('/closed-loop/unexplained')).text).toContain('INC-7: tried by hand');
});
