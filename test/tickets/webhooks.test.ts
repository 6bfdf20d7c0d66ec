/** Generic webhooks in both directions, and how ticket systems are set up. */
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, it, jest } from '@jest/globals';
import { newWebhookSecret, signWebhook, verifyWebhook } from '../../domain/ticket/standard-webhooks.js';
import { DAY, MINUTE } from '../../domain/time.js';
import type { Json } from '../helpers/agent-client.js';
import { type SeededAccount, seedAccount, seedChange, seedEndpoint } from '../helpers/seed-change.js';
import { TicketRig } from './rig.js';

jest.setTimeout(60_000);

const SECRET = newWebhookSecret();
let rig: TicketRig;
let server: Server;
let received: { headers: IncomingHttpHeaders; body: string }[] = [];
let drop = 0;
let system: Json;
let requester: SeededAccount;
let alice: SeededAccount;

beforeAll(async () => {
  rig = await TicketRig.start();
  requester = await seedAccount(rig.db.pool, { name: 'Requester' });
  alice = await seedAccount(rig.db.pool, { name: 'Alice', roles: ['Manager'] });
  server = createServer((req, res) => {
    let body = '';
    req.on('data', (part) => (body += part));
    req.on('end', () => {
      received.push({ headers: req.headers, body });
      if (drop > 0) {
        drop -= 1;
        res.socket?.destroy();
      } else
        res
          .writeHead(200, { 'content-type': 'application/json' })
          .end(JSON.stringify({ ref: 'INC-7', url: 'https://desk.example.test/INC-7' }));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  system = await rig.makeSystem({
    name: 'desk',
    provider: 'webhook',
    settings: { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/in` },
    secret: SECRET,
    hookSecret: true,
    policy: { approvals: 'inTicket', people: [{ author: 'alice', accountId: alice.id }] },
  });
});
afterAll(async () => {
  await rig?.stop();
  server?.closeAllConnections();
  server?.close();
});

const opened = async () => {
  received = [];
  const endpointId = await seedEndpoint(rig.db.pool, { name: 'web' });
  const seeded = await seedChange(rig.db.pool, {
    requestedBy: requester.id,
    rings: [{ name: 'all', endpoints: [endpointId] }],
  });
  await rig.freeze(seeded.changeId);
  await rig.deliver();
  return { ...seeded, key: `change/${seeded.changeId}` };
};

let sent = 0;
/** Posts an event as the desk would. */
const post = async (
  data: object,
  options: { type?: string; secret?: string; id?: string; at?: number; body?: string } = {},
) => {
  sent += 1;
  const id = options.id ?? `msg_${sent}`;
  const event = {
    specversion: '1.0',
    id,
    source: 'https://desk.example.test',
    type: options.type ?? 'ticket.state',
    data,
  };
  const body = JSON.stringify(event);
  const signed = signWebhook({ secret: options.secret ?? system.hookSecret, id, body, now: options.at ?? rig.clock() });
  return rig.api.call('POST', system.hookPath, {
    token: null,
    raw: options.body ?? body,
    headers: {
      'content-type': 'application/cloudevents+json',
      'webhook-id': signed.id,
      'webhook-timestamp': signed.timestamp,
      'webhook-signature': signed.signature,
    },
  });
};

it('what is to be done goes out as signed CloudEvents, with the same id when it is sent again', async () => {
  drop = 1;
  const { changeId, planDigest, key } = await opened();
  rig.skip(5_000);
  await rig.deliver();
  expect(received).toHaveLength(2);
  const [first, second] = received.map(({ headers, body }) => ({ headers, event: JSON.parse(body) }));
  expect(second?.headers['webhook-id']).toBe(first?.headers['webhook-id']);
  expect(second?.event).toMatchObject({
    specversion: '1.0',
    type: 'ringmaster.ticket.open',
    source: 'https://ringmaster.example.test',
    subject: key,
    data: { key, planDigest, subject: 'Patch cycle: November' },
  });
  for (const { headers, body } of received) {
    const given = (name: string) => String(headers[name]);
    const signed = {
      id: given('webhook-id'),
      timestamp: given('webhook-timestamp'),
      signature: given('webhook-signature'),
    };
    expect(verifyWebhook({ secrets: [SECRET], headers: signed, body, now: rig.clock() })).toEqual({ ok: true });
  }
  expect((await rig.tickets(changeId))[0]).toMatchObject({
    ref: 'INC-7',
    url: 'https://desk.example.test/INC-7',
    state: 'open',
  });
});

it('what people did comes in signed, once, and is acted on', async () => {
  const { changeId, key } = await opened();
  expect((await post({ key, state: 'done', author: 'bob' }, { id: 'msg_once' })).body).toEqual({ taken: 'now' });
  expect((await post({ key, state: 'done', author: 'bob' }, { id: 'msg_once' })).body).toEqual({ taken: 'before' });
  await rig.handle();
  expect((await rig.tickets(changeId))[0]).toMatchObject({
    state: 'done',
    attention: 'closedByHand',
    attentionBy: 'bob',
  });
  await post({ key, state: 'working', author: 'bob' });
  await rig.handle();
  expect((await rig.tickets(changeId))[0]).toMatchObject({ state: 'working', attention: null });
});

it.each([
  ['another secret', { secret: newWebhookSecret() }, 401, 'webhook-signature does not fit'],
  ['an old timestamp', { at: Date.now() - 6 * MINUTE - 60_000 }, 401, 'webhook-timestamp is too old'],
  ['a timestamp ahead', { at: Date.now() + 20 * MINUTE }, 401, 'webhook-timestamp is too far ahead'],
  ['another body', { body: '{"specversion":"1.0"}' }, 401, 'webhook-signature does not fit'],
  ['an event nobody knows', { type: 'ticket.deleted' }, 400, 'type'],
])('%s is refused', async (_, options, status, says) => {
  const reply = await post({ key: 'change/x', state: 'done' }, options);
  expect(reply.status).toBe(status);
  expect(JSON.stringify(reply.body)).toContain(says);
});

it('without a signature, or to no system of ours, nothing is taken', async () => {
  expect((await rig.api.call('POST', system.hookPath, { token: null, raw: '{}' })).status).toBe(401);
  expect((await rig.api.call('POST', '/hooks/tickets/nonsense', { token: null, raw: '{}' })).status).toBe(404);
  expect(await rig.rows('SELECT 1 FROM ticket_event WHERE handled_at IS NULL')).toEqual([]);
});

it('a secret that was replaced stays good for a day', async () => {
  const before = system.hookSecret as string;
  const { body } = await rig.api.call('PATCH', `/v1/ticket-systems/${system.id}`, { body: { hookSecret: true } });
  system = { ...system, hookSecret: body.hookSecret };
  expect(body.hookSecret).not.toBe(before);
  const data = { key: 'change/none', state: 'done' };
  expect((await post(data)).status).toBe(202);
  expect((await post(data, { secret: before })).status).toBe(202);
  rig.skip(DAY + MINUTE);
  expect((await post(data, { secret: before })).status).toBe(401);
  expect((await post(data)).status).toBe(202);
});

it('an approval comes in by webhook; at high risk it needs the one-time code, and the policy may forbid it all', async () => {
  const { changeId, planDigest, key } = await opened();
  const commented = { type: 'ticket.commented' };
  const risky = await rig.ask({ changeId, planDigest, rule: { from: { accounts: [alice.id] }, highRisk: true } });
  await post({ key, author: 'alice', text: `approve ${planDigest}` }, commented);
  await rig.handle();
  await rig.judge();
  expect(await rig.requestState(risky)).toBe('open');
  const { policy } = (await rig.api.call('GET', `/v1/ticket-systems/${system.id}`)).body;

  const plain = await rig.ask({ changeId, planDigest, rule: { from: { accounts: [alice.id] } } });
  await post({ key, author: 'alice', text: `approve ${planDigest}` }, commented);
  await rig.handle();
  // Between the comment and its judging the policy was changed: rights are looked at when it is judged.
  await rig.api.call('PATCH', `/v1/ticket-systems/${system.id}`, {
    body: { policy: { ...policy, approvals: 'never' } },
  });
  await rig.judge();
  expect(await rig.requestState(plain)).toBe('open');
  await rig.api.call('PATCH', `/v1/ticket-systems/${system.id}`, { body: { policy } });
  await post({ key, author: 'alice', text: `approve ${planDigest}` }, commented);
  await rig.handle();
  await rig.judge();
  expect(await rig.requestState(plain)).toBe('approved');
});

it('the web tier can’t make a decision count that no ticket holds', async () => {
  const { changeId, planDigest } = await opened();
  const requestId = await rig.ask({ changeId, planDigest, rule: { from: { accounts: [alice.id] } } });
  await rig.rows(
    `WITH d AS (INSERT INTO approval_decision (id, request_id, account_id, decision, plan_digest, proof) VALUES (gen_random_uuid(), $1, $2, 'approve', $3, 'ticket') RETURNING id)
     INSERT INTO outbox (id, topic, workflow_id, payload) SELECT id, 'decision', 'x', '{}' FROM d`,
    [requestId, alice.id, planDigest],
  );
  await rig.judge();
  expect(await rig.requestState(requestId)).toBe('open');
});

it('secrets go in and never come out', async () => {
  const replies = await Promise.all([
    rig.api.call('GET', '/v1/ticket-systems'),
    rig.api.call('GET', `/v1/ticket-systems/${system.id}`),
    rig.api.call('GET', '/v1/audit?limit=500'),
  ]);
  for (const { body } of replies) {
    expect(JSON.stringify(body)).not.toContain(SECRET);
    expect(JSON.stringify(body)).not.toContain(system.hookSecret);
  }
  expect(replies[1]?.body).toMatchObject({ hasSecret: true, hasHookSecret: true, works: true });
  const [row] = await rig.rows('SELECT secret, hook_secret FROM ticket_system WHERE id = $1', [system.id]);
  expect(row?.secret).toMatch(/^s1\./);
  expect(row?.hook_secret).toMatch(/^e1\./);
});

it.each([
  ['another address without the secret', { settings: { url: 'https://evil.example.test/' } }, 'must be given again'],
  ['plain http elsewhere', { settings: { url: 'http://desk.example.test/' } }, 'must begin https://'],
  ['a secret that is none', { secret: 'password' }, 'whsec_'],
  [
    'an account that is not there',
    { policy: { people: [{ author: 'x', accountId: '00000000-0000-4000-8000-000000000000' }] } },
    'no such account',
  ],
  [
    'one author twice',
    { policy: { people: [1, 2].map(() => ({ author: 'x', accountId: '00000000-0000-4000-8000-000000000000' })) } },
    'named twice',
  ],
  ['an unknown member', { policy: { everything: true } }, 'everything'],
])('%s is refused, with the field', async (_, body, says) => {
  const reply = await rig.api.call('PATCH', `/v1/ticket-systems/${system.id}`, { body });
  expect(reply.status).toBe(400);
  expect(JSON.stringify(reply.body.errors)).toContain(says);
});
