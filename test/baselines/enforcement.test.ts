/** A baseline from observed to enforced: what each mode does by itself, how a trial compares, and what marks of false positives change. */
import { afterAll, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import type { KindPlan } from '../../activities/kinds/change-kind.js';
import { queueReverts } from '../../db/orders/rollback.js';
import { inTransaction } from '../../db/pool.js';
import * as stagesDb from '../../db/stages.js';
import { MINUTE } from '../../domain/time.js';
import { CHANGE_KINDS } from '../../worker/activities.js';
import type { Json } from '../helpers/agent-client.js';
import { testAssignment, testRuleId } from '../helpers/data-stream.js';
import { ringSpec } from '../helpers/scripted-activities.js';
import { seedAccount } from '../helpers/seed-change.js';
import { BaselineRig, type Results } from './rig.js';

jest.setTimeout(60_000);

const BAD: Results = { one: 'fail', two: 'fail', three: 'pass' };
const GOOD: Results = { one: 'pass', two: 'pass', three: 'pass' };
const enforcement = {
  rings: [ringSpec({ name: 'all', deadlineMinutes: 300 })],
  deadlineMinutes: 600,
  everyMinutes: 60,
};
let rig: BaselineRig;
let requestedBy: string;
let checklist: string;
let site = 0;
beforeAll(async () => {
  rig = await BaselineRig.start(['one', 'two', 'three']);
  requestedBy = (await seedAccount(rig.tickets.db.pool, { name: 'Requester' })).id;
});
afterAll(() => rig?.stop());

/** Each test has endpoints of its own: a site. */
let labels: Record<string, string>;
let name: string;
beforeEach(() => {
  site += 1;
  labels = { site: `s${site}` };
  name = `house-${site}`;
});
const assign = async (over: object) => {
  checklist = await rig.assign(name, { appliesTo: { labels }, ...over });
};
const measured = async (results: Results, more: Record<string, string> = {}): Promise<string> => {
  const id = await rig.endpoint({ ...labels, ...more });
  await rig.measure(id, results);
  return id;
};
const made = async (): Promise<Json[]> => {
  await rig.duty('enforcement');
  return rig.tickets.rows(
    `SELECT id, kind, spec, requested_by, closed_at FROM change WHERE name = $1 ORDER BY requested_at`,
    [`enforce ${name}`],
  );
};
/** What a change would do on these endpoints: rules by endpoint, or why none. */
const planOf = async (
  change: Json,
  endpointIds: readonly string[],
): Promise<Record<string, string[] | string | null>> => {
  const kind = CHANGE_KINDS.get(change.kind);
  const parameters = kind?.parse(change.spec.parameters);
  if (kind === undefined || parameters?.ok !== true) throw new Error('nobody can carry it out');
  const context = {
    db: stagesDb,
    client: rig.tickets.workerPool,
    changeId: change.id,
    parameters: parameters.value,
    now: rig.tickets.clock(),
    once: <T>(_: readonly string[], read: () => Promise<T>) => read(),
  };
  const { works }: KindPlan = await kind.plan(context, endpointIds);
  return Object.fromEntries(
    works.flatMap(({ endpointIds: ids, idle, set }) =>
      ids.map((id) => [id, idle ?? set.updates.map((one) => one.name)]),
    ),
  );
};
const mark = async (id: string, rule: string) => {
  const path = `/v1/endpoints/${id}/assessments/${checklist}/false-positives`;
  const body = { rule: testRuleId(rule), reason: 'the scanner misreads it' };
  expect((await rig.tickets.api.call('PUT', path, { body })).status).toBe(204);
};
const unmark = async (id: string, rule: string) =>
  (
    await rig.tickets.api.call(
      'DELETE',
      `/v1/endpoints/${id}/assessments/${checklist}/false-positives/${testRuleId(rule)}`,
    )
  ).status;

describe('a drifted rule', () => {
  it.each(['observe', 'propose'])('in mode %s makes no change', async (mode) => {
    await assign({ mode });
    await measured(BAD);
    expect(await made()).toEqual([]);
  });

  it('in mode enforce makes one change of its own; the next after that is closed and its pause is over', async () => {
    await assign({ mode: 'enforce', enforcement });
    const id = await measured(GOOD);
    expect(await made()).toEqual([]);
    await rig.measureAgain(id, BAD);
    const [change, ...more] = await made();
    expect(more).toEqual([]);
    expect(change).toMatchObject({ kind: 'remediation', requested_by: `baseline-assignment/${name}` });
    expect(await planOf(change as Json, [id])).toEqual({ [id]: ['one', 'two'] });
    const { body } = await rig.tickets.api.call('GET', `/v1/changes/${change?.id}`);
    expect(body).toMatchObject({ kind: 'remediation', spec: { reason: expect.stringContaining(name) } });

    rig.tickets.skip(61 * MINUTE);
    expect(await made()).toHaveLength(1);
    await rig.tickets.close(change?.id, 'completedWithFailures');
    expect(await made()).toHaveLength(2);
    await rig.tickets.rows('UPDATE change SET closed_at = now() WHERE name = $1', [`enforce ${name}`]);
    expect(await made()).toHaveLength(2);
  });

  it('of a trial in mode enforce is put right in the trial alone', async () => {
    await assign({
      mode: 'observe',
      enforcement,
      trial: { mode: 'enforce', appliesTo: { labels: { canary: 'yes' } } },
    });
    const rest = await measured(BAD);
    expect(await made()).toEqual([]);
    const canary = await measured(BAD, { canary: 'yes' });
    const [change] = await made();
    expect(await planOf(change as Json, [canary, rest])).toEqual({
      [canary]: ['one', 'two'],
      [rest]: `baseline ${name} is not enforced here`,
    });
  });

  it('that is excepted or marked as wrong makes none, until it counts again', async () => {
    await assign({ mode: 'enforce', enforcement });
    const id = await measured(BAD);
    await rig.tickets.rows(
      `INSERT INTO exception (id, selector, rule, reason, owner, approved_by, created_at, expires_at)
       VALUES (gen_random_uuid(), $1, 'two', 'r', $2, 'x', now(), now() + interval '30 days')`,
      [JSON.stringify({ ids: [id] }), requestedBy],
    );
    await mark(id, 'one');
    expect(await made()).toEqual([]);
    expect(await unmark(id, 'one')).toBe(204);
    expect(await unmark(id, 'one')).toBe(404);
    const [change] = await made();
    expect(await planOf(change as Json, [id])).toEqual({ [id]: ['one'] });
    await rig.tickets.rows(`UPDATE exception SET revoked_at = now(), revoked_by = 'x'`);
  });
});

it.each<[string, object, string]>([
  [
    'a deadline of a ring that is later than the change’s',
    { deadlineMinutes: 60 },
    'enforcement.rings[0].deadlineMinutes',
  ],
  [
    'a group nobody knows',
    { rings: [ringSpec({ name: 'all', deadlineMinutes: 300, select: { groups: ['nobody'] } })] },
    'enforcement.rings[0].select.groups[0]',
  ],
])('%s is refused with the assignment, not found by the change it would make', async (_, over, field) => {
  const body = testAssignment({ mode: 'enforce' });
  const reply = await rig.tickets.api.call('PUT', '/v1/baseline-assignments/bad', {
    body: { ...body, enforcement: { ...enforcement, ...over } },
  });
  expect([reply.status, reply.body.errors?.[0]?.field]).toEqual([400, field]);
});

describe('two people who edit one assignment', () => {
  const path = () => `/v1/baseline-assignments/${name}`;
  const put = async (precedence: number, tag: string) =>
    (
      await rig.tickets.api.call('PUT', path(), {
        body: testAssignment({ mode: 'observe', appliesTo: { labels }, precedence }),
        headers: { 'if-match': tag },
      })
    ).status;

  it('do not undo each other’s work: the one who looked before the other wrote is refused', async () => {
    await assign({ mode: 'observe' });
    const tag = (await rig.tickets.api.call('GET', path())).headers.get('etag') as string;
    const statuses = await Promise.all([put(2, tag), put(3, tag), put(4, tag)]);
    expect(statuses.toSorted()).toEqual([200, 412, 412]);
    const now = await rig.tickets.api.call('GET', path());
    expect(now.body.precedence).toBe([2, 3, 4][statuses.indexOf(200)]);
    expect(await put(5, now.headers.get('etag') as string)).toBe(200);
    expect((await rig.tickets.api.call('DELETE', path(), { headers: { 'if-match': tag } })).status).toBe(412);
  });
});

describe('before a trial is widened', () => {
  const trial = async () => (await rig.tickets.api.call('GET', `/v1/baseline-assignments/${name}/trial`)).body;

  it('its failures, reverts and false positives are compared with the rest', async () => {
    await assign({ mode: 'observe', trial: { mode: 'propose', appliesTo: { labels: { canary: 'yes' } } } });
    const canaries = [];
    for (const results of [GOOD, GOOD, BAD, BAD]) canaries.push(await measured(results, { canary: 'yes' }));
    await measured(GOOD);
    await measured({ ...BAD, three: 'fail' });
    const none = { succeeded: 0, reverted: 0, failed: 0, falsePositives: 0, waiting: 0, atWork: 0, fixable: true };
    const rest = { endpoints: 2, measured: 2, compliant: 1, failing: 3, ...none };
    expect(await trial()).toEqual({
      trial: { endpoints: 4, measured: 4, compliant: 2, failing: 4, ...none },
      rest,
      since: expect.any(String),
      unfinished: expect.stringContaining('no remediation has ended on the trial yet'),
    });
    const change = { endpoints: canaries, checklist, rules: ['one', 'two'], requestedBy };
    const changeId = await rig.remediation(change);
    for (const [n, state] of ['succeeded', 'succeeded', 'reverted', 'failed'].entries())
      await rig.carryOut(changeId, canaries[n] as string, state);
    await mark(canaries[2] as string, 'one');
    expect(await trial()).toMatchObject({
      trial: { endpoints: 4, compliant: 2, failing: 3, succeeded: 2, reverted: 1, failed: 1, falsePositives: 1 },
      rest,
      unfinished: null,
    });
  });

  const put = async (over: object, token?: string) => {
    const body = testAssignment({ appliesTo: { labels }, override: undefined, ...over });
    const reply = await rig.tickets.api.call('PUT', `/v1/baseline-assignments/${name}`, {
      body,
      ...(token === undefined ? {} : { token }),
    });
    await rig.assess();
    return [reply.status, reply.body.detail ?? reply.body.mode];
  };
  const audited = async (action: string) =>
    (await rig.tickets.api.call('GET', `/v1/audit?action=${action}`)).body.items
      .filter((one: Json) => one.subject === `baseline-assignment/${name}`)
      .map((one: Json) => one.detail);
  const canaries = { mode: 'propose', appliesTo: { labels: { canary: 'yes' } } };

  it('it has to be over: until then 409 says what to do, and nothing has changed', async () => {
    expect(await put({ mode: 'propose' })).toEqual([
      409,
      expect.stringMatching(/^mode propose for all has not been tried on a subset: .*An administrator may/),
    ]);
    checklist = await rig.assign(name, { appliesTo: { labels }, mode: 'observe', trial: canaries });
    const widen = () => put({ mode: 'propose' });
    expect(await widen()).toEqual([409, expect.stringContaining('nobody is on trial')]);
    const [canary, other] = [await measured(BAD, { canary: 'yes' }), await measured(BAD)];
    expect(await widen()).toEqual([409, expect.stringContaining('no remediation has ended on the trial yet')]);
    const change = { endpoints: [canary, other], checklist, rules: ['one', 'two'], requestedBy };
    const changeId = await rig.remediation(change);
    // What the rest did is no trial.
    await rig.carryOut(changeId, other, 'succeeded');
    expect(await widen()).toEqual([409, expect.stringContaining('no remediation has ended on the trial yet')]);
    await rig.carryOut(changeId, canary, 'succeeded');
    expect(await put({ mode: 'enforce', enforcement })).toEqual([409, expect.stringContaining('mode enforce has not')]);
    expect(await widen()).toEqual([200, 'propose']);
    expect(await audited('baseline.widened')).toMatchObject([
      { from: 'observe', to: 'propose', trial: { succeeded: 1, reverted: 0 }, rest: { succeeded: 1 } },
    ]);
    expect(await audited('baseline.trialOverridden')).toEqual([]);
  });

  it('what was rolled back afterwards has not stayed: it counts by its rollback, and widens nothing', async () => {
    checklist = await rig.assign(name, { appliesTo: { labels }, mode: 'observe', trial: canaries });
    const canary = await measured(BAD, { canary: 'yes' });
    await measured(BAD);
    const changeId = await rig.remediation({ endpoints: [canary], checklist, rules: ['one'], requestedBy });
    const orderId = await rig.carryOut(changeId, canary, 'succeeded');
    expect(await trial()).toMatchObject({ trial: { succeeded: 1, atWork: 0 }, unfinished: null });
    await inTransaction(rig.tickets.workerPool, (client) =>
      queueReverts(client, { changeId, ring: 0, now: rig.tickets.clock() }),
    );
    const back = async (state: string, phase = 'done') => {
      const [row] = await rig.tickets.rows(
        'UPDATE order_state SET state = $2, phase = $3, settled_at = $4 WHERE reverts = $1 RETURNING id',
        [orderId, state, phase, phase === 'done' ? new Date(rig.tickets.clock()) : null],
      );
      expect(row).toBeDefined();
      const { succeeded, reverted, failed, atWork } = (await trial()).trial;
      return { succeeded, reverted, failed, atWork };
    };
    const none = { succeeded: 0, reverted: 0, failed: 0, atWork: 0 };
    expect(await back('pending', 'waiting')).toEqual({ ...none, atWork: 1 });
    expect(await back('reverting', 'holding')).toEqual({ ...none, atWork: 1 });
    expect(await put({ mode: 'propose' })).toEqual([409, expect.stringContaining('still at work on the trial (1)')]);
    expect(await back('stalled', 'holding')).toEqual({ ...none, failed: 1 });
    expect(await back('revertFailed')).toEqual({ ...none, failed: 1 });
    // Taken back before it began: what was done is still done.
    expect(await back('withdrawn')).toEqual({ ...none, succeeded: 1 });
    expect(await back('reverted')).toEqual({ ...none, reverted: 1 });
    expect(await put({ mode: 'propose' })).toEqual([
      409,
      expect.stringContaining('none of the 1 remediations on the trial stayed'),
    ]);
  });

  it.each<[string, object, boolean]>([
    ['with the trial kept', canaries, true],
    ['to less than the trial has', { ...canaries, mode: 'enforce' }, false],
  ])('widening %s is on record with its figures', async (_, on, kept) => {
    checklist = await rig.assign(name, {
      ...{ appliesTo: { labels }, mode: 'observe', trial: on },
      ...(kept ? {} : { enforcement }),
    });
    const canary = await measured(BAD, { canary: 'yes' });
    await measured(BAD);
    const changeId = await rig.remediation({ endpoints: [canary], checklist, rules: ['one'], requestedBy });
    await rig.carryOut(changeId, canary, 'succeeded');
    expect(await put({ mode: 'propose', ...(kept ? { trial: on } : {}) })).toEqual([200, 'propose']);
    expect(await audited('baseline.widened')).toMatchObject([
      { from: 'observe', to: 'propose', trial: { succeeded: 1 } },
    ]);
    // What raises nobody is no widening.
    expect(await put({ mode: 'propose' })).toEqual([200, 'propose']);
    expect(await audited('baseline.widened')).toHaveLength(1);
  });

  it('a group that is edited widens it as little: 409, or an administrator says why, on record', async () => {
    const group = (which: string) => `/v1/groups/${which}-${name}`;
    const edit = async (which: string, selector: object, more: object = {}) => {
      const reply = await rig.tickets.api.call('PUT', group(which), { body: { selector, ...more } });
      return [reply.status, reply.body.detail ?? reply.body.selector];
    };
    await edit('inner', { labels: { ...labels, canary: 'yes' } });
    await edit('outer', { groups: [`inner-${name}`] });
    const trialOf = { mode: 'propose', appliesTo: { groups: [`outer-${name}`] } };
    checklist = await rig.assign(name, { appliesTo: { labels }, mode: 'observe', trial: trialOf });
    const canary = await measured(BAD, { canary: 'yes' });
    const rest = await measured(BAD);
    const all = { all: true };
    for (const which of ['inner', 'outer'])
      expect(await edit(which, all)).toEqual([
        409,
        expect.stringMatching(
          new RegExp(`^baseline assignment ${name}: the trial is every endpoint .*An administrator`),
        ),
      ]);
    const modes = async () =>
      rig.tickets.rows(
        'SELECT endpoint_id AS id, mode FROM assessment_target WHERE endpoint_id = ANY ($1) ORDER BY mode',
        [[canary, rest]],
      );
    await rig.assess();
    const before = [
      { id: rest, mode: 'observe' },
      { id: canary, mode: 'propose' },
    ];
    expect(await modes()).toEqual(before);
    // Narrower is free, and so is another subset.
    expect((await edit('inner', { ids: [canary] }))[0]).toBe(200);
    const override = { reason: 'all of them are canaries' };
    expect(await edit('inner', all, { override })).toEqual([200, all]);
    expect(await audited('baseline.trialOverridden')).toMatchObject([
      { reason: override.reason, group: `inner-${name}`, insteadOf: expect.stringContaining('every endpoint') },
    ]);
    const manager = await seedAccount(rig.tickets.db.pool, { name: `Editor ${name}`, roles: ['Manager'] });
    const made = await rig.tickets.api.call('POST', `/v1/accounts/${manager.id}/tokens`, {
      body: { name: 'of an editor', role: 'Manager', expiresInSeconds: null },
    });
    const refused = await rig.tickets.api.call('PUT', group('inner'), {
      body: { selector: all, override },
      token: made.body.token,
    });
    expect(refused.status).toBe(403);
    const used = await rig.tickets.api.call('DELETE', group('outer'));
    expect([used.status, used.body.detail]).toEqual([409, `the group is used by baseline assignment ${name}`]);
  });

  it('what ended before it began says nothing of it', async () => {
    await assign({ mode: 'observe' });
    const canary = await measured(BAD, { canary: 'yes' });
    const changeId = await rig.remediation({ endpoints: [canary], checklist, rules: ['one'], requestedBy });
    await rig.carryOut(changeId, canary, 'succeeded');
    rig.tickets.skip(MINUTE);
    await measured(BAD);
    await put({ mode: 'observe', trial: canaries });
    expect(await trial()).toMatchObject({
      trial: { succeeded: 0 },
      unfinished: expect.stringContaining('no remediation'),
    });
  });

  it('an administrator with a name may override it, with a reason that is on record; nobody else may', async () => {
    const manager = await seedAccount(rig.tickets.db.pool, { name: `Manager ${name}`, roles: ['Manager'] });
    const made = await rig.tickets.api.call('POST', `/v1/accounts/${manager.id}/tokens`, {
      body: { name: 'of a manager', role: 'Manager', expiresInSeconds: null },
    });
    const override = { reason: 'the auditor comes tomorrow' };
    const raise = { mode: 'enforce', enforcement, override };
    expect(await put(raise, made.body.token)).toEqual([403, expect.stringContaining('role Administrator')]);
    expect(await put({ ...raise, override: { reason: ' ' } })).toEqual([
      400,
      expect.stringContaining('override.reason'),
    ]);
    expect(await put(raise)).toEqual([200, 'enforce']);
    expect(await audited('baseline.trialOverridden')).toMatchObject([
      { to: 'enforce', reason: override.reason, insteadOf: expect.stringContaining('not been tried on a subset') },
    ]);
    // Where nothing is overridden nothing is recorded as if.
    expect(await put({ mode: 'propose', override })).toEqual([200, 'propose']);
    expect(await audited('baseline.trialOverridden')).toHaveLength(1);
  });

  it('widened, both sides are one', async () => {
    await assign({ mode: 'observe', trial: { mode: 'propose', appliesTo: { labels: { canary: 'yes' } } } });
    await measured(GOOD, { canary: 'yes' });
    await measured(BAD);
    await assign({ mode: 'propose' });
    await rig.assess();
    expect(await trial()).toMatchObject({ trial: { endpoints: 0 }, rest: { endpoints: 2, compliant: 1, failing: 2 } });
  });
});

describe('a finding marked as wrong', () => {
  const of = async (path: string) => (await rig.tickets.api.call('GET', path)).body.items;

  it('counts nowhere, is shown with who says so, and counts again when the mark is taken back', async () => {
    // A checklist of its own: fleet-wide figures are by checklist.
    await assign({ mode: 'propose', select: { [testRuleId('three')]: false } });
    const [a, b] = [await measured({ one: 'fail', two: 'pass' }), await measured({ one: 'fail', two: 'error' })];
    const counted = async () => {
      const [fleet] = (await of('/v1/compliance')).filter((one: Json) => one.checklist === checklist);
      const [mine] = await of(`/v1/endpoints/${a}/assessments`);
      const [one, two] = await of(`/v1/compliance/${checklist}/rules`);
      const { compliant, results } = fleet;
      return {
        fleet: [compliant, results.fail, results.error, results.falsePositives],
        endpoint: [mine.pass, mine.fail, mine.falsePositives],
        rules: [one.fail, one.pass, two.error],
      };
    };
    const before = { fleet: [0, 2, 1, 0], endpoint: [1, 1, 0], rules: [2, 0, 1] };
    expect(await counted()).toEqual(before);
    await mark(a, 'one');
    await mark(b, 'two');
    expect(await counted()).toEqual({ fleet: [1, 1, 0, 2], endpoint: [1, 0, 1], rules: [1, 0, 0] });
    expect((await of(`/v1/endpoints/${a}/assessments/${checklist}`))[0]).toMatchObject({
      name: 'one',
      result: 'fail',
      falsePositive: { reason: 'the scanner misreads it', by: expect.any(String) },
    });
    const change = {
      id: '00000000-0000-4000-8000-000000000000',
      kind: 'remediation',
      spec: { parameters: { assignments: [name] } },
    };
    expect(await planOf(change, [a, b])).toEqual({ [a]: 'no failing rule can be put right', [b]: ['one'] });
    // It passes now: the mark hides nothing.
    await rig.measureAgain(a, { one: 'pass', two: 'pass' });
    expect(await counted()).toEqual({ fleet: [1, 1, 0, 1], endpoint: [2, 0, 0], rules: [1, 1, 0] });
    await rig.measureAgain(a, { one: 'fail', two: 'pass' });
    await unmark(a, 'one');
    await unmark(b, 'two');
    expect(await counted()).toEqual(before);
  });
});
