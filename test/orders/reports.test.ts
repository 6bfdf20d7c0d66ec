import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import * as orders from '../../db/orders/index.js';
import { ORDER_STATES } from '../../domain/order/index.js';
import { DAY, HOUR, MINUTE } from '../../domain/time.js';
import { createDatabase, type TestDatabase } from '../helpers/postgres.js';
import { TestAgent } from './agent.js';
import {
  addChange,
  addEndpoints,
  documentsFor,
  openRing,
  ordersOf,
  readPermit,
  ringOf,
  setWindow,
  testSigner,
} from './fleet.js';

// A loaded machine is slow, not wrong.
jest.setTimeout(300_000);

const T0 = Date.UTC(2026, 0, 10, 22);

let db: TestDatabase;
let deps: orders.ReleaseDeps;
beforeAll(async () => {
  db = await createDatabase();
  deps = { pool: db.pool, signer: testSigner, documentsFor };
});
afterAll(() => db.drop());

async function tick(changeId: string, now: number, target: orders.OrderTarget = 'change') {
  const { epoch } = await orders.beginPump(db.pool, { changeId, ring: 0, target });
  return orders.releaseTick(deps, { changeId, ring: 0, target, epoch, now });
}

/** One endpoint with its order released and, told by the agent, as far as `staged` with a permit. */
async function oneOrder(args: { spec?: object; endpoints?: number } = {}) {
  const endpoints = await addEndpoints(db.pool, args.endpoints ?? 1, { seenAt: T0 });
  const changeId = await addChange(db.pool, {
    now: T0,
    rings: [{ endpoints, spec: { maxInFlight: 10, ...args.spec } }],
  });
  await openRing(db.pool, { changeId, now: T0 });
  await db.pool.query('UPDATE ring SET concurrency = 10 WHERE change_id = $1', [changeId]);
  await tick(changeId, T0);
  const agents = endpoints.map((id) => new TestAgent(db.pool, id));
  for (const agent of agents) {
    await agent.poll(T0);
    agent.step(T0);
    agent.step(T0);
  }
  return { changeId, agents, agent: agents[0] as TestAgent, id: agents[0]?.current()?.[0] as string };
}

const state = async (changeId: string) => (await ordersOf(db.pool, changeId))[0]?.state;
const begin = (agent: TestAgent, id: string, now = T0) => agent.say(id, now, { type: 'apply' });
const finish = (agent: TestAgent, id: string, now = T0) =>
  agent.say(id, now, { type: 'applied', rebootRequired: false }, { type: 'healthy' });

describe('reports', () => {
  it('takes a whole order in one poll, writes its events and facts, and acknowledges the last', async () => {
    const { changeId, agent, id } = await oneOrder();
    await db.pool.query(
      `INSERT INTO update_fact (endpoint_id, name, arch, version, first_missing_at, last_missing_at)
       VALUES ($1, 'pkg', 'amd64', '2', now(), now()), ($1, 'pkg', 'amd64', '1.5', now(), now())`,
      [agent.endpointId],
    );
    finish(begin(agent, id), id);
    await agent.poll(T0 + MINUTE);
    expect(agent.journal.get(id)).toMatchObject({ acked: 5 });
    const { rows: events } = await db.pool.query(
      'SELECT event, actor, seq, to_state FROM order_event WHERE order_id = $1 ORDER BY id',
      [id],
    );
    expect(events.map((e) => `${e.actor} ${e.event} → ${e.to_state}`)).toEqual([
      'server release → released',
      'server offer → offered',
      'server permit → offered',
      'agent accept → accepted',
      'agent staged → staged',
      'agent apply → applying',
      'agent applied → verifying',
      'agent healthy → succeeded',
    ]);
    const { rows: facts } = await db.pool.query('SELECT * FROM update_fact WHERE endpoint_id = $1 ORDER BY version', [
      agent.endpointId,
    ]);
    expect(facts.map((f) => [f.version, f.outcome, f.order_id, f.window_kept])).toEqual([
      ['1.5', null, null, null],
      ['2', 'succeeded', id, true],
    ]);
    expect(facts[1].applied_at.getTime()).toBe(T0 + MINUTE);
    expect(await state(changeId)).toBe('succeeded');
  });

  it('answers a doubled report the same and changes nothing', async () => {
    const { agent, id } = await oneOrder();
    const request = finish(begin(agent, id), id).request();
    const args = { endpointId: agent.endpointId, ...request, now: T0 };
    const first = await orders.takeReports(db.pool, args);
    expect(await orders.takeReports(db.pool, args)).toEqual(first);
    const both = await Promise.all([orders.takeReports(db.pool, args), orders.takeReports(db.pool, args)]);
    expect(both).toEqual([first, first]);
    const { rows } = await db.pool.query(
      `SELECT count(*)::int AS n FROM order_event WHERE order_id = $1 AND actor = 'agent'`,
      [id],
    );
    expect(rows[0].n).toBe(5);
  });

  it('acknowledges up to a gap, and takes the rest when what was lost comes again', async () => {
    const { changeId, agent, id } = await oneOrder();
    const request = finish(begin(agent, id), id).request();
    const holed = request.reports.map((r) => ({ ...r, events: r.events.filter((e) => e.seq !== 3) }));
    const taken = await orders.takeReports(db.pool, {
      endpointId: agent.endpointId,
      ...request,
      reports: holed,
      now: T0,
    });
    expect(taken).toEqual({ acks: [{ orderId: id, seq: 2 }], violations: [] });
    expect(await state(changeId)).toBe('staged');
    await agent.poll(T0);
    expect(await state(changeId)).toBe('succeeded');
  });

  it('takes reports in their order, however they are listed', async () => {
    const { changeId, agent, id } = await oneOrder();
    const request = finish(begin(agent, id), id).request();
    const shuffled = request.reports.map((r) => ({ ...r, events: [...r.events].reverse() }));
    await orders.takeReports(db.pool, { endpointId: agent.endpointId, ...request, reports: shuffled, now: T0 });
    expect(await state(changeId)).toBe('succeeded');
  });

  it('loses nothing when replies are lost', async () => {
    const { changeId, agent, id } = await oneOrder();
    await agent.poll(T0, { loseReply: true });
    begin(agent, id);
    await agent.poll(T0, { loseReply: true });
    finish(agent, id);
    await agent.poll(T0);
    expect(await state(changeId)).toBe('succeeded');
    expect(agent.violations).toEqual([]);
  });

  it('hands an order out again when the reply that held it was lost', async () => {
    const endpoints = await addEndpoints(db.pool, 1, { seenAt: T0 });
    const changeId = await addChange(db.pool, { now: T0, rings: [{ endpoints }] });
    await openRing(db.pool, { changeId, now: T0 });
    await tick(changeId, T0);
    const agent = new TestAgent(db.pool, endpoints[0] as string);
    await agent.poll(T0, { loseReply: true });
    expect(agent.journal.size).toBe(0);
    await agent.run(T0 + 1);
    expect(await state(changeId)).toBe('succeeded');
    expect(agent.violations).toEqual([]);
  });

  it('ignores reports for orders of others, says so, and keeps the endpoint from sending them for ever', async () => {
    const { agent: other, id } = await oneOrder();
    const { agent } = await oneOrder();
    const { reports } = finish(begin(other, id), id).request();
    const taken = await orders.takeReports(db.pool, { endpointId: agent.endpointId, reports, open: [], now: T0 });
    expect(taken.acks).toEqual([{ orderId: id, seq: 5 }]);
    expect(taken.violations).toMatchObject([{ kind: 'foreignOrder', orderId: id, endpointId: agent.endpointId }]);
    const { rows } = await db.pool.query(`SELECT action FROM audit_entry WHERE subject = $1`, [
      `endpoint/${agent.endpointId}`,
    ]);
    expect(rows).toEqual([{ action: 'violation.foreignOrder' }]);
    expect((await db.pool.query('SELECT seq FROM order_state WHERE id = $1', [id])).rows[0].seq).toBe(0);
  });

  it('records a start outside its permit as what happened, and as a violation', async () => {
    const { changeId, agent, id } = await oneOrder();
    await agent.poll(T0);
    begin(agent, id, T0 + 6 * MINUTE);
    await agent.poll(T0 + 6 * MINUTE);
    expect(await state(changeId)).toBe('applying');
    expect(agent.violations).toMatchObject([{ kind: 'startedOutsidePermit', orderId: id }]);
  });

  it('acknowledges what the protocol does not know, keeps it as evidence, and moves nothing', async () => {
    const { changeId, agent, id } = await oneOrder();
    await agent.poll(T0);
    const events = [{ type: 'healthy' as const, seq: 3, at: T0 }];
    const taken = await orders.takeReports(db.pool, {
      endpointId: agent.endpointId,
      reports: [{ orderId: id, events }],
      open: [],
      now: T0,
    });
    expect(taken).toMatchObject({ acks: [{ orderId: id, seq: 3 }], violations: [{ kind: 'impossibleReport' }] });
    expect(await state(changeId)).toBe('staged');
  });

  it('lets late reports win over stalled, and over expired', async () => {
    const { changeId, agent, id } = await oneOrder();
    await agent.poll(T0);
    begin(agent, id);
    await agent.poll(T0);
    await tick(changeId, T0 + HOUR + 1);
    expect(await state(changeId)).toBe('stalled');
    finish(agent, id);
    await agent.poll(T0 + 5 * HOUR);
    expect(await state(changeId)).toBe('succeeded');

    const late = await oneOrder();
    await late.agent.poll(T0);
    begin(late.agent, late.id);
    await db.pool.query('UPDATE change SET deadline = to_timestamp($2 / 1000.0) WHERE id = $1', [
      late.changeId,
      T0 + HOUR,
    ]);
    await tick(late.changeId, T0 + HOUR);
    expect(await state(late.changeId)).toBe('expired');
    await late.agent.poll(T0 + 2 * HOUR);
    expect(await state(late.changeId)).toBe('applying');
    finish(late.agent, late.id);
    await late.agent.poll(T0 + 2 * HOUR);
    expect(await state(late.changeId)).toBe('succeeded');
    expect(late.agent.violations).toEqual([]);
  });

  it('does not call an order silent that its endpoint lists as under way', async () => {
    const { changeId, agent, id } = await oneOrder();
    await agent.poll(T0);
    begin(agent, id);
    for (let minutes = 0; minutes <= 90; minutes += 10) await agent.poll(T0 + minutes * MINUTE);
    await tick(changeId, T0 + 100 * MINUTE);
    expect(await state(changeId)).toBe('applying');
    await tick(changeId, T0 + 160 * MINUTE);
    expect(await state(changeId)).toBe('stalled');
  });

  it('holds late reports back while another order holds the endpoint, and takes them once they end it', async () => {
    const { changeId, agent, id } = await oneOrder();
    await agent.poll(T0);
    begin(agent, id);
    await db.pool.query('UPDATE change SET deadline = to_timestamp($2 / 1000.0) WHERE id = $1', [changeId, T0 + HOUR]);
    await tick(changeId, T0 + HOUR);
    const other = await addChange(db.pool, {
      now: T0,
      rings: [{ endpoints: [agent.endpointId] }],
      offlineAfterMinutes: 600,
    });
    await openRing(db.pool, { changeId: other, now: T0 });
    await tick(other, T0 + HOUR);
    expect(await state(other)).toBe('released');
    await agent.poll(T0 + HOUR);
    // The agent is at work on the first: nothing else is handed out, nothing is acknowledged, and nothing breaks.
    expect([await state(changeId), await state(other)]).toEqual(['expired', 'released']);
    expect(agent.journal.get(id)?.acked).toBe(2);
    finish(agent, id);
    await agent.poll(T0 + HOUR);
    expect(await state(changeId)).toBe('succeeded');
    await agent.run(T0 + HOUR);
    expect(await state(other)).toBe('succeeded');
  });

  it('halts the ring in the transaction of the report that spends its budget', async () => {
    const { changeId, agents } = await oneOrder({ endpoints: 3, spec: { errorBudget: { count: 1 } } });
    for (const agent of agents.slice(0, 2)) {
      const id = agent.current()?.[0] as string;
      begin(agent, id).say(id, T0, { type: 'failed', cause: 'broken' });
    }
    await agents[0]?.poll(T0);
    expect(await ringOf(db.pool, changeId)).toMatchObject({ halted: false });
    await agents[1]?.poll(T0);
    expect(await ringOf(db.pool, changeId)).toMatchObject({
      halted: true,
      halted_by: 'budget',
      halt_reason: 'error budget spent: 2 failed, 1 allowed of 3 planned',
    });
    const { rows } = await db.pool.query(
      `SELECT f.xmin = r.xmin AS together FROM order_state f JOIN ring r ON r.change_id = f.change_id AND r.ordinal = 0
        WHERE f.change_id = $1 AND f.endpoint_id = $2`,
      [changeId, agents[1]?.endpointId],
    );
    expect(rows).toEqual([{ together: true }]);
    expect(await tick(changeId, T0)).toMatchObject({ halted: true, haltedBy: 'budget', released: 0 });
  });

  it('halts by a late report too, with no pump near, and what runs after a ring that had passed', async () => {
    const endpoints = await addEndpoints(db.pool, 3, { seenAt: T0 });
    const rings = [
      { endpoints: endpoints.slice(0, 2), spec: { errorBudget: { count: 0 } } },
      { endpoints: endpoints.slice(2) },
    ];
    const changeId = await addChange(db.pool, { now: T0, rings });
    await openRing(db.pool, { changeId, now: T0 });
    await db.pool.query('UPDATE ring SET concurrency = 10 WHERE change_id = $1', [changeId]);
    await tick(changeId, T0);
    const [good, bad] = endpoints.map((id) => new TestAgent(db.pool, id)) as [TestAgent, TestAgent];
    await good.run(T0);
    await bad.poll(T0);
    for (let i = 0; i < 3; i++) bad.step(T0);
    await db.pool.query('UPDATE change SET deadline = to_timestamp($2 / 1000.0) WHERE id = $1', [changeId, T0 + HOUR]);
    await tick(changeId, T0 + HOUR);
    await orders.finishRing(db.pool, { changeId, ring: 0, state: 'passed', now: T0 });
    await openRing(db.pool, { changeId, ring: 1, now: T0 });
    bad.say(bad.current()?.[0] as string, T0, { type: 'failed', cause: 'broken' });
    await bad.poll(T0 + 3 * HOUR);
    expect(await ringOf(db.pool, changeId, 0)).toMatchObject({ halted: true, halted_by: 'budget' });
    expect(await ringOf(db.pool, changeId, 1)).toMatchObject({
      halted: true,
      halt_reason: expect.stringContaining('ring 0, which had passed'),
    });
  });

  it("accepts failures on a person's word, and counts further ones anew", async () => {
    const { changeId, agents } = await oneOrder({ endpoints: 4, spec: { errorBudget: { count: 0 } } });
    const fail = async (agent: TestAgent | undefined) => {
      const id = agent?.current()?.[0] as string;
      agent?.say(id, T0, { type: 'failed', cause: 'disk full' });
      await agent?.poll(T0);
    };
    await fail(agents[0]);
    expect(await ringOf(db.pool, changeId)).toMatchObject({ halted: true });
    await orders.clearHalt(db.pool, { changeId, ring: null, by: 'person' });
    expect(await tick(changeId, T0)).toMatchObject({ halted: false });
    await fail(agents[1]);
    expect(await ringOf(db.pool, changeId)).toMatchObject({
      halted: true,
      halt_reason: expect.stringContaining('1 failed since 1 were accepted'),
    });
  });

  it('takes many polls at once, each endpoint with its own answer', async () => {
    const { changeId, agents } = await oneOrder({ endpoints: 5 });
    for (const agent of agents) {
      const id = agent.current()?.[0] as string;
      finish(begin(agent, id), id);
    }
    const polls = agents.map((agent) => ({ endpointId: agent.endpointId, ...agent.request() }));
    const taken = await orders.takeReportBatch(db.pool, { polls, now: T0 });
    expect(taken.map((poll) => [poll.endpointId, poll.acks[0]?.seq, poll.violations])).toEqual(
      agents.map((a) => [a.endpointId, 5, []]),
    );
    expect(new Set((await ordersOf(db.pool, changeId)).map((o) => o.state))).toEqual(new Set(['succeeded']));
  });

  it('may be done by the web tier with its few rights', async () => {
    const { changeId, agents } = await oneOrder({ endpoints: 2, spec: { errorBudget: { count: 0 } } });
    const { default: pg } = await import('pg');
    const pool = new pg.Pool({ connectionString: db.apiUrl, max: 2 });
    try {
      const web = agents.map((agent) =>
        Object.assign(new TestAgent(pool, agent.endpointId), { journal: agent.journal }),
      );
      await web[0]?.run(T0);
      await web[1]?.run(T0, 'reverts');
      expect((await ordersOf(db.pool, changeId)).map((o) => o.state).sort()).toEqual(['reverted', 'succeeded']);
      expect(await ringOf(db.pool, changeId)).toMatchObject({ halted: true, halted_by: 'budget' });
    } finally {
      await pool.end();
    }
  });
});

describe('why an order went back', () => {
  it.each([
    ['in one poll', 1],
    ['over several polls, with notes between', 3],
  ])('stays with it: %s', async (_, polls) => {
    const { changeId, agent, id } = await oneOrder();
    const cause = 'not healthy: http http://127.0.0.1/ answered 503';
    const told = [
      () => agent.say(id, T0, { type: 'revertBegun', cause }),
      () => agent.say(id, T0, { type: 'note', text: 'before going back: nothing' }),
      () => agent.say(id, T0, { type: 'reverted' }),
    ];
    begin(agent, id);
    for (const [at, tell] of told.entries()) {
      tell();
      if (polls > 1 || at === told.length - 1) await agent.poll(T0 + at * MINUTE);
    }
    expect((await ordersOf(db.pool, changeId))[0]).toMatchObject({ state: 'reverted', reason: cause });
  });
});

describe('when a revert that was ordered began', () => {
  /** Announced, and the server has heard of it; its window closes 90 s later. */
  async function announced() {
    const { changeId, agent } = await oneOrder();
    await agent.run(T0);
    await orders.startRollback(db.pool, { changeId, ring: 0, by: 'p', reason: 'bad', ignoreWindows: false, now: T0 });
    await setWindow(db.pool, { changeId, ring: 0, from: T0, until: T0 + HOUR });
    await tick(changeId, T0, 'revert');
    for (let i = 0; i < 3; i++) {
      await agent.poll(T0);
      agent.step(T0);
    }
    const id = agent.current()?.[0] as string;
    await setWindow(db.pool, { changeId, ring: 0, from: T0, until: T0 + 1.5 * MINUTE });
    await agent.poll(T0);
    const row = async () => {
      const { rows } = await db.pool.query('SELECT state, started_at, window_kept FROM order_state WHERE id = $1', [
        id,
      ]);
      return rows[0];
    };
    expect(await row()).toEqual({ state: 'reverting', started_at: new Date(T0), window_kept: true });
    return { agent, id, row };
  }
  const takenBack = { type: 'notBegun', reason: 'the permit has ended' } as const;
  const again = { type: 'revertBegun', cause: 'ordered' } as const;
  const NEVER = { started_at: null, window_kept: null };
  const LATE = { started_at: new Date(T0 + 2 * MINUTE), window_kept: false };

  it.each([
    ['taken back', [takenBack], { state: 'staged', ...NEVER }],
    ['taken back and begun anew', [takenBack, again], { state: 'reverting', ...LATE }],
    ['and at its end by then', [takenBack, again, { type: 'reverted' } as const], { state: 'reverted', ...LATE }],
    ['taken back twice', [takenBack, again, takenBack], { state: 'staged', ...NEVER }],
  ])('told in one poll: %s', async (_, said, expected) => {
    const { agent, id, row } = await announced();
    for (const word of said) agent.say(id, T0 + 2 * MINUTE, word);
    await agent.poll(T0 + 2 * MINUTE);
    expect(await row()).toEqual(expected);
  });
});

describe('permits', () => {
  it.each([
    ['heard before the permit ended', 4 * MINUTE, { heardAt: 4 * MINUTE }, false],
    ['heard after, but by a poll written before', 6 * MINUTE, { heardAt: 4 * MINUTE }, false],
    ['heard after, by a poll without a stamp that may be old', 6 * MINUTE, {}, false],
    ['heard after', 6 * MINUTE, { heardAt: 6 * MINUTE }, true],
    ['heard long after, by a poll without a stamp', 10 * MINUTE, {}, true],
  ])('an unused one is over when its endpoint is %s', async (_name, later, stamp, lapsed) => {
    const { changeId, agent } = await oneOrder();
    await agent.poll(T0);
    await orders.haltRing(db.pool, { changeId, ring: 0, by: 'test', reason: 'test', now: T0 });
    const now = T0 + later;
    const heardAt = 'heardAt' in stamp ? { heardAt: T0 + (stamp.heardAt as number) } : {};
    await orders.takeReports(db.pool, { endpointId: agent.endpointId, ...agent.request(), now, ...heardAt });
    expect((await ordersOf(db.pool, changeId))[0]?.permit_until === null).toBe(lapsed);
  });

  it('a poll that shows the order begun, or less than we know, proves nothing', async () => {
    const { changeId, agent, id } = await oneOrder();
    await agent.poll(T0);
    const now = T0 + HOUR;
    for (const open of [[{ orderId: id, state: 'applying', seq: 3 }], [{ orderId: id, state: 'staged', seq: 1 }], []]) {
      await orders.takeReports(db.pool, { endpointId: agent.endpointId, reports: [], open, now, heardAt: now });
      expect((await ordersOf(db.pool, changeId))[0]?.permit_until).not.toBeNull();
    }
  });

  it('are made anew before they end, inside the window, and never past its last start', async () => {
    const endpoints = await addEndpoints(db.pool, 1, { seenAt: T0 });
    const changeId = await addChange(db.pool, { now: T0, rings: [{ endpoints }] });
    await openRing(db.pool, { changeId, now: T0, until: T0 + 8 * MINUTE });
    const startBy = async () => {
      const { rows } = await db.pool.query(
        'SELECT p.start_by FROM order_permit p JOIN order_state o ON o.id = p.order_id WHERE o.change_id = $1',
        [changeId],
      );
      return (rows[0].start_by.getTime() - T0) / MINUTE;
    };
    await tick(changeId, T0);
    expect(await startBy()).toBe(5);
    await tick(changeId, T0 + 2 * MINUTE);
    expect(await startBy()).toBe(5);
    await tick(changeId, T0 + 3 * MINUTE);
    expect(await startBy()).toBe(8);
    await tick(changeId, T0 + 7 * MINUTE);
    expect(await startBy()).toBe(8);
    const agent = new TestAgent(db.pool, endpoints[0] as string);
    await agent.poll(T0 + 9 * MINUTE);
    expect(agent.current()).toBeUndefined();
  });

  it('are not handed out past a window that was cut short after they were signed', async () => {
    const { changeId, agent } = await oneOrder();
    await db.pool.query('UPDATE order_state SET next_close = to_timestamp($2 / 1000.0) WHERE change_id = $1', [
      changeId,
      T0 + 2 * MINUTE,
    ]);
    agent.journal.clear();
    await agent.poll(T0);
    agent.step(T0);
    agent.step(T0);
    await agent.poll(T0);
    const startBy = agent.current()?.[1].startBy ?? null;
    await tick(changeId, T0);
    await agent.poll(T0);
    expect([startBy, agent.current()?.[1].startBy]).toEqual([null, T0 + 2 * MINUTE]);
  });

  it('let an order reboot in a later window, also while its ring is halted', async () => {
    const { changeId, agent, id } = await oneOrder();
    begin(agent, id).say(id, T0, { type: 'applied', rebootRequired: true });
    await agent.poll(T0);
    expect(await state(changeId)).toBe('awaitingReboot');
    const later = T0 + HOUR;
    await orders.permitRebootsOf(db.pool, { changeId, ring: 0, signer: testSigner, now: later });
    await orders.haltRing(db.pool, { changeId, ring: 0, by: 'test', reason: 'test', now: later });
    const offers = await orders.takeOffers(db.pool, {
      endpointId: agent.endpointId,
      open: agent.request().open,
      now: later,
    });
    expect(offers).toHaveLength(1);
    // Announced, not made in time: it waits again, and is permitted again in the next window.
    agent.say(id, later, { type: 'reboot' });
    await agent.poll(later);
    expect(await state(changeId)).toBe('rebooting');
    agent.say(id, later, { type: 'notRebooted', reason: 'the permit to reboot has ended' });
    await agent.poll(later);
    expect(await state(changeId)).toBe('awaitingReboot');
    const next = later + DAY;
    await db.pool.query(
      `UPDATE order_state SET next_open = to_timestamp($2 / 1000.0), next_close = to_timestamp($3 / 1000.0), window_closes = to_timestamp($3 / 1000.0)
        WHERE change_id = $1`,
      [changeId, next, next + HOUR],
    );
    const permitAt = async (now: number) => {
      await orders.permitRebootsOf(db.pool, { changeId, ring: 0, signer: testSigner, now });
      const given = await orders.takeOffers(db.pool, {
        endpointId: agent.endpointId,
        open: agent.request().open,
        now,
      });
      return given.length;
    };
    expect([await permitAt(next - MINUTE), await permitAt(next + MINUTE)]).toEqual([0, 1]);
    agent.say(id, next, { type: 'reboot' }, { type: 'booted' }, { type: 'healthy' });
    await agent.poll(next);
    expect(await state(changeId)).toBe('succeeded');
    expect(agent.violations).toEqual([]);
  });

  it("let nothing reboot past the change's deadline, however long its window is", async () => {
    const endpoints = await addEndpoints(db.pool, 1, { seenAt: T0 });
    const deadline = T0 + 90 * MINUTE;
    const changeId = await addChange(db.pool, { now: T0, deadline, rings: [{ endpoints }] });
    await openRing(db.pool, { changeId, now: T0 });
    const rebootBys = async () => {
      const { rows } = await db.pool.query(
        'SELECT envelope FROM order_permit JOIN order_state o ON o.id = order_id WHERE o.change_id = $1',
        [changeId],
      );
      return rows.map((row) => readPermit(row.envelope).rebootBy);
    };
    await tick(changeId, T0);
    expect(await rebootBys()).toEqual([deadline]);
    const agent = new TestAgent(db.pool, endpoints[0] as string);
    for (let i = 0; i < 3; i++) {
      await agent.poll(T0);
      agent.step(T0);
    }
    agent.say(agent.current()?.[0] as string, T0, { type: 'applied', rebootRequired: true });
    await agent.poll(T0);
    const given = async (now: number) => {
      await orders.permitRebootsOf(db.pool, { changeId, ring: 0, signer: testSigner, now });
      const { endpointId } = agent;
      const offers = await orders.takeOffers(db.pool, { endpointId, open: agent.request().open, now });
      return offers.map(({ permit }) => permit && readPermit(permit).rebootBy);
    };
    expect([await given(deadline - 1), await given(deadline)]).toEqual([[deadline], []]);
    await tick(changeId, deadline);
    expect(await state(changeId)).toBe('failed');
  });
});

it('knows every state the schema knows', async () => {
  const { rows } = await db.pool.query(
    `SELECT pg_get_constraintdef(oid) AS def FROM pg_constraint WHERE conrelid = 'order_state'::regclass AND contype = 'c' AND pg_get_constraintdef(oid) LIKE '%superseded%'`,
  );
  const known = [...(rows[0].def as string).matchAll(/'([a-zA-Z]+)'::text/g)].map((match) => match[1]);
  expect(known.sort()).toEqual([...ORDER_STATES].sort());
});
