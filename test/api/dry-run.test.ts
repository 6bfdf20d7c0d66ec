/** The dry run tells of updates that nothing takes back what the freeze would do with them (design §5). */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { approvalRule } from '../helpers/scripted-activities.js';
import { seedCatalogue } from '../helpers/stack/seed.js';
import { ringOf } from '../helpers/stack.js';
import { type Made, type OneEndpointRig, startOneEndpointRig } from './one-endpoint-rig.js';

const KERNEL = 'linux-image-6.1.0-28-amd64';
let rig: OneEndpointRig;
let bare: Made;
let snapped: Made;
beforeAll(async () => {
  rig = await startOneEndpointRig();
  const packages = ['openssl', KERNEL].flatMap((name) => ['1', '2'].map((version) => ({ name, version })));
  await seedCatalogue({ pool: rig.db.pool, contentDir: rig.api.contentDirectory, packages });
  const hooks = [{ name: 'snapshot-lvm', when: 'before', onFailure: 'fail', timeoutSeconds: 60 }];
  await rig.putPolicy('snapped', { hooks });
  bare = await rig.endpoint({ updates: ['openssl', KERNEL] });
  snapped = await rig.endpoint({ policy: 'snapped', updates: ['openssl', KERNEL] });
}, 60_000);
afterAll(() => rig?.end());

async function plan(approvals: readonly object[]) {
  const reply = await rig.api.call('POST', '/v1/changes/plan', {
    body: {
      kind: 'patch',
      name: 'November',
      reason: 'monthly',
      scope: { all: true },
      rings: [{ ...ringOf(), approvals }],
      priority: 0,
      deadlineMinutes: 600,
      offlineAfterMinutes: 60,
      parameters: {},
    },
  });
  expect([reply.status, reply.body]).toEqual([200, expect.anything()]);
  return reply.body;
}

test('where nobody is asked and no snapshot is taken, they are left out, by name', async () => {
  const planned = await plan([]);
  expect(planned.withheld).toEqual([
    {
      reason: expect.stringMatching(
        new RegExp(`^${KERNEL}: a kernel: .*needs the hook “snapshot” in its policy, or approvals`),
      ),
      endpoints: 1,
      names: [bare.name],
    },
  ]);
  expect(planned.updates).toMatchObject({ included: 3, deferred: 1 });
  expect(planned.rings[0]).toMatchObject({ endpoints: 2, withoutWayBack: 0 });
});

test('where people are asked they stay, and two of them are needed', async () => {
  const planned = await plan([approvalRule({ from: { accounts: [rig.ada] }, escalateTo: { accounts: [rig.grace] } })]);
  expect(planned.withheld).toEqual([]);
  expect(planned.updates).toMatchObject({ included: 4, deferred: 0 });
  expect(planned.rings[0]).toMatchObject({ endpoints: 2, withoutWayBack: 1 });
  expect(planned.notes).toContainEqual(
    'ring 0 (all): 1 endpoints get updates that nothing takes back, without a snapshot, so two people have to approve',
  );
});

test('where a snapshot is taken first they are as any other', async () => {
  await rig.set(bare.id, `hold_until = now() + interval '30 days', hold_reason = 'test'`);
  const planned = await plan([]);
  expect(planned).toMatchObject({
    endpoints: 1,
    withheld: [],
    updates: { included: 2 },
    rings: [{ withoutWayBack: 0 }],
  });
  expect(planned.excluded).toMatchObject([{ names: [bare.name] }]);
  expect(snapped.name).not.toBe(bare.name);
});
