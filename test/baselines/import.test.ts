// Baselines over the API: what is taken in, what is refused and where, and what profiles and tailorings make of it.
import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { ADMIN_TOKEN, startApi, type TestApi } from '../helpers/api-server.js';
import { TEST_PROFILE, TEST_VALUE, type TestRule, testDataStream, testRuleId } from '../helpers/data-stream.js';
import { createDatabase, type TestDatabase } from '../helpers/postgres.js';

let db: TestDatabase;
let api: TestApi;
beforeAll(async () => {
  db = await createDatabase();
  api = await startApi({ apiUrl: db.apiUrl, pool: db.pool });
}, 60_000);
afterAll(async () => {
  await api?.close();
  await db?.drop();
});

const rule = (name: string, over: Partial<TestRule> = {}): TestRule => ({
  name,
  file: '/etc/a.conf',
  line: `${name} yes`,
  fix: `echo '${name} yes' >>/etc/a.conf # {{limit}}\n`,
  ...over,
});
const three = [rule('one'), rule('two', { reboot: true, severity: 'high' }), rule('three', { fix: null })];

async function upload(name: string, body: string | Uint8Array, type = 'application/xml') {
  const reply = await fetch(`${api.url}/v1/baselines?name=${name}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${ADMIN_TOKEN}`, 'content-type': type },
    body: body as string,
  });
  const text = await reply.text();
  return { status: reply.status, body: text === '' ? null : JSON.parse(text) };
}

describe('importing a baseline', () => {
  test('keeps every version by digest, and the same bytes once', async () => {
    const first = testDataStream({ rules: three });
    const second = testDataStream({
      rules: [rule('one', { fix: 'true\n' }), ...three.slice(1), rule('four')],
      version: '1.1',
    });
    const made = await upload('small', first);
    expect(made.status).toBe(201);
    expect(made.body).toMatchObject({
      baseline: 'small',
      number: 1,
      sha256: createHash('sha256').update(first).digest('hex'),
      size: Buffer.byteLength(first),
      benchmarkId: 'xccdf_org.example_benchmark_test',
      rules: 3,
      profiles: [{ id: TEST_PROFILE, title: 'Everything' }],
      stored: false,
    });
    expect(await upload('small', first)).toMatchObject({ status: 200, body: { number: 1 } });
    expect(await upload('small', second)).toMatchObject({ status: 201, body: { number: 2, benchmarkVersion: '1.1' } });
    expect((await api.call('GET', '/v1/baselines/small')).body.items).toMatchObject([{ number: 2 }, { number: 1 }]);
    const diff = await api.call('GET', '/v1/baselines/small/diff?from=1&to=2');
    expect(diff.body.rules).toEqual({
      added: [testRuleId('four')],
      removed: [],
      changed: [{ id: testRuleId('one'), fields: ['fix'] }],
    });
    const audited = await db.pool.query(
      `SELECT count(*)::int AS n FROM audit_entry WHERE action = 'baseline.imported'`,
    );
    expect(audited.rows[0].n).toBe(2);
  });

  test('tells when nothing but what a rule tests is another thing, and not when it is only numbered anew', async () => {
    const versions = [
      { rules: three, version: '1' },
      { rules: three, version: '2', ovalVersion: 7 },
      {
        rules: [
          rule('two', { line: 'two no', reboot: true, severity: 'high' }),
          three[0] as TestRule,
          three[2] as TestRule,
        ],
      },
    ];
    for (const one of versions) expect((await upload('tested', testDataStream(one))).status).toBe(201);
    const diff = async (from: number, to: number) =>
      (await api.call('GET', `/v1/baselines/tested/diff?from=${from}&to=${to}`)).body;
    expect(await diff(1, 2)).toMatchObject({ rules: { added: [], removed: [], changed: [] }, checksCompared: true });
    // Its title says the line as well; the rules beside it only moved.
    expect((await diff(2, 3)).rules).toEqual({
      added: [],
      removed: [],
      changed: [{ id: testRuleId('two'), fields: expect.arrayContaining(['check', 'title']) }],
    });
    await db.pool.query(
      `UPDATE baseline_rule SET detail = detail - 'check' - 'checkValues' WHERE version_id = (SELECT v.id FROM baseline_version v
         JOIN baseline b ON b.id = v.baseline_id WHERE b.name = 'tested' AND v.number = 1)`,
    );
    expect(await diff(1, 2)).toMatchObject({ rules: { changed: [] }, checksCompared: false });
  });

  test('lists rules with the fix they would get, or why they get none', async () => {
    await upload('listed', testDataStream({ rules: three }));
    const { body } = await api.call('GET', `/v1/baselines/listed/versions/1/rules?profile=${TEST_PROFILE}`);
    expect(body.items).toMatchObject([
      {
        id: testRuleId('one'),
        name: 'one',
        noFixReason: null,
        fix: `#!/bin/bash\n# ${testRuleId('one')}\necho 'one yes' >>/etc/a.conf # 300\n`,
      },
      { name: 'two', severity: 'high', noFixReason: 'its fix takes effect with a reboot only' },
      { name: 'three', fix: null, noFixReason: 'the baseline has no fix for it' },
    ]);
    const high = await api.call('GET', '/v1/baselines/listed/versions/1/rules?severity=high');
    expect(high.body.items).toMatchObject([{ name: 'two' }]);
  });

  test('tailors: rules out, values refined; what the benchmark does not have is refused by field', async () => {
    await upload('tailored', testDataStream({ rules: three }));
    const path = '/v1/baselines/tailored/versions/1/checklists';
    const body = {
      profile: TEST_PROFILE,
      select: { [testRuleId('two')]: false },
      values: { [TEST_VALUE]: { text: '42' } },
    };
    const made = await api.call('POST', path, { body });
    expect(made.body.rules.map((one: { name: string }) => one.name)).toEqual(['one', 'three']);
    const sha256 = made.body.rules[0].fixSha256;
    const { rows } = await db.pool.query('SELECT body FROM baseline_fix WHERE sha256 = $1', [sha256]);
    expect(createHash('sha256').update(rows[0].body).digest('hex')).toBe(sha256);
    expect(rows[0].body).toContain('# 42\n');
    expect((await api.call('POST', path, { body })).body).toEqual(made.body);
    const refused = async (wrong: object) => (await api.call('POST', path, { body: wrong })).body.errors[0];
    expect(await refused({ profile: 'xccdf_org.example_profile_none' })).toMatchObject({
      field: 'profile',
      reason: expect.stringContaining(`only ${TEST_PROFILE}`),
    });
    expect(await refused({ profile: TEST_PROFILE, select: { [testRuleId('nine')]: true } })).toMatchObject({
      field: `select.${testRuleId('nine')}`,
    });
    expect(await refused({ profile: TEST_PROFILE, values: { [TEST_VALUE]: { selector: 'lax' } } })).toMatchObject({
      field: `values.${TEST_VALUE}`,
      reason: 'has no selector lax, only strict',
    });
    expect(await refused({ profile: TEST_PROFILE, values: { [TEST_VALUE]: { text: '1; reboot' } } })).toMatchObject({
      reason: 'must be a number on one line',
    });
    const none = Object.fromEntries(three.map(({ name }) => [testRuleId(name), false]));
    expect(await refused({ profile: TEST_PROFILE, select: none })).toMatchObject({ field: 'profile' });
  });

  const good = testDataStream({ rules: three });
  const laughs = '<!DOCTYPE lolz [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>\n';
  test.each<[string, string | Uint8Array, RegExp]>([
    ['truncated', good.slice(0, good.length - 400), /^line \d+, column \d+: is truncated: \S+ never ends/],
    ['cut within a tag', `${good.split('<Rule')[0]}<Rule id="x`, /^line \d+, column \d+: /],
    ['not XML', 'PK\u0003\u0004 binary', /^line 1, column \d+: /],
    ['a web page', '<html><body/></html>', /is no SCAP 1.2 or 1.3 data stream: it begins with html of no namespace/],
    ['bare XCCDF', '<Benchmark xmlns="http://checklists.nist.gov/xccdf/1.2"/>', /a bare XCCDF document/],
    ['entities', testDataStream({ rules: three, prolog: laughs }), /^line 2, column \d+: has a document type/],
    ['an unknown entity', good.replace('Made for tests.', '&nbsp;'), /^line \d+, column \d+: undefined entity/i],
    [
      'an unknown rule in a profile',
      testDataStream({ rules: three, inProfile: `<select idref="${testRuleId('nine')}" selected="true"/>` }),
      /^line \d+: xccdf_org.example_profile_all names "xccdf_org.example_rule_nine", and there is no such rule or group/,
    ],
    ['an id twice', testDataStream({ rules: [rule('one'), rule('one')] }), /xccdf_org.example_rule_one is there twice/],
    ['a bad id', good.replaceAll(testRuleId('one'), '../../etc/passwd'), /is no XCCDF 1.2 id/],
    ['no rules', good.replace(/<Rule[\s\S]*<\/Rule>/, '').replace(/<select[^>]*>/g, ''), /holds no rule/],
    ['not UTF-8', Buffer.from(good.replace('Made', 'M\u00e4de'), 'latin1'), /is not UTF-8/],
    [
      'deep nesting',
      good.replace('Made for tests.', `${'<b>'.repeat(200)}${'</b>'.repeat(200)}`),
      /nested more than 120 deep/,
    ],
    ['nothing', '', /is missing/],
  ])('refuses %s with place and reason, and keeps nothing', async (_, bytes, reason) => {
    const { status, body } = await upload('bad', bytes);
    expect([status, body.detail]).toEqual([400, expect.stringMatching(reason)]);
    expect((await api.call('GET', '/v1/baselines/bad')).status).toBe(404);
  });

  test('refuses what is too large before it has read it all, another type, a bad name, and who may not', async () => {
    const filler = ' '.repeat(1024 * 1024);
    let sent = 0;
    async function* endless() {
      yield Buffer.from(good.slice(0, good.indexOf('<ds:data-stream ')));
      for (sent = 0; sent < 200; sent++) yield Buffer.from(`<!-- ${filler} -->`);
    }
    const reply = await fetch(`${api.url}/v1/baselines?name=big`, {
      method: 'POST',
      headers: { authorization: `Bearer ${ADMIN_TOKEN}`, 'content-type': 'application/xml' },
      body: endless() as never,
      duplex: 'half',
    } as RequestInit).then(
      (answer) => answer.status,
      () => 'closed',
    );
    expect([413, 'closed']).toContain(reply);
    expect(sent).toBeLessThan(200);
    // Closed because it was refused, and not because nobody is there any more.
    expect((await fetch(`${api.url}/healthz`)).status).toBe(200);
    expect((await api.call('GET', '/v1/baselines/big')).status).toBe(404);
    expect((await upload('x', good, 'text/plain')).status).toBe(415);
    expect((await upload('../x', good)).status).toBe(400);
    expect((await api.call('POST', '/v1/baselines?name=x', { token: null })).status).toBe(401);
  });
});
