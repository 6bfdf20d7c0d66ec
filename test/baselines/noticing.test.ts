/** What is explained by an order and what is not, what follows from it, who is told; and marks that outlive a version. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { loadRemediableRules, loadRemediationGroups } from '../../db/baseline/remediation.js';
import { planRemediation } from '../../domain/baseline/plan-remediation.js';
import { parseRemediationParameters } from '../../domain/change/remediation-parameters.js';
import { MINUTE, SECOND } from '../../domain/time.js';
import type { Json } from '../helpers/agent-client.js';
import { testRuleId } from '../helpers/data-stream.js';
import { changeSpec, ringSpec } from '../helpers/scripted-activities.js';
import { seedAccount, seedChange } from '../helpers/seed-change.js';
import { BaselineRig } from './rig.js';

jest.setTimeout(60_000);

let rig: BaselineRig;
let requestedBy: string;
let checklist: string;
let higher: string;
beforeAll(async () => {
  rig = await BaselineRig.start(['one', 'two', 'three']);
  await rig.import('other', ['elsewhere', 'passes']);
  requestedBy = (await seedAccount(rig.tickets.db.pool, { name: 'Requester' })).id;
  await seedAccount(rig.tickets.db.pool, { name: 'Ada', roles: ['Administrator'] });
  checklist = await rig.assign('lower', { critical: [testRuleId('one'), testRuleId('two')] });
  higher = await rig.assign('higher', { baseline: 'other', precedence: 9, appliesTo: { labels: { role: 'web' } } });
});
afterAll(() => rig?.stop());

const notices = (over: object = {}) => ({
  precedence: 1,
  appliesTo: { all: true },
  kinds: ['package', 'listener', 'service', 'privilegedUser'],
  respond: 'incident',
  ...over,
});
const putRule = async (name: string, body: object) => {
  const reply = await rig.tickets.api.call('PUT', `/v1/notice-rules/${name}`, { body });
  if (reply.status !== 200) throw new Error(JSON.stringify(reply.body));
};
const noRules = async () => {
  for (const { name } of (await rig.tickets.api.call('GET', '/v1/notice-rules')).body.items)
    await rig.tickets.api.call('DELETE', `/v1/notice-rules/${name}`);
};
const incidents = async (id: string): Promise<string[]> =>
  (await rig.tickets.rows('SELECT subject FROM incident WHERE endpoint_id = $1 ORDER BY subject', [id])).map(
    ({ subject }) => subject,
  );
const mails = async (id: string): Promise<Json[]> =>
  rig.tickets.rows(
    `SELECT m.recipient, m.text_body AS text FROM mail m JOIN incident i ON m.key LIKE 'incident ' || i.id || '%' WHERE i.endpoint_id = $1 ORDER BY m.recipient`,
    [id],
  );
const audited = async (id: string): Promise<Json[]> =>
  rig.tickets.rows(
    `SELECT a.action, a.detail ->> 'reason' AS reason FROM audit_entry a JOIN incident i ON a.subject = 'incident/' || i.id WHERE i.endpoint_id = $1 ORDER BY a.id`,
    [id],
  );
/** An update of nginx that has begun there a minute ago. @returns its order */
const updating = async (id: string, alsoPackages?: unknown): Promise<string> => {
  const updates = [{ name: 'nginx', from: '1.0', to: '1.2' }];
  const { changeId } = await seedChange(rig.tickets.db.pool, {
    requestedBy,
    rings: [{ name: 'all', endpoints: [id], updates }],
  });
  const [row] = await rig.tickets.rows(
    `INSERT INTO order_state (id, change_id, ring, home_ring, endpoint_id, kind, phase, state, content_digest, started_at)
     SELECT gen_random_uuid(), change_id, 0, 0, endpoint_id, 'change', 'holding', 'applying', update_set_digest, to_timestamp($2 / 1000.0)
       FROM plan_endpoint WHERE change_id = $1 RETURNING id`,
    [changeId, rig.tickets.clock() - MINUTE],
  );
  if (alsoPackages !== undefined)
    await rig.tickets.rows(
      `INSERT INTO order_event (order_id, actor, event, from_state, to_state, detail) VALUES ($1, 'agent', 'apply', 'staged', 'applying', $2)`,
      [row?.id, JSON.stringify({ alsoPackages })],
    );
  return row?.id;
};

describe('while an order of ours runs', () => {
  beforeEach(() => putRule('all', notices()));
  afterEach(noRules);
  const root = { kind: 'privilegedUser', action: 'added', name: 'eve in sudo' };
  const nginx = { kind: 'package', name: 'nginx:amd64', detail: { before: '1.0', after: '1.2' } };
  const service = (name: string, action = 'added') => ({ kind: 'service', action, name });
  const listener = (action: string) => ({ kind: 'listener', action, name: 'tcp 0.0.0.0:80' });

  it.each<[string, readonly Json[], readonly string[]]>([
    ['a new root user is not explained', [root], ['privilegedUser added eve in sudo']],
    ['the package it updates is', [nginx], []],
    ['one put back is', [{ ...nginx, detail: { before: '1.2', after: '1.0' } }], []],
    ['another version of it is not', [{ ...nginx, detail: { after: '6.6' } }], ['package changed nginx:amd64']],
    ['another package is not', [{ ...nginx, action: 'added', name: 'nmap:amd64' }], ['package added nmap:amd64']],
    ['a service of its package is', [service('nginx.service')], []],
    ['another service is not', [service('miner.service')], ['service added miner.service']],
    ['a service that is back is', [service('miner.service', 'removed'), service('miner.service')], []],
    ['a new listener is not', [listener('added')], ['listener added tcp 0.0.0.0:80']],
    ['a listener that is back is', [listener('removed'), listener('added')], []],
  ])('%s', async (_, items, expected) => {
    const id = await rig.endpoint();
    await updating(id);
    await rig.noticeAll(id, items);
    expect(await incidents(id)).toEqual(expected);
  });

  it('what the order said that its fixes move is explained; whatever else it told explains nothing', async () => {
    const id = await rig.endpoint();
    const order = await updating(id, [{ name: 'aide', arch: 'amd64', from: null, to: '0.18' }]);
    const aide = { kind: 'package', action: 'added', name: 'aide:amd64', detail: { after: '0.18' } };
    await rig.notice(id, aide);
    expect(await incidents(id)).toEqual([]);
    await rig.tickets.rows(`UPDATE order_event SET detail = '{"alsoPackages": "aide"}' WHERE order_id = $1`, [order]);
    await rig.notice(id, aide);
    expect(await incidents(id)).toEqual(['package added aide:amd64']);
  });

  it.each([
    ['a package, a minute after it ended', nginx, MINUTE, 0],
    ['a package, long after it ended', nginx, 3 * MINUTE, 1],
    ['a service, at the next look', service('nginx.service'), 20 * SECOND, 0],
    ['a service, later', service('nginx.service'), MINUTE, 1],
  ])('%s', async (_, item, after, expected) => {
    const id = await rig.endpoint();
    const order = await updating(id);
    await rig.end(order, 'succeeded');
    await rig.notice(id, { action: 'changed', ...item, at: rig.tickets.clock() + after, name: item.name });
    // A clock that is ahead explains nothing less: what is heard now was seen by now.
    expect(await incidents(id)).toEqual([]);
    await rig.tickets.rows(`UPDATE order_state SET settled_at = settled_at - $2 * interval '1 ms' WHERE id = $1`, [
      order,
      after,
    ]);
    await rig.notice(id, { action: 'changed', ...item });
    expect(await incidents(id)).toHaveLength(expected);
  });

  it('drift of a critical rule is work, unless the order names the rule', async () => {
    const id = await rig.endpoint();
    await rig.measure(id, { one: 'pass', two: 'pass', three: 'pass' });
    const changeId = await rig.remediation({ endpoints: [id], checklist, rules: ['one'], requestedBy });
    await rig.carryOut(changeId, id, 'succeeded');
    await rig.drift(id, 'one', ['pass', 'fail']);
    await rig.drift(id, 'two', ['pass', 'fail']);
    expect((await rig.work(id)).map(({ reason }) => reason)).toEqual(['two: pass → fail']);
  });

  it('what only the assessment after it finds is work also of the rule it names: it had put that right', async () => {
    const id = await rig.endpoint();
    await rig.measure(id, { one: 'pass', two: 'pass', three: 'pass' });
    const changeId = await rig.remediation({ endpoints: [id], checklist, rules: ['one'], requestedBy });
    await rig.carryOut(changeId, id, 'succeeded');
    await rig.measureAgain(id, { one: 'fail', two: 'fail', three: 'pass' });
    await rig.duty('notices');
    expect((await rig.work(id)).map(({ reason }) => reason).sort()).toEqual(['one: pass → fail', 'two: pass → fail']);
  });
});

describe('drift of a rule', () => {
  afterEach(noRules);

  it('that no assignment there calls critical is on record, and neither work nor an incident', async () => {
    await putRule('drift', notices({ kinds: ['rule'] }));
    const id = await rig.endpoint();
    await rig.assess();
    await rig.drift(id, 'three', ['pass', 'fail']);
    await rig.drift(id, 'gone', ['pass', 'fail']);
    expect([await rig.work(id), await incidents(id)]).toEqual([[], []]);
    expect(await rig.tickets.rows('SELECT FROM noticed WHERE endpoint_id = $1', [id])).toHaveLength(2);
  });

  it('of a lower baseline is expedited by its assignment, and planned though a higher one has rules that fail', async () => {
    await putRule('drift', notices({ kinds: ['rule'], respond: 'ticket', expedite: true }));
    const id = await rig.endpoint({ role: 'web' });
    await rig.assess();
    await rig.tickets.rows(
      `INSERT INTO assessment (endpoint_id, checklist_id, results, revision, passed, failed, errors, not_applicable, not_checked, first_at, assessed_at)
       SELECT $1, k.id, f.results, 1, 1, 1, 0, 0, 0, now(), now() FROM (VALUES ($2, 'fpp'), ($3, 'fp')) AS f (name, results) JOIN checklist k ON k.name = f.name`,
      [id, checklist, higher],
    );
    await rig.drift(id, 'one', ['pass', 'fail']);
    const [change] = await rig.tickets.rows(
      `SELECT c.spec -> 'parameters' AS parameters FROM change c JOIN incident i ON i.change_id = c.id WHERE i.endpoint_id = $1`,
      [id],
    );
    expect(change?.parameters).toMatchObject({ assignments: ['lower'], rules: [testRuleId('one')] });
    const planned = async (parameters: object) => {
      const parsed = parseRemediationParameters(parameters);
      if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems));
      const { assignments } = parsed.value;
      const groups = await loadRemediationGroups(rig.tickets.workerPool, {
        endpointIds: [id],
        assignments,
        now: Date.now(),
      });
      const rules = await loadRemediableRules(
        rig.tickets.workerPool,
        groups.map((group) => group.checklist),
      );
      const { works } = planRemediation({
        groups,
        rules,
        offers: new Map(),
        brings: new Map(),
        parameters: parsed.value,
        unassigned: [],
      });
      return works.map((work) => work.idle ?? work.set.updates.map(({ name }) => name));
    };
    expect(await planned(change?.parameters)).toEqual([['one']]);
    expect(await planned({ rules: ['one'] })).toEqual([['one']]);
    expect(await planned({})).toEqual([['elsewhere']]);
    // Closed by hand, and it drifts again: the new incident has the change that is under way, and no second is made.
    await rig.tickets.rows(`UPDATE incident SET closed_at = now(), closed_by = 'x' WHERE endpoint_id = $1`, [id]);
    await rig.drift(id, 'one', ['fail', 'pass']);
    await rig.drift(id, 'one', ['pass', 'fail']);
    expect(
      await rig.tickets.rows(
        'SELECT count(*)::int AS incidents, count(DISTINCT change_id)::int AS changes FROM incident WHERE endpoint_id = $1 AND change_id IS NOT NULL',
        [id],
      ),
    ).toEqual([{ incidents: 2, changes: 1 }]);
  });
});

describe('an incident', () => {
  afterEach(noRules);
  const recipients = { role: 'Administrator' };
  const escalate = { afterMinutes: 10, to: { role: 'Manager' } };
  const eve = { kind: 'privilegedUser', action: 'added', name: 'eve' };
  const late = async (id: string) => {
    await rig.tickets.rows(`UPDATE incident SET escalate_at = now() - interval '1 second' WHERE endpoint_id = $1`, [
      id,
    ]);
    await rig.duty('notices');
  };

  it('is told with a link to the page where people look after it', async () => {
    await putRule('root', notices({ recipients }));
    const id = await rig.endpoint();
    await rig.notice(id, eve);
    expect((await mails(id))[0]?.text).toMatch(/\n\nhttps:\/\/ringmaster\.example\.test\/incidents\n$/);
  });

  it('that somebody has acknowledged is not escalated', async () => {
    await putRule('root', notices({ escalate }));
    const id = await rig.endpoint();
    await rig.notice(id, eve);
    const [incident] = await rig.tickets.rows('SELECT id FROM incident WHERE endpoint_id = $1', [id]);
    expect((await rig.tickets.api.call('POST', `/v1/incidents/${incident?.id}/acknowledge`)).status).toBe(200);
    await late(id);
    expect(await rig.tickets.rows('SELECT escalated_at FROM incident WHERE endpoint_id = $1', [id])).toEqual([
      { escalated_at: null },
    ]);
    expect(await mails(id)).toEqual([]);
  });

  it.each([
    ['is gone', () => noRules(), 'notice rule root is gone'],
    ['was edited', () => putRule('root', notices()), 'notice rule root escalates to nobody any more'],
  ])('whose notice rule %s is escalated to administrators, and that is on record', async (_, edit, reason) => {
    await putRule('root', notices({ escalate: { ...escalate, to: recipients } }));
    const id = await rig.endpoint();
    await rig.notice(id, eve);
    await edit();
    await late(id);
    expect((await mails(id)).map(({ recipient }) => recipient)).toContain('ada@example.test');
    expect(await audited(id)).toEqual([{ action: 'incident.escalatedToAdministrators', reason }]);
  });

  it('meant for people of whom none has an address is told to administrators, and that is on record', async () => {
    await putRule('root', notices({ recipients: { role: 'Manager' } }));
    const id = await rig.endpoint();
    await rig.notice(id, eve);
    expect((await mails(id)).map(({ recipient }) => recipient)).toContain('ada@example.test');
    expect(await audited(id)).toMatchObject([{ action: 'incident.toldAdministrators' }]);
  });
});

it('rules that no imported baseline has are refused, by field', async () => {
  const known = { rules: ['one', testRuleId('two'), 'tw*'], exclude: ['nothing-*'] };
  const change = (parameters: Record<string, unknown>) =>
    rig.tickets.api.call('POST', '/v1/changes', {
      body: changeSpec([ringSpec()], { kind: 'remediation', parameters }),
    });
  const wrong = await change({ rules: [...known.rules, 'typo'], exclude: [...known.exclude, 'misspelt'] });
  expect(wrong.status).toBe(400);
  const fields = (reply: typeof wrong) =>
    (reply.body.errors ?? []).map(({ field }: Json) => field).filter((field: string) => field.startsWith('parameters'));
  expect(fields(wrong)).toEqual(['parameters.rules[3]', 'parameters.exclude[1]']);
  expect(fields(await change(known))).toEqual([]);
  // `house` has no rule that only `other` has; `lower` is an assignment of `house`.
  expect(fields(await change({ assignments: ['lower', 'typo', 'higher', 'no'], rules: ['one'] }))).toEqual([
    'parameters.assignments[1]',
    'parameters.assignments[3]',
  ]);
  await rig.import('elsewhere', ['only-there']);
  expect(fields(await change({ rules: ['only-there'] }))).toEqual([]);
  expect(
    fields(await change({ assignments: ['lower'], rules: ['one', 'only-there'], exclude: ['only-there'] })),
  ).toEqual(['parameters.rules[1]']);
  const except = (rule: string) =>
    rig.tickets.api.call('POST', '/v1/exceptions', {
      body: {
        selector: { all: true },
        rule,
        reason: 'r',
        owner: requestedBy,
        expiresAt: new Date(rig.tickets.clock() + 60 * MINUTE).toISOString(),
      },
    });
  expect((await except('typo')).body.errors).toMatchObject([{ field: 'rule' }]);
  expect((await except('three')).status).toBe(201);
});

// Last: from here on `house` has another version.
describe('what people marked as wrong', () => {
  const path = (id: string, of: string) => `/v1/endpoints/${id}/assessments/${of}/false-positives`;
  const marks = (id: string) =>
    rig.tickets.rows(
      `SELECT c.name AS checklist, r.rule_id AS rule, f.reason, f.marked_by AS by, f.marked_at AS at
         FROM false_positive f JOIN checklist_rule r USING (checklist_id, position) JOIN checklist c ON c.id = f.checklist_id
         JOIN assessment_target t ON t.checklist_id = f.checklist_id AND t.endpoint_id = f.endpoint_id WHERE f.endpoint_id = $1 ORDER BY rule`,
      [id],
    );

  it('stays so by the next version, where the rule has another place; taken back, it is so by none', async () => {
    const id = await rig.endpoint({ role: 'web' });
    await rig.assess();
    for (const rule of ['two', 'three'])
      await rig.tickets.api.call('PUT', path(id, checklist), { body: { rule: testRuleId(rule), reason: 'misread' } });
    const before = await marks(id);
    await rig.import('house', ['zero', 'one', 'two', 'four']);
    const next = await rig.assign('lower');
    expect(next).not.toBe(checklist);
    await rig.assess();
    expect(await marks(id)).toEqual(
      before.filter(({ rule }) => rule === testRuleId('two')).map((mark) => ({ ...mark, checklist: next })),
    );
    const taken = await rig.tickets.api.call('DELETE', `${path(id, next)}/${testRuleId('two')}`);
    expect(taken.status).toBe(204);
    await rig.assign('lower', { version: 1 });
    await rig.assess();
    expect((await marks(id)).map(({ rule }) => rule)).toEqual([testRuleId('three')]);
  });
});
