// From an assignment to signed scan orders, to results as they come, to what people and plans make of them. The endpoint is simulated.
import { createHash, randomUUID } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { orderDueScans, orderHandOvers, orderProofs } from '../../db/baseline/scan-orders.js';
import { storeAssessment } from '../../db/baseline/store-assessment.js';
import { takeOfferBatch, takeReportBatch } from '../../db/orders/index.js';
import { inTransaction } from '../../db/pool.js';
import {
  generateSigningKeyPem,
  ORDER_TYPE,
  openEnvelope,
  publicKeyObject,
  signingKeyFromPem,
} from '../../protocol/envelope.js';
import { type OrderDocument, orderDocument } from '../../protocol/messages.js';
import { baselineDuties } from '../../worker/baseline-duty.js';
import { noticeDuty } from '../../worker/notice-duty.js';
import { createSigner } from '../../worker/signer.js';
import { type SimulatedAgent, simulatedAgent } from '../helpers/agent-client.js';
import { ADMIN_TOKEN, startApi, type TestApi } from '../helpers/api-server.js';
import { TEST_PROFILE, testAssignment, testDataStream, testRuleId } from '../helpers/data-stream.js';
import { createDatabase, type TestDatabase } from '../helpers/postgres.js';

let db: TestDatabase;
let api: TestApi;
let agent: SimulatedAgent;
let endpointId: string;
const key = signingKeyFromPem(generateSigningKeyPem());
const signer = createSigner(() => key);
const stored = new Map<string, number>();

const NAMES = ['one', 'two', 'three', 'four'];
const rules = NAMES.map((name) => ({
  name,
  file: '/etc/a.conf',
  line: `${name} yes`,
  fix: `echo '${name} yes' >>/etc/a.conf\n`,
}));

/** What the worker does, once. */
const duty = async (name: string) => {
  const store = {
    put: async ({ sha256, size }: { sha256: string; size: number }) => {
      stored.set(sha256, size);
      return { sha256, size, existed: false };
    },
  };
  const duties = [
    ...baselineDuties({ pool: db.pool, store: store as never, signer, clock: Date.now }),
    noticeDuty({ pool: db.pool, clock: Date.now, publicUrl: 'http://ringmaster.example.test' }),
  ];
  await duties.find((one) => one.name === name)?.run();
};
const letOut = () => inTransaction(db.pool, (client) => orderDueScans(client, { signer, now: Date.now() }));
const offered = async (): Promise<OrderDocument[]> => {
  const reply = await agent.poll({ protocol: 2 });
  expect(reply.status).toBe(200);
  return reply.body.orders.map(({ order }: { order: never }) => {
    const opened = openEnvelope({
      envelope: order,
      type: ORDER_TYPE,
      trusted: new Map([[key.keyid, publicKeyObject(key.publicKey)]]),
    });
    if (!opened.ok) throw new Error(opened.reason);
    return orderDocument.parse(opened.document);
  });
};
const send = (order: OrderDocument, over: object) =>
  agent.send({
    path: '/agent/v1/assessment',
    body: {
      protocol: 2,
      orderId: order.orderId,
      checklist: order.baseline?.checklist,
      startedAt: Date.now(),
      partial: false,
      base: null,
      results: {},
      problem: null,
      arf: null,
      ...over,
    },
  });
const ofNames = (results: Record<string, string>) =>
  Object.fromEntries(Object.entries(results).map(([name, result]) => [testRuleId(name), result]));
const done = (order: OrderDocument) =>
  agent.poll({
    protocol: 2,
    reports: [
      {
        orderId: order.orderId,
        events: [
          { seq: 1, at: Date.now(), type: 'accept' },
          { seq: 2, at: Date.now(), type: 'scanned' },
        ],
      },
    ] as never,
  });
const assessment = async () => (await api.call('GET', `/v1/endpoints/${endpointId}/assessments`)).body.items[0];

beforeAll(async () => {
  db = await createDatabase();
  api = await startApi({ apiUrl: db.apiUrl, pool: db.pool, ordersPort: { takeReportBatch, takeOfferBatch } });
  agent = simulatedAgent({ url: api.url });
  const { token } = (await api.call('POST', '/v1/join-tokens', { body: {} })).body;
  endpointId = (await agent.enrol(token)).body.endpointId;
  await agent.poll({ protocol: 2, agent: { version: '1.0.0', slot: 'installed', providers: ['apt', 'openscap'] } });
  const reply = await fetch(`${api.url}/v1/baselines?name=house`, {
    method: 'POST',
    headers: { authorization: `Bearer ${ADMIN_TOKEN}`, 'content-type': 'application/xml' },
    body: testDataStream({ rules }),
  });
  expect(reply.status).toBe(201);
}, 60_000);
afterAll(async () => {
  await api?.close();
  await db?.drop();
});

describe('measuring an endpoint', () => {
  let checklist: string;
  let order: OrderDocument;

  test('begins with an assignment, waits for the bytes, and is a signed order that names them by digest', async () => {
    const body = testAssignment({ critical: [testRuleId('two')] });
    const put = await api.call('PUT', '/v1/baseline-assignments/house', { body });
    expect(put.body).toMatchObject({ version: 1, tailored: false, mode: 'propose' });
    checklist = put.body.checklist;
    const wrong = await api.call('PUT', '/v1/baseline-assignments/bad', { body: { ...body, critical: ['nine'] } });
    expect(wrong.body.errors).toMatchObject([{ field: 'critical[0]' }]);
    await duty('baseline-targets');
    await duty('scans');
    expect(await offered()).toEqual([]);
    await duty('baseline-content');
    expect(stored.size).toBe(1);
    await letOut();
    [order] = (await offered()) as [OrderDocument];
    expect(order).toMatchObject({
      kind: 'scan',
      provider: 'openscap',
      endpointId,
      baseline: {
        dataStream: { sha256: [...stored.keys()][0], size: [...stored.values()][0] },
        profile: TEST_PROFILE,
        tailoring: null,
        rules: [],
        critical: [testRuleId('two')],
      },
    });
    await letOut();
    expect((await offered()).map(({ orderId }) => orderId)).toEqual([order.orderId]);
  });

  test('keeps the results, and since when each is so; only differences need to be sent', async () => {
    const all = ofNames({ one: 'pass', two: 'fail', three: 'notapplicable', four: 'fail' });
    expect((await send(order, { results: all })).body).toMatchObject({ revision: 1, sendAll: false });
    await done(order);
    expect(await assessment()).toMatchObject({
      checklist,
      pass: 1,
      fail: 2,
      notApplicable: 1,
      wanted: false,
      problem: null,
    });
    expect((await api.call('POST', `/v1/endpoints/${endpointId}/assess`)).body).toEqual({ checklists: 1 });
    expect(await assessment()).toMatchObject({ wanted: true });
    await letOut();
    const [again] = (await offered()) as [OrderDocument];
    expect(again.orderId).not.toBe(order.orderId);
    // Against something that is not what the server has: everything, please.
    expect((await send(again, { base: 7, results: ofNames({ two: 'pass' }) })).body).toMatchObject({
      sendAll: true,
      revision: null,
    });
    expect((await send(again, { base: 1, results: ofNames({ two: 'pass' }) })).body).toMatchObject({ revision: 2 });
    await done(again);
    const { items } = (await api.call('GET', `/v1/endpoints/${endpointId}/assessments/${checklist}`)).body;
    expect(items.map(({ name, result }: { name: string; result: string }) => `${name} ${result}`)).toEqual([
      'one pass',
      'two pass',
      'three notapplicable',
      'four fail',
    ]);
    expect(Date.parse(items[1].since)).toBeGreaterThan(Date.parse(items[0].since));
    const { rows } = await db.pool.query('SELECT before, after, change_id FROM rule_change');
    expect(rows).toEqual([{ before: 'f', after: 'p', change_id: null }]);
    const unexplained = await api.call('GET', `/v1/closed-loop/unexplained-rules?endpoint=${endpointId}`);
    expect(unexplained.body).toMatchObject({
      next: null,
      items: [{ endpointId, checklist, rule: 'two', from: 'fail', to: 'pass' }],
    });
    await db.pool.query('UPDATE rule_change SET change_id = gen_random_uuid()');
    expect((await api.call('GET', '/v1/closed-loop/unexplained-rules')).body.items).toEqual([]);
    await db.pool.query('UPDATE rule_change SET change_id = NULL');
    order = again;
  });

  test.each<[string, object, RegExp]>([
    [
      'nothing applies',
      { results: ofNames(Object.fromEntries(NAMES.map((name) => [name, 'notapplicable']))) },
      /^none of the 4 rules applies here/,
    ],
    ['the scanner failed', { problem: 'the scanner was killed 3 times' }, /^the scanner was killed 3 times$/],
  ])('when %s there is a problem, and the results before stand', async (_, over, problem) => {
    expect((await send(order, over)).body).toMatchObject({ revision: null, sendAll: false });
    expect(await assessment()).toMatchObject({ pass: 2, fail: 1, problem: expect.stringMatching(problem) });
    expect((await api.call('GET', '/v1/compliance')).body.items).toMatchObject([
      { checklist, endpoints: 1, compliant: 0, unanswered: 1 },
    ]);
  });

  test.each<[string, object, string]>([
    ['an unknown rule', { results: { [testRuleId('nine')]: 'pass' } }, `results.${testRuleId('nine')}`],
    ['an unknown result', { results: { [testRuleId('one')]: 'perhaps' } }, `results.${testRuleId('one')}`],
    ['an unknown checklist', { checklist: 'f'.repeat(64) }, 'checklist'],
    ['an order that is not its own', { orderId: randomUUID() }, 'orderId'],
  ])('%s is refused by field', async (_, over, field) => {
    const reply = await send(order, { results: ofNames({ one: 'pass' }), ...over });
    expect([reply.status, reply.body.errors[0].field]).toEqual([400, field]);
  });

  test('the fleet by rule, and how far another endpoint is from a gold standard', async () => {
    const other = randomUUID();
    await db.pool.query(`INSERT INTO endpoint (id, name, public_key, key_id) VALUES ($1, 'other', 'k', 'k')`, [other]);
    await db.pool.query(
      `INSERT INTO assessment (endpoint_id, checklist_id, results, revision, passed, failed, errors, not_applicable, not_checked, first_at, assessed_at)
       SELECT $1, id, 'ffnp', 1, 1, 2, 0, 1, 0, now(), now() FROM checklist WHERE name = $2`,
      [other, checklist],
    );
    await db.pool.query(
      `INSERT INTO assessment_target (endpoint_id, checklist_id, mode, every_minutes) SELECT $1, id, 'observe', 60 FROM checklist WHERE name = $2`,
      [other, checklist],
    );
    const { items } = (await api.call('GET', `/v1/compliance/${checklist}/rules`)).body;
    expect(items.map(({ name, pass, fail }: Record<string, unknown>) => `${name} ${pass} ${fail}`)).toEqual([
      'one 1 1',
      'two 1 1',
      'three 0 0',
      'four 1 1',
    ]);
    expect((await api.call('PUT', '/v1/gold-standards/first', { body: { endpointId } })).body).toMatchObject({
      checklists: 1,
    });
    const drift = await api.call('GET', '/v1/gold-standards/first/drift');
    expect(drift.body.items).toEqual([{ endpointId: other, endpoint: 'other', rules: 3 }]);
    const standards = async (query: string) => (await api.call('GET', `/v1/gold-standards?${query}`)).body;
    await api.call('PUT', '/v1/gold-standards/second', { body: { endpointId: other } });
    const page = await standards('limit=1');
    expect([page.items, page.next]).toMatchObject([[{ name: 'first', checklists: 1 }], expect.any(String)]);
    expect(await standards(`limit=1&cursor=${page.next}`)).toMatchObject({ items: [{ name: 'second' }], next: null });
    const one = await api.call('GET', `/v1/gold-standards/first/endpoints/${other}/drift`);
    expect(one.body.rules).toEqual([
      { rule: testRuleId('one'), gold: 'pass', now: 'fail' },
      { rule: testRuleId('two'), gold: 'pass', now: 'fail' },
      { rule: testRuleId('four'), gold: 'fail', now: 'pass' },
    ]);
  });

  describe('full results', () => {
    const path = () => `/v1/endpoints/${endpointId}/assessments/${checklist}/arf`;
    const packed = gzipSync('<arf/>');
    const recorded = (sha256: string, size: number) =>
      db.pool.query('UPDATE assessment SET arf_sha256 = $2, arf_size = $3 WHERE endpoint_id = $1', [
        endpointId,
        sha256,
        size,
      ]);
    const sha256 = createHash('sha256').update(packed).digest('hex');
    const ask = () => api.call('POST', path());
    /** Asked for, and the order that fetches them. */
    const asked = async (): Promise<OrderDocument> => {
      expect((await ask()).status).toBe(202);
      await inTransaction(db.pool, (client) => orderHandOvers(client, { signer, now: Date.now() }));
      return (await offered()).find(({ baseline }) => baseline?.handOver) as OrderDocument;
    };
    const handOver = (order: OrderDocument) => agent.send({ path: `/agent/v1/arf/${order.orderId}`, body: packed });
    const answer = async () => {
      const { status, body } = await api.call('GET', path());
      return [status, body?.detail];
    };
    const end = (order: OrderDocument, state: string, detail: object | null) =>
      db.pool.query(
        `WITH o AS (UPDATE order_state SET state = $2, phase = 'done', settled_at = now() WHERE id = $1 RETURNING id)
         INSERT INTO order_event (order_id, at, actor, event, from_state, to_state, detail) SELECT id, now(), 'agent', 'scanned', 'released', $2, $3 FROM o`,
        [order.orderId, state, JSON.stringify(detail ?? {})],
      );

    test('come when they are what was recorded at the scan', async () => {
      expect(await answer()).toEqual([404, expect.stringContaining('ask for one by POST')]);
      await recorded(sha256, packed.length);
      const order = await asked();
      expect(await answer()).toEqual([503, expect.stringContaining('not handed them over yet')]);
      expect((await handOver(order)).status).toBe(200);
      const reply = await fetch(new URL(path(), api.url), { headers: { authorization: `Bearer ${ADMIN_TOKEN}` } });
      expect([reply.status, Buffer.from(await reply.arrayBuffer())]).toEqual([200, packed]);
      await end(order, 'succeeded', { bytes: packed.length });
    });

    test('that are something else are not kept, and both digests are told', async () => {
      await recorded('9'.repeat(64), packed.length);
      const order = await asked();
      expect((await handOver(order)).status).toBe(200);
      expect(await answer()).toEqual([409, expect.stringMatching(new RegExp(`${sha256}.*${'9'.repeat(64)}.*assess`))]);
      expect((await db.pool.query('SELECT bytes FROM arf_copy')).rows).toEqual([{ bytes: null }]);
      await end(order, 'succeeded', null);
    });

    test.each([
      [
        'that the endpoint has no more',
        'succeeded',
        { problem: 'the full results are not here any more' },
        /not here any more: measure/,
      ],
      ['whose order failed', 'failed', { reason: 'no space' }, /no space: measure/],
      ['that it never was heard about', 'expired', null, /never fetched the order in time: measure/],
    ])('%s are a final answer with what to do, until they are asked for again', async (_, state, detail, words) => {
      await recorded(sha256, packed.length);
      await end(await asked(), state, detail);
      expect(await answer()).toEqual([404, expect.stringMatching(words)]);
      const again = await asked();
      expect(await answer()).toEqual([503, expect.any(String)]);
      await handOver(again);
      expect((await answer())[0]).toBe(200);
      await end(again, 'succeeded', null);
    });

    test('that are too large are not even asked for', async () => {
      await recorded(sha256, 16 * 1024 * 1024);
      const { status, body } = await ask();
      expect([status, body.detail]).toEqual([413, expect.stringMatching(/16777216 bytes.*15728640.*on the endpoint/)]);
      await recorded(sha256, packed.length);
    });
  });

  test('a proof of single rules answers the change that asked for it, and nothing else', async () => {
    const changeId = randomUUID();
    await db.pool.query(
      `INSERT INTO change (id, kind, name, spec, requested_by, requested_at, deadline) VALUES ($1, 'remediation', 'r', '{}', 'x', now(), now() + interval '1 hour')`,
      [changeId],
    );
    await db.pool.query(
      `INSERT INTO rule_proof (change_id, endpoint_id, checklist_id, rules, asked_at) SELECT $1, $2, id, '{two}', now() FROM checklist WHERE name = $3`,
      [changeId, endpointId, checklist],
    );
    await inTransaction(db.pool, (client) => orderProofs(client, { signer, now: Date.now() }));
    const proof = (await offered()).find(({ baseline }) => baseline?.rules.length === 1) as OrderDocument;
    expect(proof.baseline?.rules).toEqual([{ name: 'two', id: testRuleId('two') }]);
    const before = await assessment();
    expect((await send(proof, { partial: true, results: ofNames({ two: 'fail' }) })).body).toMatchObject({
      revision: null,
    });
    const { rows } = await db.pool.query('SELECT results, answered_at FROM rule_proof');
    expect(rows).toEqual([{ results: ofNames({ two: 'fail' }), answered_at: expect.any(Date) }]);
    expect(await assessment()).toEqual(before);
  });

  test('answers of many endpoints at once are all kept', async () => {
    const ids = Array.from({ length: 1_000 }, () => randomUUID());
    await db.pool.query(
      `INSERT INTO endpoint (id, name, public_key, key_id) SELECT id, 'many-' || id, id::text, id::text FROM unnest($1::uuid[]) AS id`,
      [ids],
    );
    await db.pool.query(
      `INSERT INTO order_state (id, ring, home_ring, endpoint_id, kind, phase, state) SELECT id, 0, 0, id, 'scan', 'holding', 'released' FROM unnest($1::uuid[]) AS id`,
      [ids],
    );
    const results = ofNames({ one: 'pass', two: 'pass', three: 'pass', four: 'pass' }) as never;
    const answers = await Promise.all(
      ids.map((id) =>
        storeAssessment(db.pool, {
          endpointId: id,
          request: {
            protocol: 2,
            orderId: id,
            checklist: order.baseline?.checklist as string,
            startedAt: 0,
            partial: false,
            base: null,
            results,
            problem: null,
            arf: null,
          },
          now: Date.now(),
        }),
      ),
    );
    expect(new Set(answers.map((answer) => answer.kind))).toEqual(new Set(['stored']));
    const { rows } = await db.pool.query(`SELECT count(*)::int AS n FROM assessment WHERE results = 'pppp'`);
    expect(rows[0].n).toBe(1_000);
  }, 60_000);
});

describe('what an agent notices', () => {
  const noticed = (items: object[]) => agent.send({ path: '/agent/v1/noticed', body: { protocol: 2, items } });
  const item = (key: string, over: object = {}) => ({
    key: key.repeat(32),
    kind: 'privilegedUser',
    action: 'added',
    name: 'eve in sudo',
    detail: {},
    at: Date.now(),
    ...over,
  });

  test('becomes an incident once, is told, acknowledged, or escalated when nobody answers', async () => {
    const person = await api.call('POST', '/v1/accounts', {
      body: { name: 'Mary', email: 'mary@example.test', roles: ['Manager'] },
    });
    const boss = await api.call('POST', '/v1/accounts', {
      body: { name: 'Ada', email: 'ada@example.test', roles: ['Administrator'] },
    });
    expect([person.status, boss.status]).toEqual([201, 201]);
    const rule = {
      precedence: 1,
      appliesTo: { all: true },
      kinds: ['privilegedUser', 'listener'],
      respond: 'incident',
      severity: 'critical',
      recipients: { role: 'Manager' },
      escalate: { afterMinutes: 10, to: { role: 'Administrator' } },
    };
    expect((await api.call('PUT', '/v1/notice-rules/root', { body: rule })).status).toBe(200);
    const quiet = {
      ...rule,
      precedence: 9,
      name: 'tcp 127.*',
      respond: 'ignore',
      recipients: undefined,
      escalate: undefined,
    };
    expect((await api.call('PUT', '/v1/notice-rules/quiet', { body: quiet })).status).toBe(200);
    const wrong = await api.call('PUT', '/v1/notice-rules/wrong', { body: { ...rule, expedite: true } });
    expect(wrong.body.errors).toMatchObject([{ field: 'expedite' }]);

    const items = [
      item('a'),
      item('b', { kind: 'listener', name: 'tcp 127.0.0.1:9' }),
      item('c', { kind: 'package', name: 'x:all' }),
    ];
    const told = await noticed(items);
    expect([told.status, Object.values(told.body.watched)]).toEqual([200, [[testRuleId('two')]]]);
    await noticed(items);
    await noticed([item('d', { at: Date.now() + 1 })]);
    await duty('notices');
    const { items: open } = (await api.call('GET', '/v1/incidents?open=true')).body;
    expect(open).toMatchObject([
      { subject: 'privilegedUser added eve in sudo', severity: 'critical', times: 2, acknowledgedAt: null },
    ]);
    const mails = async () =>
      (await db.pool.query('SELECT recipient FROM mail ORDER BY created_at, key')).rows.map((row) => row.recipient);
    expect(await mails()).toEqual(['mary@example.test']);

    await db.pool.query(`UPDATE incident SET escalate_at = now() - interval '1 second'`);
    await duty('notices');
    await duty('notices');
    expect(await mails()).toEqual(['mary@example.test', 'ada@example.test', 'administrator@localhost']);
    const path = `/v1/incidents/${open[0].id}`;
    expect((await api.call('POST', `${path}/acknowledge`)).body).toMatchObject({ acknowledgedAt: expect.any(String) });
    expect((await api.call('POST', `${path}/acknowledge`)).status).toBe(409);
    expect((await api.call('POST', `${path}/close`)).body).toMatchObject({ closedAt: expect.any(String) });
    expect((await db.pool.query('SELECT count(*)::int AS n FROM noticed')).rows[0].n).toBe(4);
  });

  test('of a critical rule may ask for an expedited remediation', async () => {
    const rule = {
      precedence: 1,
      appliesTo: { all: true },
      kinds: ['rule'],
      respond: 'ticket',
      severity: 'high',
      expedite: true,
    };
    await api.call('PUT', '/v1/notice-rules/drift', { body: rule });
    const detail = { before: 'pass', after: 'fail' };
    await noticed([item('e', { kind: 'rule', action: 'changed', name: testRuleId('two'), detail })]);
    await duty('notices');
    const { items } = (await api.call('GET', '/v1/incidents?open=true')).body;
    expect(items).toMatchObject([
      { respond: 'ticket', changeId: expect.any(String), summary: expect.stringContaining('pass → fail') },
    ]);
    const change = await api.call('GET', `/v1/changes/${items[0].changeId}`);
    expect(change.body).toMatchObject({ kind: 'remediation', priority: 100, requestedBy: 'notice-rule/drift' });
  });
});
