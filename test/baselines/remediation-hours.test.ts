/**
 * Hours of operation of a remediation, on the real rows and with its real orders: agents that poll, fetch and begin as they may, over some
 * nights on a clock of the test's. Nothing is let out, and nothing begins, outside of the apply windows of its endpoint's policy and zone.
 */
import { afterAll, beforeAll, expect, it, jest } from '@jest/globals';
import { createRingActivities } from '../../activities/rings.js';
import * as orders from '../../db/orders/index.js';
import { documentsFor } from '../../db/plan/documents.js';
import { DAY, HOUR, MINUTE } from '../../domain/time.js';
import { seedAccount } from '../helpers/seed-change.js';
import { TestAgent } from '../orders/agent.js';
import { testSigner } from '../orders/fleet.js';
import { BaselineRig } from './rig.js';

jest.setTimeout(120_000);

const ZONES = ['Europe/Berlin', 'America/New_York', 'Asia/Kolkata'];
/** From 22:00 to 04:00 where the endpoint is; what begins must be over by then. */
const NIGHTS = { windows: [{ rrule: 'FREQ=DAILY', from: '22:00', to: '04:00', zone: 'endpoint' }] };
const EXPECTED_MINUTES = 30;
const STEP = 20 * MINUTE;
const T0 = Math.floor(Date.now() / HOUR) * HOUR;

let rig: BaselineRig;
let now = T0;
beforeAll(async () => {
  rig = await BaselineRig.start(['one', 'two']);
});
afterAll(() => rig?.stop());

/** Minutes since the last 22:00 there; said by another than the one under test. */
function minutesIntoNight(at: number, timeZone: string): number {
  const [hour, minute] = new Intl.DateTimeFormat('en-GB', {
    timeZone,
    hour: '2-digit',
    minute: '2-digit',
    hour12: false,
  })
    .format(at)
    .split(':')
    .map(Number) as [number, number];
  return ((((hour - 22) * 60 + minute) % 1_440) + 1_440) % 1_440;
}
const mayBegin = (at: number, zone: string): boolean => minutesIntoNight(at, zone) <= 6 * 60 - EXPECTED_MINUTES;

async function addPolicy(): Promise<string> {
  const document = {
    appliesTo: { all: true },
    hours: { communicate: { always: true }, stage: { always: true }, apply: NIGHTS },
    freezeCalendars: [],
    reboot: 'never',
    expectedMinutes: EXPECTED_MINUTES,
    healthChecks: [],
    hooks: [],
    stageRateLimit: null,
  };
  const [{ id }] = (await rig.tickets.rows(
    `INSERT INTO policy_set (id, version, name, document, created_by) VALUES (gen_random_uuid(), 1, 'nights', $1, 'test') RETURNING id`,
    [JSON.stringify(document)],
  )) as [{ id: string }];
  return id;
}

it('is never let out and never begun outside of its apply window, in three zones over several nights', async () => {
  const pool = rig.tickets.workerPool;
  const checklist = await rig.assign('all');
  const requestedBy = (await seedAccount(rig.tickets.db.pool, { name: 'Requester' })).id;
  const endpoints = await Promise.all(ZONES.flatMap(() => [rig.endpoint(), rig.endpoint(), rig.endpoint()]));
  const zoneOf = (n: number): string => ZONES[n % ZONES.length] as string;
  await rig.tickets.rows(
    `UPDATE endpoint e SET zone = z.zone, last_seen = to_timestamp($3 / 1000.0) FROM unnest($1::uuid[], $2::text[]) AS z (id, zone) WHERE e.id = z.id`,
    [endpoints, endpoints.map((_, n) => zoneOf(n)), T0 + 100 * DAY],
  );
  const changeId = await rig.remediation({ endpoints, checklist, rules: ['one', 'two'], requestedBy });
  await rig.tickets.rows('UPDATE plan_endpoint SET policy_set_id = $2, policy_version = 1 WHERE change_id = $1', [
    changeId,
    await addPolicy(),
  ]);
  await rig.tickets.rows(`UPDATE ring SET spec = spec || '{"maxInFlight": 2}' WHERE change_id = $1`, [changeId]);
  const [{ digest }] = (await rig.tickets.rows('SELECT plan_digest AS digest FROM change WHERE id = $1', [
    changeId,
  ])) as [{ digest: string }];
  const deps = { pool, orders, signer: testSigner, documentsFor, clock: () => now };
  const activities = createRingActivities({
    ...deps,
    listener: { on: () => () => undefined },
    pace: () => ({ heartbeat: () => undefined, sleep: async () => undefined, left: undefined, key: null }),
  });
  const lane = { changeId, ring: 0, target: 'change' as const };
  await activities.openRing({ changeId, ring: 0, approvedDigest: digest, approvals: [] });
  const agents = endpoints.map((id) => new TestAgent(pool, id));

  let staged = 0;
  for (; now < T0 + 4 * DAY; now += STEP) {
    await activities.resolveWindows({ ...lane, ignoreWindows: false });
    const { epoch } = await orders.beginPump(pool, lane);
    await orders.releaseTick(deps, { ...lane, epoch, now, tidy: true });
    for (const [n, agent] of agents.entries()) {
      await agent.poll(now);
      const state = agent.current()?.[1].order.state;
      // Slow ones: one thing at a time, and every second time none. One has fetched what it needs only when it is too late to begin.
      const tooSoon = n === 0 && state === 'accepted' && mayBegin(now, zoneOf(n));
      if ((now / STEP + n) % 2 === 0 && !tooSoon) agent.step(now);
      if (state === 'staged' && !mayBegin(now, zoneOf(n))) staged += 1;
      await agent.poll(now);
    }
  }

  const begun = agents.map((agent) =>
    [...agent.journal.values()].flatMap(({ reports }) =>
      reports.flatMap(({ type, at }) => (type === 'apply' ? [at] : [])),
    ),
  );
  expect(begun.map((times) => times.length)).toEqual(endpoints.map(() => 1));
  expect(begun.flatMap((times, n) => times.filter((at) => !mayBegin(at, zoneOf(n))))).toEqual([]);
  const released = await rig.tickets.rows(
    `SELECT e.zone, (extract(epoch FROM o.released_at) * 1000)::float8 AS at, o.state, d.kind FROM order_state o
       JOIN endpoint e ON e.id = o.endpoint_id JOIN change d ON d.id = o.change_id WHERE o.change_id = $1 AND o.kind = 'change'`,
    [changeId],
  );
  expect(released.map(({ state, kind }) => [state, kind])).toEqual(endpoints.map(() => ['succeeded', 'remediation']));
  expect(released.filter(({ at, zone }) => !mayBegin(at, zone))).toEqual([]);
  expect(agents.flatMap(({ violations }) => violations)).toEqual([]);
  // That it did wait: nights of three zones, more than one of them, and orders at hand that might not begin.
  expect(new Set(begun.flat().map((at) => Math.floor((at - T0) / DAY))).size).toBeGreaterThan(1);
  expect(staged).toBeGreaterThan(0);
});
