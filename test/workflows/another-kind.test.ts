/** The runbook over a kind it knows nothing of, whole: real workflows, rows and rings; agents in process that say they touched a file. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { TestWorkflowEnvironment } from '@temporalio/testing';
import type { Activities } from '../../activities/contract.js';
import { changeKinds } from '../../activities/kinds/change-kind.js';
import { createRingActivities } from '../../activities/rings.js';
import { createStageActivities } from '../../activities/stages.js';
import { createListener, type Listener } from '../../db/listen.js';
import * as orders from '../../db/orders/index.js';
import { documentsFor } from '../../db/plan/documents.js';
import * as stages from '../../db/stages.js';
import { MINUTE } from '../../domain/time.js';
import { changeWorkflowId, TASK_QUEUE } from '../../workflows/ids.js';
import { createDatabase, type TestDatabase } from '../helpers/postgres.js';
import { changeSpec, ringSpec } from '../helpers/scripted-activities.js';
import { seedPolicy } from '../helpers/seed-change.js';
import { startDevServer, type TestTemporal } from '../helpers/temporal.js';
import { touchKind } from '../helpers/touch-kind.js';
import { bundleFromSources, withWorker } from '../helpers/workflow-rig.js';
import { TestAgent } from '../orders/agent.js';
import { addEndpoints, readOrder, testSigner } from '../orders/fleet.js';
import { fakeContent } from '../stages/fleet.js';

let db: TestDatabase;
let temporal: TestTemporal;
let env: TestWorkflowEnvironment;
let bundle: { code: string };
let listener: Listener;
beforeAll(async () => {
  [db, temporal, bundle] = await Promise.all([createDatabase(), startDevServer(), bundleFromSources()]);
  env = await TestWorkflowEnvironment.createFromExistingServer({ address: temporal.address });
  listener = createListener({ url: db.url, channels: ['rm_orders'], log: { warn: () => {} } });
});
afterAll(async () => {
  await listener?.close();
  await env?.teardown();
  await temporal?.stop();
  await db?.drop();
});

/** A complete scan of each; with the marker where it has been touched. */
async function scan(endpointIds: readonly string[], marker: string | null): Promise<void> {
  await db.pool.query(
    `WITH scanned AS (
       INSERT INTO scan (id, endpoint_id, started_at, received_at, complete, provider)
       SELECT gen_random_uuid(), id, clock_timestamp(), clock_timestamp(), true, 'touch' FROM unnest($1::uuid[]) AS id
       RETURNING id, endpoint_id)
     INSERT INTO installed_package (endpoint_id, name, arch, version, source, source_version, scan_id)
     SELECT endpoint_id, $2, 'all', '1', $2, '1', id FROM scanned WHERE $2::text IS NOT NULL`,
    [endpointIds, marker],
  );
}

/** What each endpoint does until told to stop: stages ahead, touches, and is scanned when somebody asks. */
function working(endpointIds: readonly string[]): () => Promise<void> {
  const agents = endpointIds.map((id) => new TestAgent(db.pool, id));
  let stopped = false;
  const done = (async () => {
    while (!stopped) {
      for (const agent of agents) {
        await agent.run(Date.now());
        for (const [id, { order }] of agent.journal)
          if (order.kind === 'stage' && order.state === 'offered')
            agent.say(id, Date.now(), { type: 'accept' }, { type: 'staged' });
      }
      const { rows } = await db.pool.query(
        `SELECT id FROM endpoint e WHERE wants_scan
            AND EXISTS (SELECT FROM order_state o WHERE o.endpoint_id = e.id AND o.kind = 'change' AND o.state = 'succeeded')`,
      );
      const ids = rows.map((row) => row.id);
      await scan(ids, 'marker-here');
      await db.pool.query('UPDATE endpoint SET wants_scan = false WHERE id = ANY ($1)', [ids]);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  })();
  return async () => {
    stopped = true;
    await done;
  };
}

test('planned, ring by ring, and confirmed by what a scan finds', async () => {
  const endpointIds = await addEndpoints(db.pool, 4, { seenAt: Date.now() + 60 * MINUTE });
  await seedPolicy(db.pool, { name: 'always open' });
  await scan(endpointIds, null);
  const spec = changeSpec([ringSpec({ select: { sharePercent: 25 } }), ringSpec()], {
    kind: 'touch',
    parameters: { marker: 'here' },
  });
  const changeId = randomUUID();
  const deadline = Date.now() + spec.deadlineMinutes * MINUTE;
  await db.pool.query(
    `INSERT INTO change (id, kind, name, spec, priority, requested_by, deadline)
     VALUES ($1, 'touch', 'Markers', $2, 0, 'test', to_timestamp($3 / 1000.0))`,
    [changeId, JSON.stringify(spec), deadline],
  );
  const clock = Date.now;
  const activities = {
    ...createStageActivities({
      pool: db.pool,
      clock,
      changeWorkflowId,
      db: stages,
      kinds: changeKinds([touchKind]),
      content: fakeContent().content,
    }),
    ...createRingActivities({ pool: db.pool, orders, signer: testSigner, documentsFor, listener, clock }),
  } as Activities;
  const stop = working(endpointIds);
  await withWorker({
    env,
    bundle,
    activities,
    body: async () => {
      const handle = await env.client.workflow.start('remediation', {
        workflowId: changeWorkflowId(changeId),
        taskQueue: TASK_QUEUE,
        args: [{ changeId, spec, deadline }],
      });
      expect(await handle.result()).toEqual({ outcome: 'completed', reason: null });
    },
  }).finally(stop);

  const { rows } = await db.pool.query(
    `SELECT o.ring, o.state, v.envelope FROM order_state o JOIN order_envelope v ON v.order_id = o.id
      WHERE o.change_id = $1 AND o.kind = 'change' ORDER BY o.started_at`,
    [changeId],
  );
  expect(rows.map(({ ring, state }) => [ring, state])).toEqual([0, 1, 1, 1].map((ring) => [ring, 'succeeded']));
  for (const { envelope } of rows)
    expect(readOrder(envelope)).toMatchObject({ provider: 'touch', updates: [{ name: 'marker-here', to: '1' }] });
  const { rows: told } = await db.pool.query(
    `SELECT detail FROM audit_entry WHERE subject = $1 AND action = 'change.confirmed'`,
    [`change/${changeId}`],
  );
  expect(told).toEqual([{ detail: { confirmed: 4, missing: 0, unscanned: 0 } }]);
  const { rows: rings } = await db.pool.query(
    'SELECT state FROM ring WHERE change_id = $1 AND ordinal < 1000 ORDER BY ordinal',
    [changeId],
  );
  expect(rings.map(({ state }) => state)).toEqual(['passed', 'passed']);
});
