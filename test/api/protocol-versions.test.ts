// Protocol N and N-1: an agent of the release before, as it was (its messages are written out here and never change), against
// this server; and this agent's client against a server of the release before.
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createServerClock } from '../../agent/transport/clock.js';
import { createGatewayClient } from '../../agent/transport/gateway-client.js';
import { generateSigningKeyPem, signingKeyFromPem } from '../../protocol/envelope.js';
import { OLDEST_PROTOCOL, PROTOCOL_VERSION } from '../../protocol/messages.js';
import { simulatedAgent } from '../helpers/agent-client.js';
import { startApi, type TestApi } from '../helpers/api-server.js';
import { type FakeGateway, startFakeGateway } from '../helpers/fake-gateway.js';
import { createDatabase, type TestDatabase } from '../helpers/postgres.js';

/** Version 1 on the wire. Frozen: what agents in the field send. */
const V1 = {
  enrol: (over: object) => ({
    protocol: 1,
    name: 'frozen',
    machineId: randomUUID(),
    zone: 'Etc/UTC',
    scanOnly: false,
    simulated: true,
    facts: { os: 'debian 12', agentVersion: '0.1.0' },
    ...over,
  }),
  poll: (over: object = {}) => ({
    protocol: 1,
    journalSeq: 1,
    bootId: 'frozen-boot',
    clock: Date.now(),
    open: [],
    reports: [],
    observations: { agentVersion: '0.1.0', protocol: 1 },
    localLimits: {},
    ...over,
  }),
};

test('two versions are spoken, this one and the one before', () => {
  expect([OLDEST_PROTOCOL, PROTOCOL_VERSION]).toEqual([1, 2]);
});

describe('an agent of the release before', () => {
  let database: TestDatabase;
  let server: TestApi;
  beforeAll(async () => {
    database = await createDatabase();
    server = await startApi({ apiUrl: database.apiUrl, pool: database.pool });
  });
  afterAll(async () => {
    await server?.close();
    await database?.drop();
  });
  const joinToken = async (): Promise<string> =>
    (await server.call('POST', '/v1/join-tokens', { body: {} })).body.token;

  test('enrols, polls, scans and reports as ever; newer fields it never sends stay unknown', async () => {
    const agent = simulatedAgent({ url: server.url });
    const token = (await joinToken()).split('.')[0];
    const enrolled = await agent.send({
      path: '/agent/v1/enrol',
      body: V1.enrol({ token, publicKey: agent.key.publicKey }),
    });
    expect(enrolled.status).toBe(200);
    const polled = await agent.send({ path: '/agent/v1/poll', body: V1.poll() });
    expect(polled).toMatchObject({ status: 200, body: { orders: [], scanNow: true } });
    expect((await agent.inventory({ protocol: 1 })).status).toBe(200);
    const { rows } = await database.pool.query('SELECT agent, observations FROM endpoint WHERE id = $1', [
      enrolled.body.endpointId,
    ]);
    expect(rows).toEqual([{ agent: null, observations: { agentVersion: '0.1.0', protocol: 1 } }]);

    const updated = { version: '0.2.0', slot: 'a', providers: ['apt', 'self'] };
    expect(
      (await agent.send({ path: '/agent/v1/poll', body: V1.poll({ protocol: 2, journalSeq: 2, agent: updated }) }))
        .status,
    ).toBe(200);
    const after = await database.pool.query('SELECT agent FROM endpoint WHERE id = $1', [enrolled.body.endpointId]);
    expect(after.rows).toEqual([{ agent: { ...updated, protocol: 2 } }]);
  });

  test.each([
    [PROTOCOL_VERSION + 1, 426],
    [OLDEST_PROTOCOL - 1, 426],
    [99, 426],
  ])('version %i is told what is spoken', async (protocol, status) => {
    const agent = simulatedAgent({ url: server.url });
    await agent.enrol(await joinToken());
    const reply = await agent.send({ path: '/agent/v1/poll', body: V1.poll({ protocol }) });
    expect(reply).toMatchObject({ status, body: { speaks: { from: 1, to: 2 } } });
  });
});

describe('a server of the release before', () => {
  let gateway: FakeGateway;
  beforeAll(async () => {
    gateway = await startFakeGateway();
  });
  afterAll(() => gateway?.close());

  test('is spoken to in its version, with nothing in it that it does not know', async () => {
    gateway.speaks = 1;
    const key = signingKeyFromPem(generateSigningKeyPem());
    const now = () => ({ mono: performance.now(), wall: Date.now() });
    const clock = createServerClock(now);
    const client = createGatewayClient({ url: gateway.url, key, keyid: () => key.keyid, clock, now });
    await client.enrol({
      protocol: PROTOCOL_VERSION,
      token: gateway.joinToken.split('.')[0] ?? '',
      publicKey: key.publicKey,
      name: 'newer',
      machineId: randomUUID(),
      zone: 'Etc/UTC',
      scanOnly: false,
      facts: {},
    });
    const agent = { version: '0.2.0', slot: 'a', providers: ['self'] };
    const poll = { ...V1.poll({ protocol: PROTOCOL_VERSION }), agent } as never;
    await client.poll(poll);
    expect(client.protocol).toBe(1);
    expect(gateway.polls.at(-1)?.request).toMatchObject({ protocol: 1 });
    expect(gateway.polls.at(-1)?.request).not.toHaveProperty('agent');
    // Asked for once, not before every request.
    const requests = gateway.requests.length;
    await client.poll(poll);
    expect(gateway.requests.length).toBe(requests + 1);
  });
});
