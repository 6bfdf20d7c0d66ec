/**
 * Two changes of different priority over one fleet with a cluster in it, pumped at the same time, while agents work, fail,
 * lose replies and fall silent, and people stop things. After every step the database itself is asked whether anything was
 * let out that should not have been.
 */
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import fc from 'fast-check';
import * as orders from '../../db/orders/index.js';
import { inTransaction } from '../../db/pool.js';
import { HOUR, MINUTE } from '../../domain/time.js';
import { letOutAfterStop } from '../helpers/after-stop.js';
import { createDatabase, type TestDatabase } from '../helpers/postgres.js';
import { TestAgent } from './agent.js';
import { addChange, addEndpoints, documentsFor, openRing, setWindow, testSigner } from './fleet.js';

// A loaded machine is slow, not wrong.
jest.setTimeout(300_000);

const T0 = Date.UTC(2026, 0, 10, 22);
const MAX_IN_FLIGHT = 4;
/** The urgent change has a disruption budget below its ceiling; the routine one none. */
const DISRUPTION = 3;
const QUORUM = 2;

let db: TestDatabase;
let deps: orders.ReleaseDeps;
beforeAll(async () => {
  db = await createDatabase();
  deps = { pool: db.pool, signer: testSigner, documentsFor };
});
afterAll(() => db.drop());

interface World {
  now: number;
  readonly changes: readonly string[];
  readonly agents: readonly TestAgent[];
  readonly polls: Map<TestAgent, ReturnType<TestAgent['request']>>;
  readonly applied: Map<string, number>;
}

async function build(): Promise<World> {
  const endpoints = await addEndpoints(db.pool, 8, { seenAt: T0 + 1_000 * HOUR });
  const { rows } = await db.pool.query(
    `INSERT INTO quorum_group (id, name, selector, max_unavailable) VALUES (gen_random_uuid(), $1, '{}', ${QUORUM}) RETURNING id`,
    [`cluster ${endpoints[0]}`],
  );
  await db.pool.query(
    'INSERT INTO quorum_member (quorum_id, endpoint_id) SELECT $1, id FROM unnest($2::uuid[]) AS id',
    [rows[0].id, endpoints.slice(0, 5)],
  );
  const changes = [];
  for (const [priority, members] of [
    [0, endpoints],
    [5, [...endpoints].reverse().slice(0, 6)],
  ] as const) {
    const spec = {
      maxInFlight: MAX_IN_FLIGHT,
      errorBudget: { count: 2 },
      ...(priority > 0 && { disruptionBudget: DISRUPTION }),
    };
    const changeId = await addChange(db.pool, { now: T0, rings: [{ endpoints: members, spec }], priority });
    await openRing(db.pool, { changeId, now: T0, until: T0 + 20 * HOUR });
    await db.pool.query('UPDATE ring SET concurrency = 4 WHERE change_id = $1', [changeId]);
    changes.push(changeId);
  }
  return {
    now: T0,
    changes,
    agents: endpoints.map((id) => new TestAgent(db.pool, id)),
    polls: new Map(),
    applied: new Map(),
  };
}

/** What must hold whatever happened. Rows, not our bookkeeping, are asked. */
async function check(world: World): Promise<void> {
  const { rows } = await db.pool.query(
    `SELECT
       (SELECT json_agg(d) FROM (
          SELECT endpoint_id FROM order_state WHERE phase = 'holding' AND kind IN ('change', 'revert') GROUP BY 1 HAVING count(*) > 1) d) AS doubled,
       (SELECT json_agg(r) FROM (
          SELECT priority, count(*) FILTER (WHERE state IN ('released', 'offered', 'accepted', 'staged', 'applying', 'awaitingReboot', 'rebooting', 'verifying')) AS in_flight,
                 count(*) FILTER (WHERE state IN ('failed', 'reverted', 'reverting', 'revertFailed', 'stalled')) AS failed
            FROM order_state WHERE change_id = ANY ($1::uuid[]) AND kind = 'change' AND NOT retried GROUP BY change_id, ring, priority) r) AS rings,
       (SELECT json_agg(q) FROM (
          SELECT m.quorum_id, count(DISTINCT m.endpoint_id) FROM quorum_member m JOIN order_state o ON o.endpoint_id = m.endpoint_id
           WHERE o.phase = 'holding' AND o.kind IN ('change', 'revert') GROUP BY 1 HAVING count(DISTINCT m.endpoint_id) > ${QUORUM}) q) AS away,
       (SELECT json_agg(o.id) FROM order_state o WHERE o.change_id = ANY ($1::uuid[])
           AND (o.state IN ('withdrawn', 'superseded', 'skipped') AND o.started_at IS NOT NULL
             OR o.phase <> CASE WHEN o.state = 'pending' THEN 'waiting'
                                WHEN o.state IN ('succeeded','failed','reverted','revertFailed','expired','skipped','withdrawn','superseded') THEN 'done'
                                ELSE 'holding' END)) AS impossible,
       (SELECT json_agg(e) FROM (
          SELECT e.order_id FROM order_event e JOIN order_state o ON o.id = e.order_id
           WHERE o.change_id = ANY ($1::uuid[]) AND e.event = 'apply' GROUP BY 1 HAVING count(*) > 1) e) AS twice`,
    [world.changes],
  );
  const { rings, ...broken } = rows[0];
  expect(broken).toEqual({ doubled: null, away: null, impossible: null, twice: null });
  for (const { in_flight, failed, priority } of rings) {
    expect(in_flight).toBeLessThanOrEqual(MAX_IN_FLIGHT);
    if (priority > 0) expect(in_flight + failed).toBeLessThanOrEqual(DISRUPTION);
  }
  expect(world.agents.flatMap((agent) => agent.violations.filter((v) => v.kind !== 'impossibleReport'))).toEqual([]);
}

async function tick(world: World, which: number): Promise<void> {
  const changeId = world.changes[which % world.changes.length] as string;
  const { rows } = await db.pool.query('SELECT target_kind FROM ring WHERE change_id = $1 AND ordinal = 0', [changeId]);
  const target = rows[0].target_kind;
  const { epoch } = await orders.beginPump(db.pool, { changeId, ring: 0, target });
  // A pump that began at the same moment may fence this one off: that is what epochs are for.
  await orders.releaseTick(deps, { changeId, ring: 0, target, epoch, now: world.now }).catch((error: unknown) => {
    if (!(error instanceof orders.PumpFenced)) throw error;
  });
}

function pass(world: World, minutes: number): void {
  world.now += minutes * MINUTE;
}

type Act = { readonly name: string; run(world: World): Promise<void> };
const agentAct = (name: string, run: (agent: TestAgent, world: World) => Promise<unknown> | unknown) =>
  fc.nat(7).map(
    (n): Act => ({
      name: `${name} ${n}`,
      run: async (world) => void (await run(world.agents[n] as TestAgent, world)),
    }),
  );
const changeAct = (name: string, run: (changeId: string, world: World) => Promise<unknown>) =>
  fc
    .nat(1)
    .map(
      (n): Act => ({ name: `${name} ${n}`, run: async (world) => void (await run(world.changes[n] as string, world)) }),
    );

const quick = fc.oneof(
  { weight: 5, arbitrary: fc.nat(1).map((n): Act => ({ name: `tick ${n}`, run: (world) => tick(world, n) })) },
  { weight: 8, arbitrary: agentAct('poll', (agent, { now }) => agent.poll(now)) },
  { weight: 2, arbitrary: agentAct('poll, reply lost', (agent, { now }) => agent.poll(now, { loseReply: true })) },
  { weight: 1, arbitrary: agentAct('keep a poll', (agent, { polls }) => polls.set(agent, agent.request())) },
  {
    weight: 1,
    arbitrary: agentAct('an old poll arrives', async (agent, { polls, now }) => {
      const request = polls.get(agent);
      if (request === undefined) return;
      await orders.takeReports(db.pool, { endpointId: agent.endpointId, ...request, now });
    }),
  },
  { weight: 10, arbitrary: agentAct('work', (agent, { now }) => agent.step(now)) },
  { weight: 2, arbitrary: agentAct('fail', (agent, { now }) => agent.step(now, 'fails')) },
  { weight: 2, arbitrary: agentAct('revert', (agent, { now }) => agent.step(now, 'reverts')) },
);
const rare = fc.oneof(
  fc
    .constantFrom(1, 6, 70)
    .map((minutes): Act => ({ name: `${minutes} min pass`, run: async (world) => pass(world, minutes) })),
  changeAct('pause', (changeId, { now }) =>
    inTransaction(db.pool, (client) =>
      orders.haltChange(client, { changeId, verb: 'pause', by: 'p', reason: 'r', now }),
    ),
  ),
  changeAct('resume', (changeId) => orders.clearHalt(db.pool, { changeId, ring: null, by: 'p' })),
  changeAct('withdraw', (changeId, { now }) => orders.withdrawOpen(db.pool, { changeId, ring: 0, reason: 'r', now })),
  changeAct('retry', (changeId, { now }) => orders.retryFailed(db.pool, { changeId, ring: 0, by: 'p', now })),
  changeAct('leave stragglers', (changeId, { now }) => orders.moveStragglers(db.pool, { changeId, ring: 0, now })),
  changeAct('settle', (changeId, { now }) => orders.settleStep(db.pool, { changeId, ring: 0, reason: 'r', now })),
  changeAct('roll back', async (changeId, { now }) => {
    await orders.startRollback(db.pool, { changeId, ring: 0, by: 'p', reason: 'r', ignoreWindows: true, now });
    await setWindow(db.pool, { changeId, ring: 0, from: T0, until: T0 + 1_000 * HOUR });
  }),
);

describe('whatever happens, in whatever order', () => {
  it('no budget, quorum, permit or endpoint is ever overdrawn', async () => {
    const step = fc.oneof({ weight: 12, arbitrary: quick }, { weight: 1, arbitrary: rare });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 30, maxLength: 120, size: 'max' }), async (steps) => {
        const world = await build();
        for (const { run } of steps) {
          await run(world);
          await check(world);
        }
        await finish(world);
      }),
      { numRuns: 25, endOnFailure: true },
    );
  });

  it('nor when everything happens at the same time', async () => {
    const together = fc.array(quick, { minLength: 4, maxLength: 10 });
    await fc.assert(
      fc.asyncProperty(fc.array(together, { minLength: 5, maxLength: 14, size: 'max' }), async (rounds) => {
        const world = await build();
        for (const acts of rounds) {
          await Promise.all([tick(world, 0), tick(world, 1), ...acts.map(({ run }) => run(world))]);
          await check(world);
        }
        await finish(world);
      }),
      { numRuns: 12, endOnFailure: true },
    );
  });
});

/** However it went, closing the changes brings every order to its end. */
async function finish(world: World): Promise<void> {
  for (const changeId of world.changes)
    await inTransaction(db.pool, (client) => orders.closeOrders(client, { changeId, now: world.now }));
  const { rows } = await db.pool.query(
    `SELECT count(*)::int AS n FROM order_state WHERE change_id = ANY ($1::uuid[]) AND phase <> 'done'`,
    [world.changes],
  );
  expect(rows[0].n).toBe(0);
  expect(await letOutAfterStop(db.pool, world.changes)).toEqual([]);
}
