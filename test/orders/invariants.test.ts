/** What other tests assert at their end must be able to fail: each promise broken once, by hand. */
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import * as orders from '../../db/orders/index.js';
import { inTransaction } from '../../db/pool.js';
import { letOutAfterStop } from '../helpers/after-stop.js';
import { createDatabase, type TestDatabase } from '../helpers/postgres.js';
import { hostsAreWhereTheirOrdersSay } from '../helpers/stack/invariants.js';
import type { Stack } from '../helpers/stack.js';
import { addChange, addEndpoints, openRing, ordersOf } from './fleet.js';

// A loaded machine is slow, not wrong.
jest.setTimeout(300_000);

/** Not today: what rows say of their own time does not count. */
const T0 = Date.UTC(2026, 0, 10, 22);

let db: TestDatabase;
beforeAll(async () => {
  db = await createDatabase();
});
afterAll(() => db.drop());

const EVENTS = ['release', 'offer', 'permit'] as const;

describe('nothing is let out after a stop', () => {
  async function oneOrder(kind: 'change' | 'revert' = 'change') {
    const changeId = await addChange(db.pool, {
      now: T0,
      rings: [{ endpoints: await addEndpoints(db.pool, 1, { seenAt: T0 }) }],
    });
    await openRing(db.pool, { changeId, now: T0 });
    await db.pool.query('UPDATE order_state SET kind = $2 WHERE change_id = $1', [changeId, kind]);
    const orderId = (await ordersOf(db.pool, changeId, kind))[0]?.id;
    return {
      changeId,
      letOut: (event: string) =>
        db.pool.query(
          `INSERT INTO order_event (order_id, at, actor, event, from_state, to_state)
           VALUES ($1, to_timestamp($2 / 1000.0), 'server', $3, 'pending', 'released')`,
          [orderId, T0, event],
        ),
      halt: (verb: orders.HaltVerb) =>
        inTransaction(db.pool, (client) =>
          orders.haltChange(client, { changeId, verb, by: 'anna', reason: 'r', now: T0 }),
        ),
      resume: () => orders.clearHalt(db.pool, { changeId, ring: null, by: 'anna' }),
      rollBack: () =>
        orders.startRollback(db.pool, { changeId, ring: 0, by: 'anna', reason: 'r', ignoreWindows: true, now: T0 }),
      broken: () => letOutAfterStop(db.pool, [changeId]),
    };
  }

  it.each(['pause', 'abort', 'stopAll'] as const)('%s: before it, or after a resume, but not between', async (verb) => {
    const it1 = await oneOrder();
    for (const event of EVENTS) await it1.letOut(event);
    await it1.halt(verb);
    await it1.resume();
    for (const event of EVENTS) await it1.letOut(event);
    expect(await it1.broken()).toEqual([]);
    await it1.halt(verb);
    for (const event of EVENTS) await it1.letOut(event);
    expect(await it1.broken()).toEqual(
      EVENTS.map((event) =>
        expect.stringMatching(new RegExp(`^${event} of change order .* after change\\.${verb} at`)),
      ),
    );
  });

  it('what is undone goes on from where its rollback began; nothing else does', async () => {
    for (const [kind, broken] of [
      ['revert', 0],
      ['change', 1],
    ] as const) {
      const it1 = await oneOrder(kind);
      await it1.halt('abort');
      await it1.rollBack();
      await it1.letOut('release');
      expect(await it1.broken()).toHaveLength(broken);
    }
  });

  it('a change that was stopped before it had rings goes on by a resume on record', async () => {
    const it1 = await oneOrder();
    await it1.halt('pause');
    await db.pool.query('UPDATE ring SET halted = false WHERE change_id = $1', [it1.changeId]);
    await it1.resume();
    await it1.resume();
    await it1.letOut('release');
    expect(await it1.broken()).toEqual([]);
    const { rows } = await db.pool.query(
      `SELECT detail FROM audit_entry WHERE subject = $1 AND action = 'change.resumed'`,
      [`change/${it1.changeId}`],
    );
    expect(rows).toEqual([{ detail: { rings: [] } }]);
  });
});

describe('hosts are where their orders say', () => {
  const looking = (args: { state: string; outcome: string | null; to: string; installed: string }) =>
    hostsAreWhereTheirOrdersSay({
      rows: async () =>
        [
          {
            host: 'h',
            id: 'o',
            change_order: 'o',
            ...args,
            items: [{ name: 'app', from: '1.0-1', to: args.to }],
          },
        ] as never,
      host: () => ({ version: () => args.installed }) as unknown as ReturnType<Stack['host']>,
    });

  it.each([
    ['exactly what was planned', 'succeeded', null, '2.0-1', '2.0-1', true],
    ['another version', 'succeeded', null, '2.0-1', '3.0-1', false],
    ['satisfied by a newer one', 'succeeded', 'satisfied', '9.0-1', '10.0-1', true],
    [
      '"satisfied" by an older one that a text would take for newer',
      'succeeded',
      'satisfied',
      '10.0-1',
      '9.0-1',
      false,
    ],
    ['"satisfied" by a release candidate', 'succeeded', 'satisfied', '2.0', '2.0~rc1', false],
  ])('%s', async (_name, state, outcome, to, installed, kept) => {
    expect(await looking({ state, outcome, to, installed })).toHaveLength(kept ? 0 : 1);
  });
});
