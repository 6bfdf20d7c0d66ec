/** Work for people, whatever tracker keeps its tickets: noted once, ended by scans. */
import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it, jest } from '@jest/globals';
import { MINUTE } from '../../domain/time.js';
import type { Json } from '../helpers/agent-client.js';
import { ADMIN_TOKEN } from '../helpers/api-server.js';
import { runCli } from '../helpers/cli.js';
import { seedAccount, seedChange, seedEndpoint, seedOutcome } from '../helpers/seed-change.js';
import { type FakeTracker, startFakeTracker } from './fake-rest2.js';
import { TicketRig } from './rig.js';

jest.setTimeout(60_000);

let rig: TicketRig;
let requestedBy: string;
let fake: FakeTracker;
let systemId: string;
beforeAll(async () => {
  rig = await TicketRig.start();
  requestedBy = (await seedAccount(rig.db.pool, { name: 'Requester' })).id;
});
afterAll(() => rig?.stop());
beforeEach(async () => {
  fake = await startFakeTracker();
  const system = await rig.makeSystem({
    name: 'fake',
    provider: 'request-tracker',
    settings: { url: fake.url, user: 'ringmaster', queue: 'Patching' },
    secret: 'any',
    policy: { work: { rescanMinutes: 20, maxPerChange: 3 } },
  });
  systemId = system.id;
});
afterEach(async () => {
  await rig.rows(`UPDATE work_item SET closed_at = now(), state = 'closed' WHERE closed_at IS NULL`);
  await rig.api.call('DELETE', `/v1/ticket-systems/${systemId}`);
  await fake.close();
});

const UPDATES = [{ name: 'curl', from: '8.0-1', to: '8.0-2' }];
const change = async (endpoints: readonly string[], updates = UPDATES) => {
  const seeded = await seedChange(rig.db.pool, { requestedBy, rings: [{ name: 'all', endpoints, updates }] });
  await rig.freeze(seeded.changeId);
  return seeded.changeId;
};
const endpoint = () => seedEndpoint(rig.db.pool, { name: `web-${randomUUID().slice(0, 6)}` });
const end = async (changeId: string, endpointId: string, state: string, reason = 'it broke', attempt = 1) => {
  await seedOutcome(rig.db.pool, { changeId, ring: 0, endpointId, state: 'verifying', attempt });
  await rig.workerPool.query(
    `UPDATE order_state SET state = $3, reason = $4 WHERE change_id = $1 AND endpoint_id = $2 AND attempt = $5`,
    [changeId, endpointId, state, reason, attempt],
  );
};
const work = async (endpointId: string): Promise<Json[]> =>
  (await rig.api.call('GET', `/v1/work?endpoint=${endpointId}`)).body.items;
const changeTicket = (changeId: string) =>
  fake.tickets.find((t) => t.fields.RingmasterKey?.[0] === `change/${changeId}`);
const about = (endpointId: string, items: Json[]) => items.find((one) => one.endpointId === endpointId);
const ticketOf = async (endpointId: string) => {
  const [item] = await work(endpointId);
  return fake.tickets[Number(item?.tickets[0]?.ref) - 1];
};
/** Somebody in the tracker says it is done; heard as a signed event would be. */
const claim = async (endpointId: string, state = 'done') => {
  const [item] = await work(endpointId);
  const ticket = await ticketOf(endpointId);
  if (ticket !== undefined) ticket.status = state === 'done' ? 'resolved' : 'open';
  await rig.saysOfWork({ systemId, workItemId: item?.id, state });
};
const said = (ticket: Awaited<ReturnType<typeof ticketOf>>) =>
  ticket?.history.filter((h) => h.type === 'Comment').map((h) => h.text.split('\n')[0]);

it.each([
  ['failed', 'failedEndpoint'],
  ['reverted', 'failedEndpoint'],
  ['revertFailed', 'failedEndpoint'],
  ['expired', 'straggler'],
])('an order that ended %s is work: %s; seen again in the same change it is the same work', async (state, kind) => {
  const id = await endpoint();
  const changeId = await change([id]);
  await end(changeId, id, state);
  await rig.handle();
  await end(changeId, id, state, 'it broke again', 2);
  await rig.handle();
  expect(await work(id)).toMatchObject([
    { kind, seen: 2, state: 'open', reason: 'it broke again', tickets: [{ state: 'open' }] },
  ]);
  expect(said(await ticketOf(id))).toEqual(['Seen again (2 times now): it broke again']);
});

it('another change that fails there is other work; each is proven by its own rules, and its change waits for that', async () => {
  const id = await endpoint();
  const first = await change([id]);
  const second = await change([id], [{ name: 'nginx', from: '1.22-1', to: '1.23-1' }]);
  await end(first, id, 'failed');
  await end(second, id, 'failed', 'it broke as well');
  for (const changeId of [first, second])
    await rig.close(changeId, 'completedWithFailures', { confirmed: 0, failed: 1 });
  await rig.handle();
  const states = async () => Object.fromEntries((await work(id)).map((item) => [item.changeId, item.state]));
  const statuses = () => [first, second].map((changeId) => changeTicket(changeId)?.status);
  expect(await states()).toEqual({ [first]: 'open', [second]: 'open' });

  await rig.scan(id, { curl: '8.0-1', nginx: '1.23-1' });
  await rig.handle();
  await rig.handle();
  expect(await states()).toEqual({ [first]: 'open', [second]: 'closed' });
  expect(statuses()).toEqual(['new', 'resolved']);

  await rig.scan(id, { curl: '8.0-2', nginx: '1.23-1' });
  await rig.handle();
  await rig.handle();
  expect(await states()).toEqual({ [first]: 'closed', [second]: 'closed' });
  expect(statuses()).toEqual(['resolved', 'resolved']);
});

it('a worker of the release before, which knows one key per endpoint and kind, takes nothing over', async () => {
  const id = await endpoint();
  for (const changeId of [await change([id]), await change([id])])
    for (const reason of ['once', 'twice'])
      await rig.workerPool.query(
        `INSERT INTO work_item AS w (key, kind, endpoint_id, change_id, reason) VALUES ('failedEndpoint/' || $1, 'failedEndpoint', $1::uuid, $2, $3)
         ON CONFLICT (key) WHERE closed_at IS NULL DO UPDATE SET seen = w.seen + 1, change_id = excluded.change_id, reason = excluded.reason`,
        [id, changeId, reason],
      );
  expect((await work(id)).map(({ seen, reason }) => [seen, reason])).toEqual([
    [2, 'twice'],
    [2, 'twice'],
  ]);
});

it.each(['succeeded', 'skipped', 'superseded', 'withdrawn'])('one that ended %s is none', async (state) => {
  const id = await endpoint();
  await end(await change([id]), id, state);
  await rig.handle();
  expect(await work(id)).toEqual([]);
});

it('no scan in time brings it back', async () => {
  const id = await endpoint();
  await end(await change([id]), id, 'failed');
  await rig.handle();
  await claim(id);
  expect(about(id, await work(id))).toMatchObject({ state: 'claimed', claimedBy: 'alice' });
  rig.skip(19 * MINUTE);
  await rig.handle();
  expect((await ticketOf(id))?.status).toBe('resolved');
  rig.skip(2 * MINUTE);
  await rig.handle();
  expect(about(id, await work(id))).toMatchObject({ state: 'open', claimedBy: null });
  expect((await ticketOf(id))?.status).toBe('open');
  expect(said(await ticketOf(id))?.at(-1)).toContain('No scan came in time');
});

it('a scan that was begun before it was said to be done proves nothing: another is asked for', async () => {
  const id = await endpoint();
  await end(await change([id]), id, 'failed');
  await rig.handle();
  await claim(id);
  const scan = await rig.scan(id, { curl: '8.0-2' });
  await rig.rows(`UPDATE scan SET started_at = started_at - interval '5 minutes' WHERE id = $1`, [scan]);
  await rig.handle();
  expect(about(id, await work(id))).toMatchObject({ state: 'claimed' });
  expect(await rig.rows('SELECT wants_scan FROM endpoint WHERE id = $1', [id])).toEqual([{ wants_scan: true }]);
});

it('a scan that proves it ends it, asked for or not; one that does not is no news while nobody claimed it', async () => {
  const id = await endpoint();
  await end(await change([id]), id, 'failed');
  await rig.handle();
  await rig.scan(id, { curl: '8.0-1' });
  await rig.handle();
  expect(said(await ticketOf(id))).toEqual([]);
  await rig.scan(id, { curl: '8.0-3' });
  await rig.handle();
  expect(await work(id)).toMatchObject([{ state: 'closed', closedReason: expect.stringMatching(/^proven by scan/) }]);
  expect((await ticketOf(id))?.status).toBe('resolved');
});

it('of a change that is rolled back, what was there before is what proves it', async () => {
  const id = await endpoint();
  const changeId = await change([id]);
  await end(changeId, id, 'revertFailed');
  await rig.handle();
  await rig.scan(id, { curl: '8.0-2' });
  await rig.handle();
  expect(await work(id)).toMatchObject([{ state: 'open' }]);
  await rig.scan(id, { curl: '8.0-1' });
  await rig.handle();
  expect(await work(id)).toMatchObject([{ state: 'closed' }]);
});

it('one change opens so many tickets and no more; the next when one is done', async () => {
  const ids = await Promise.all(Array.from({ length: 5 }, endpoint));
  const changeId = await change(ids);
  for (const id of ids) await end(changeId, id, 'failed');
  await rig.handle();
  const mine = () => fake.tickets.filter((t) => t.fields.RingmasterKey?.[0]?.startsWith('work/'));
  expect(mine()).toHaveLength(3);
  const withTicket = (await rig.api.call('GET', `/v1/work?change=${changeId}`)).body.items.find(
    (one: Json) => one.tickets.length > 0,
  );
  await rig.scan(withTicket.endpointId, { curl: '8.0-2' });
  await rig.handle();
  await rig.handle();
  expect(mine()).toHaveLength(4);
});

it('a change that closed with failures keeps its ticket until scans have settled each of them', async () => {
  const id = await endpoint();
  const changeId = await change([id]);
  await end(changeId, id, 'failed');
  await rig.handle();
  await rig.close(changeId, 'completedWithFailures', { confirmed: 0, failed: 1 });
  await rig.handle();
  const ticket = () => changeTicket(changeId);
  expect(ticket()?.status).toBe('new');
  expect(ticket()?.history.at(-1)?.text).toContain('This ticket stays open');
  await rig.scan(id, { curl: '8.0-2' });
  await rig.handle();
  await rig.handle();
  expect(ticket()?.status).toBe('resolved');
});

it('a change whose work ended otherwise than by scans is not called settled: its ticket says what became of it, once', async () => {
  const [proven, retired] = [await endpoint(), await endpoint()];
  const changeId = await change([proven, retired]);
  for (const id of [proven, retired]) await end(changeId, id, 'failed');
  await rig.close(changeId, 'completedWithFailures', { confirmed: 0, failed: 2 });
  await rig.handle();
  // Judged once, and disproved: a scan that did not end the work proves nothing.
  await rig.scan(retired, { curl: '8.0-1' });
  await rig.scan(proven, { curl: '8.0-2' });
  await rig.handle();
  await rig.rows(`UPDATE endpoint SET state = 'retired' WHERE id = $1`, [retired]);
  for (let n = 0; n < 3; n += 1) await rig.handle();
  expect((await work(retired))[0]).toMatchObject({ state: 'closed', judgedScan: expect.any(String) });
  const ticket = changeTicket(changeId);
  expect(ticket?.status).toBe('new');
  const last = ticket?.history.filter((h) => h.text.includes('endpoints that somebody had to look at')) ?? [];
  expect(last.map((h) => h.text)).toEqual([
    expect.stringMatching(/scans have proven 1 of 2 endpoints.*- 1: the endpoint is retired/s),
  ]);
});

it('an endpoint that is retired has nothing left to do', async () => {
  const id = await endpoint();
  await end(await change([id]), id, 'failed');
  await rig.handle();
  await rig.rows(`UPDATE endpoint SET state = 'retired' WHERE id = $1`, [id]);
  await rig.handle();
  expect(await work(id)).toMatchObject([{ state: 'closed', closedReason: 'the endpoint is retired' }]);
  expect((await ticketOf(id))?.status).toBe('rejected');
});

it('the command line shows it, its tickets and the systems', async () => {
  const id = await endpoint();
  await end(await change([id]), id, 'failed', 'postinst of curl failed');
  await rig.handle();
  const run = async (...args: string[]) => {
    const { code, stdout, stderr } = await runCli(['tickets', ...args], { url: rig.api.url, token: ADMIN_TOKEN });
    expect([code, stderr]).toEqual([0, '']);
    return stdout;
  };
  expect(await run('work')).toMatch(/failedEndpoint .*postinst of curl failed.*fake \d+/);
  expect(await run('list')).toContain('postinst of curl failed');
  expect(await run('systems')).toMatch(/fake +request-tracker +works +0/);
});
