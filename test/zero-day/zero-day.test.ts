/** From ids to a fleet that is proven fixed, with the whole system running. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { DAY } from '../../domain/time.js';
import { lookAt } from '../helpers/stack/look.js';
import { type Answer, NEW, OLD, type Stack, startStack } from '../helpers/stack.js';
import { describeWorkflow, putPolicy } from './rig.js';

let stack: Stack;
let see: ReturnType<typeof lookAt>;
beforeAll(async () => {
  stack = await startStack({
    packages: ['app', 'lib', 'tool'],
    hosts: ['a-1', 'a-2', 'b-1'].map((name) => ({ name, labels: { team: name[0] as string } })),
  });
  see = lookAt(stack);
  await stack.rows(`INSERT INTO source_fix (source, version, cves) VALUES ('lib', $1, '{CVE-2026-1000}')`, [NEW]);
}, 120_000);
afterAll(() => stack?.end(), 60_000);

const only = <T>(rows: readonly T[]): T => rows[0] as T;
const exposure = (id: string) => stack.api('GET', `/v1/zero-day/${id}/exposure`);
const isOver = (id: string) =>
  stack.waitFor('nobody is exposed any more', async () => {
    const { body } = await exposure(id);
    return body.items.length === 0 && body.endedAt !== null;
  });

describe('without any policy of its own', () => {
  test('the default asks two people’s leave and allows no override', async () => {
    const policy = await stack.api('GET', '/v1/expedite-policy');
    expect(policy.body).toMatchObject({ version: 0, createdBy: null, document: { override: null } });
    expect(policy.body.document.rings.map((ring: { approvals: unknown[] }) => ring.approvals.length)).toEqual([1, 1]);
    const reply = await stack.api('POST', '/v1/zero-day', {
      packages: ['app'],
      reason: 'a test',
      override: { hours: true },
    });
    expect([reply.status, reply.body.type, reply.body.detail]).toEqual([
      409,
      'urn:ringmaster:problem:override-not-allowed',
      'the expedite policy does not allow overriding hours of operation',
    ]);
  });

  test('ids that lead to no package are refused by name, all of them, and nothing starts', async () => {
    const reply = await stack.api('POST', '/v1/zero-day', {
      cves: ['CVE-2026-1000', 'CVE-2026-4040'],
      packages: ['app', 'nope', { name: 'lib', minVersion: '9' }],
      reason: 'a test',
    });
    expect(reply.status).toBe(422);
    expect(reply.body.errors.map((e: { field: string }) => e.field)).toEqual(['cves[1]', 'packages[1]', 'packages[2]']);
    expect(reply.body.detail).toMatch(/no verified index names a version that fixes CVE-2026-4040.*source nope.*lib/);
    expect(await stack.rows('SELECT id FROM change')).toEqual([]);
    expect(await stack.rows('SELECT id FROM zero_day')).toEqual([]);
  });
});

describe('under a policy that asks nobody', () => {
  test('a package in, every endpoint fixed, by queues of its own', async () => {
    await putPolicy(stack);
    const reply = await stack.api('POST', '/v1/zero-day', { packages: ['app'], reason: 'out in the wild' });
    expect(reply.status).toBe(201);
    expect(reply.body).toMatchObject({ exposed: 3, offered: 3, outOfScope: 0, having: 3, policyVersion: 1 });
    const { changeId } = reply.body;
    const { taskQueue, priority } = await describeWorkflow(stack, `change/${changeId}`);
    expect([taskQueue, priority?.priorityKey]).toEqual(['ringmaster-expedited', 1]);
    await see.hurry(changeId);
    await see.closed(changeId);
    expect(await see.outcome(changeId)).toBe('completed');
    for (const host of stack.hosts)
      expect([host.name, host.version('app'), host.version('lib')]).toEqual([host.name, NEW, OLD]);
    const ring = await describeWorkflow(stack, `change/${changeId}/ring/0`);
    expect([ring.taskQueue, ring.priority?.priorityKey]).toEqual(['ringmaster-expedited', 1]);
    await isOver(reply.body.id);
    const { body } = await stack.api('GET', `/v1/zero-day/${reply.body.id}`);
    expect(body).toMatchObject({
      name: 'Zero-day app',
      secondsLeft: null,
      overdue: false,
      counts: { exposed: 0, fixed: 3, meanSecondsToPatch: expect.any(Number) },
      standing: { counted: 0, byState: {}, nextSteps: [] },
      changes: [{ id: changeId, stage: 'closed', outcome: 'completed' }],
    });
    const fixed = await stack.api('GET', `/v1/zero-day/${reply.body.id}/exposure?show=fixed&limit=2`);
    expect(fixed.body.items).toMatchObject([
      { name: 'a-1', state: 'fixed', fixedAt: expect.any(String) },
      { name: 'a-2', state: 'fixed' },
    ]);
    expect(fixed.body.next).toEqual(expect.any(String));
  }, 90_000);

  test('a CVE and a scope: only what fixes it, only where asked for', async () => {
    const reply = await stack.api('POST', '/v1/zero-day', {
      cves: ['CVE-2026-1000'],
      reason: 'out in the wild',
      scope: { labels: { team: 'b' } },
    });
    expect(reply.status).toBe(201);
    expect(reply.body).toMatchObject({ exposed: 1, outOfScope: 2, name: 'Zero-day CVE-2026-1000' });
    await see.closed(reply.body.changeId);
    expect(stack.hosts.map((host) => [host.name, host.version('lib'), host.version('tool')])).toEqual([
      ['a-1', OLD, OLD],
      ['a-2', OLD, OLD],
      ['b-1', NEW, OLD],
    ]);
    const planned = await stack.rows('SELECT count(*)::int AS n FROM plan_endpoint WHERE change_id = $1', [
      reply.body.changeId,
    ]);
    expect(planned).toEqual([{ n: 1 }]);
    const { id } = reply.body;
    await stack.waitFor('b-1 is proven fixed', async () => (await exposure(id)).body.counts.fixed === 1);
    const { body } = await exposure(id);
    expect(body.secondsLeft).toBeGreaterThan(0);
    expect(body).toMatchObject({ endedAt: null, overdue: false, counts: { exposed: 2, fixed: 1 } });
    expect(body.items.map((one: { name: string; state: string }) => [one.name, one.state])).toEqual([
      ['a-1', 'outOfScope'],
      ['a-2', 'outOfScope'],
    ]);
  }, 90_000);

  test('what one change left behind, another one fixes, and then it is over', async () => {
    const { endpointId } = await stack.rows(`SELECT id AS "endpointId" FROM endpoint WHERE name = 'a-1'`).then(only);
    const held = await stack.api('PATCH', `/v1/endpoints/${endpointId}`, {
      hold: { until: new Date(Date.now() + 2 * DAY).toISOString(), reason: 'payroll runs' },
    });
    expect(held.status).toBe(200);
    const { body: started } = await stack.api('POST', '/v1/zero-day', { packages: ['tool'], reason: 'in the wild' });
    const path = `/v1/zero-day/${started.id}`;
    await see.hurry(started.changeId);
    await see.closed(started.changeId);
    await stack.waitFor('two are proven fixed', async () => (await exposure(started.id)).body.counts.fixed === 2);
    const left = await exposure(started.id);
    expect(left.body.items).toMatchObject([
      { name: 'a-1', state: 'waiting', code: 'hold', reason: expect.stringMatching(/on hold until .*payroll runs/) },
    ]);
    expect((await stack.api('GET', path)).body.standing).toMatchObject({
      byReason: { hold: 1 },
      nextSteps: [{ action: 'wait', endpoints: 1 }],
    });

    await stack.api('PATCH', `/v1/endpoints/${endpointId}`, { hold: null });
    expect((await stack.api('GET', path)).body.standing.nextSteps).toMatchObject([{ action: 'start', endpoints: 1 }]);
    const hours = await stack.api('POST', `${path}/start`, { reason: 'now', override: { hours: true } });
    expect([hours.status, hours.body.type]).toEqual([409, 'urn:ringmaster:problem:override-not-allowed']);
    // Two people at once: one change, and the other is told so.
    const both = await Promise.all(
      ['payroll is done', 'me too'].map((reason) => stack.api('POST', `${path}/start`, { reason })),
    );
    const [again, refused] = both.sort((a, b) => a.status - b.status) as [Answer, Answer];
    expect([refused.status, refused.body.detail]).toEqual([
      409,
      `change ${again.body.changeId} of it is still being prepared`,
    ]);
    expect([again.status, again.body.exposed, again.body.offered]).toEqual([201, 1, 1]);
    await see.closed(again.body.changeId);
    expect(stack.host('a-1').version('tool')).toBe(NEW);
    const planned = await stack.rows('SELECT endpoint_id FROM plan_endpoint WHERE change_id = $1', [
      again.body.changeId,
    ]);
    expect(planned).toEqual([{ endpoint_id: endpointId }]);
    await isOver(started.id);
    const nothing = await stack.api('POST', `${path}/start`, { reason: 'once more' });
    expect([nothing.status, nothing.body.changeId]).toEqual([200, null]);
    const unknown = await stack.api('POST', `/v1/zero-day/${endpointId}/start`, { reason: 'a slip' });
    expect(unknown.status).toBe(404);
  }, 90_000);

  test('one endpoint is patched by itself, with what was named and nothing else', async () => {
    const { id } = await stack.rows(`SELECT id FROM endpoint WHERE name = 'a-2'`).then(only);
    const reply = await stack.api('POST', `/v1/endpoints/${id}/patch`, {
      packages: ['lib'],
      reason: 'a customer waits',
    });
    expect([reply.status, reply.body.waitsFor]).toEqual([201, []]);
    await see.closed(reply.body.changeId);
    expect(await see.states(reply.body.changeId)).toEqual({ 'a-2': 'succeeded' });
    expect(stack.hosts.map((host) => host.version('lib'))).toEqual([OLD, NEW, NEW]);
    const { body } = await stack.api('GET', `/v1/endpoints/${id}/why`);
    expect(body).toMatchObject({ code: 'nothingMissing', change: { id: reply.body.changeId } });
  }, 90_000);

  test('nobody exposed: said so, with what is known, and watched', async () => {
    const reply = await stack.api('POST', '/v1/zero-day', {
      packages: [{ name: 'app', minVersion: NEW }],
      reason: 'again',
    });
    expect(reply.status).toBe(200);
    expect(reply.body).toMatchObject({ changeId: null, exposed: 0, having: 3 });
    expect(reply.body.note).toMatch(/^No endpoint in scope is exposed: 3 have it/);
  });
});
