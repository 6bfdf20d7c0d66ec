/** "Patch this one": which change it starts, and all that keeps it from starting one. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { DAY } from '../../domain/time.js';
import { approvalRule } from '../helpers/scripted-activities.js';
import { seedCatalogue } from '../helpers/stack/seed.js';
import { type Made, type OneEndpointRig, startOneEndpointRig } from './one-endpoint-rig.js';

let rig: OneEndpointRig;
beforeAll(async () => {
  rig = await startOneEndpointRig();
  const packages = ['openssl', 'zlib'].flatMap((name) => ['1', '2'].map((version) => ({ name, version })));
  await seedCatalogue({ pool: rig.db.pool, contentDir: rig.api.contentDirectory, packages });
}, 60_000);
afterAll(() => rig?.end());

const patch = (one: { readonly id: string }, body: object = {}) =>
  rig.api.call('POST', `/v1/endpoints/${one.id}/patch`, { body: { reason: 'a customer waits', ...body } });
const changes = async () => (await rig.db.pool.query('SELECT count(*)::int AS n FROM change')).rows[0].n as number;

test('starts a change over this one alone, with the approvals its policy asks for, and says what it waits for', async () => {
  const rule = approvalRule({ from: { accounts: [rig.grace] }, escalateTo: { accounts: [rig.ada] } });
  await rig.putPolicy('asked', { freezeCalendars: ['year-end'], patchApprovals: [rule] });
  const one = await rig.endpoint({ policy: 'asked', updates: ['openssl', 'zlib'] });
  const reply = await patch(one, { packages: ['zlib'] });
  expect([reply.status, reply.body]).toEqual([
    201,
    {
      changeId: expect.any(String),
      name: `Patch ${one.name}`,
      policy: 'asked',
      approvals: 1,
      waitsFor: [
        expect.stringMatching(/^it is frozen until .*year-end$/),
        expect.stringMatching(/^its hours of operation/),
      ],
    },
  ]);
  expect(reply.headers.get('location')).toBe(`/v1/changes/${reply.body.changeId}`);
  const { body } = await rig.api.call('GET', `/v1/changes/${reply.body.changeId}`);
  expect(body).toMatchObject({ kind: 'patch', priority: 0, stage: 'requested' });
  expect(body.spec).toMatchObject({
    scope: { ids: [one.id] },
    reason: 'a customer waits',
    parameters: { include: { sources: ['zlib'] } },
    rings: [{ approvals: [rule], maxInFlight: 1, errorBudget: { count: 0 } }],
  });
  expect(body.spec.override).toBeUndefined();
  const audit = await rig.api.call('GET', `/v1/audit?subject=endpoint/${one.id}`);
  expect(audit.body.items).toMatchObject([
    { action: 'endpoint.patchRequested', detail: { changeId: reply.body.changeId, packages: ['zlib'] } },
  ]);
  const started = await rig.db.pool.query(`SELECT topic FROM outbox WHERE workflow_id = $1`, [
    `change/${reply.body.changeId}`,
  ]);
  expect(started.rows).toEqual([{ topic: 'startChange' }]);
});

test('without packages it is everything that is missing', async () => {
  const one = await rig.endpoint();
  const reply = await patch(one);
  expect(reply.body).toMatchObject({ approvals: 0, waitsFor: [] });
  const { body } = await rig.api.call('GET', `/v1/changes/${reply.body.changeId}`);
  expect(body.spec.parameters).toEqual({ include: 'all' });
});

test.each<[string, () => Promise<Made>, number, string, RegExp]>([
  [
    'without a policy',
    () => rig.endpoint({ policy: null }),
    409,
    'not-patchable',
    /it gets no change: no policy set applies/,
  ],
  [
    'whose policy never opens',
    () => rig.endpoint({ policy: 'short' }),
    409,
    'not-patchable',
    /short never opens for it/,
  ],
  [
    'enrolled for scans only',
    async () => {
      const one = await rig.endpoint();
      await rig.set(one.id, 'scan_only = true');
      return one;
    },
    409,
    'not-patchable',
    /scanned only/,
  ],
  [
    'that is quarantined',
    async () => {
      const one = await rig.endpoint();
      await rig.set(one.id, `state = 'quarantined', state_reason = 'cloned'`);
      return one;
    },
    409,
    'not-patchable',
    /quarantined: cloned/,
  ],
  [
    'that is retired',
    async () => {
      const one = await rig.endpoint();
      await rig.set(one.id, `state = 'retired', state_reason = 'sold'`);
      return one;
    },
    409,
    'not-patchable',
    /retired: sold/,
  ],
  ['that misses nothing', () => rig.endpoint({ updates: [] }), 409, 'nothing-to-patch', /is missing nothing/],
  [
    'all of whose updates are excepted',
    async () => {
      const one = await rig.endpoint();
      const body = {
        selector: { names: [one.name] },
        package: 'openssl',
        reason: 'breaks the shop',
        owner: rig.grace,
        expiresAt: new Date(Date.now() + DAY).toISOString(),
      };
      expect((await rig.api.call('POST', '/v1/exceptions', { body })).status).toBe(201);
      return one;
    },
    409,
    'nothing-to-patch',
    /is excepted/,
  ],
])('an endpoint %s is refused, and nothing starts', async (_, make, status, type, detail) => {
  const one = await make();
  const before = await changes();
  const reply = await patch(one);
  expect([reply.status, reply.body.type, reply.body.detail]).toEqual([
    status,
    `urn:ringmaster:problem:${type}`,
    expect.stringMatching(detail),
  ]);
  expect(await changes()).toBe(before);
});

test('ids that lead to no package, or to nothing there, are refused by name', async () => {
  const one = await rig.endpoint();
  const before = await changes();
  const unknown = await patch(one, { packages: ['openssl', 'nope'], cves: ['CVE-2026-4040'] });
  expect([unknown.status, unknown.body.errors.map((e: { field: string }) => e.field)]).toEqual([
    422,
    ['cves[0]', 'packages[1]'],
  ]);
  expect(unknown.body.detail).toMatch(/CVE-2026-4040.*no verified index names a package or source nope/);
  const idle = await patch(one, { packages: ['openssl', 'zlib'] });
  expect([idle.status, idle.body.errors]).toEqual([
    409,
    [{ field: 'packages[1]', in: 'body', reason: `${one.name} has nothing to replace for zlib` }],
  ]);
  expect((await patch({ id: randomUUID() })).status).toBe(404);
  expect((await patch(one, { package: 'zlib' })).status).toBe(400);
  expect(await changes()).toBe(before);
});

test('a policy can’t ask somebody who does not exist', async () => {
  const rule = approvalRule({ from: { accounts: [randomUUID()] }, escalateTo: { accounts: [rig.ada] } });
  await expect(rig.putPolicy('ghost', { patchApprovals: [rule] })).rejects.toThrow(
    /document.patchApprovals\[0\].from.accounts.*no such account/,
  );
});
