/** From ids to a fleet that is proven fixed, with the whole system running. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { lookAt } from '../helpers/stack/look.js';
import { NEW, OLD, type Stack, startStack } from '../helpers/stack.js';
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
