/** Which orders may set hours or freezes aside: read from rows alone, in every state of the approval. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import * as orders from '../../db/orders/index.js';
import { createDatabase, type TestDatabase } from '../helpers/postgres.js';
import { addChange, addEndpoints, openRing, PLAN } from '../orders/fleet.js';

const T0 = Date.UTC(2026, 0, 10, 22);
const BOTH = { hours: true, freezes: true };
const HOURS = { hours: true, freezes: false };
const NONE = { hours: false, freezes: false };
let db: TestDatabase;
beforeAll(async () => {
  db = await createDatabase();
});
afterAll(() => db.drop());

test.each([
  ['approved, exactly that', { plan: HOURS, rule: HOURS, state: 'approved' }, HOURS],
  ['approved, both', { plan: BOTH, rule: BOTH, state: 'approved' }, BOTH],
  ['the rule allows less than the plan wants', { plan: BOTH, rule: HOURS, state: 'approved' }, HOURS],
  ['the rule allows more than the plan names', { plan: HOURS, rule: BOTH, state: 'approved' }, HOURS],
  ['the plan names nothing', { plan: null, rule: BOTH, state: 'approved' }, NONE],
  ['an ordinary approval', { plan: BOTH, rule: null, state: 'approved' }, NONE],
  ['still asked', { plan: HOURS, rule: HOURS, state: 'open' }, NONE],
  ['expired', { plan: HOURS, rule: HOURS, state: 'expired' }, NONE],
  ['rejected', { plan: HOURS, rule: HOURS, state: 'rejected' }, NONE],
  ['voided', { plan: HOURS, rule: HOURS, state: 'voided' }, NONE],
  ['approved for another ring', { plan: HOURS, rule: HOURS, state: 'approved', ring: 1 }, NONE],
  [
    'approved, but not what the ring was opened on',
    { plan: HOURS, rule: HOURS, state: 'approved', named: false },
    NONE,
  ],
  ['approved for a plan no longer in force', { plan: HOURS, rule: HOURS, state: 'approved', moved: true }, NONE],
] as const)('%s', async (_, given, expected) => {
  const endpoints = await addEndpoints(db.pool, 1, { seenAt: T0 });
  const changeId = await addChange(db.pool, { now: T0, rings: [{ endpoints }] });
  const header = given.plan === null ? { budgets: {} } : { budgets: { override: given.plan } };
  await db.pool.query('INSERT INTO plan (change_id, revision, digest, header) VALUES ($1, 1, $2, $3)', [
    changeId,
    PLAN,
    header,
  ]);
  await openRing(db.pool, { changeId, now: T0 });
  const id = randomUUID();
  await db.pool.query(
    `INSERT INTO approval_request (id, change_id, ring, rule, plan_digest, evidence, state, expires_at)
     VALUES ($1, $2, $3, $4, $5, '{}', $6, now())`,
    [
      id,
      changeId,
      'ring' in given ? given.ring : 0,
      given.rule === null ? {} : { overrides: given.rule },
      PLAN,
      given.state,
    ],
  );
  if (!('named' in given))
    await db.pool.query('UPDATE ring SET approvals = ARRAY[$2::uuid] WHERE change_id = $1', [changeId, id]);
  if ('moved' in given) {
    await db.pool.query('UPDATE change SET plan_digest = $2, plan_revision = 2 WHERE id = $1', [
      changeId,
      'c'.repeat(64),
    ]);
    await db.pool.query('INSERT INTO plan (change_id, revision, digest, header) VALUES ($1, 2, $2, $3)', [
      changeId,
      'c'.repeat(64),
      header,
    ]);
  }
  const { groups } = await orders.loadWindowGroups(db.pool, { changeId, ring: 0, target: 'change' });
  expect(groups.map((group) => group.override)).toEqual([expected]);
});
