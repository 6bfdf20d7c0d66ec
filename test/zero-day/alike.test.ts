/**
 * Exposed endpoints are judged by groups of alike ones. What the groups add up to must be what judging each of them says, for a fleet in
 * which everything that can tell endpoints apart does.
 */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { groupAlike } from '../../db/zero-day/alike.js';
import { judgeAllExposed, listExposure } from '../../db/zero-day/exposure.js';
import { insertZeroDay, readZeroDay, type ZeroDayRow } from '../../db/zero-day/zero-day.js';
import { standingOf } from '../../domain/zero-day/exposure.js';
import { createDatabase, type TestDatabase } from '../helpers/postgres.js';
import { seedAccount, seedPolicy } from '../helpers/seed-change.js';

const ENDPOINTS = 900;
const ZERO_DAY = {
  name: 'nginx',
  reason: 'a test',
  request: { cves: [], packages: [], override: { hours: false, freezes: false } },
  targets: [
    { asked: 'nginx', kind: 'package', name: 'nginx', source: 'nginx', fixedIn: ['2'], below: '2' },
    { asked: 'nginx', kind: 'package', name: 'nginx-core', source: 'nginx', fixedIn: ['2'], below: '2' },
  ],
  requestedBy: 'test',
  dueAt: Date.now() + 3_600_000,
  exposed: ENDPOINTS,
  now: Date.now(),
} as const;

let db: TestDatabase;
let zeroDay: ZeroDayRow;
const run = (sql: string, values: readonly unknown[] = []) => db.pool.query(sql, [...values]);

beforeAll(async () => {
  db = await createDatabase();
  const client = await db.pool.connect();
  const scope = { where: 'not name ~ "*7" and (lastSeen < 2h or scanOnly)' };
  const id = await insertZeroDay(client, { ...ZERO_DAY, scope });
  client.release();
  zeroDay = (await readZeroDay(db.pool, id)) as ZeroDayRow;
  const nights = { windows: [{ rrule: 'FREQ=YEARLY;BYMONTH=1;BYMONTHDAY=1', from: '03:00', to: '03:30' }] };
  await seedPolicy(db.pool, { name: 'most', document: { appliesTo: { where: 'not label.site = c' } } });
  await seedPolicy(db.pool, {
    name: 'rival',
    document: { appliesTo: { names: ['odd-0004', 'odd-0104', 'odd-0014'] } },
  });
  await seedPolicy(db.pool, {
    name: 'late',
    document: {
      appliesTo: { labels: { site: 'b' } },
      hours: { communicate: { always: true }, stage: nights, apply: nights },
    },
  });
  await run(`UPDATE policy_set SET precedence = 5 WHERE name = 'late'`);
  const owner = await seedAccount(db.pool, { name: 'Ada' });
  await run(
    `INSERT INTO exception (id, selector, package, cve, reason, owner, approved_by, created_at, expires_at)
     VALUES (gen_random_uuid(), '{"where": "name ~ odd-*3 and label.site = a"}', 'nginx*', NULL, 'r', $1, 'x', now(), now() + interval '1 day'),
            (gen_random_uuid(), '{"labels": {"site": "a"}}', NULL, 'CVE-2026-1', 'r', $1, 'x', now(), now() + interval '1 day')`,
    [owner.id],
  );
  // One of each list, at random but always the same.
  const client2 = await db.pool.connect();
  try {
    await client2.query('SELECT setseed(0.25)');
    const one = (...values: string[]) => `(ARRAY[${values.join(', ')}])[1 + floor(random() * ${values.length})::int]`;
    const some = (share: number) => `random() < ${share}`;
    await client2.query(
      `INSERT INTO endpoint (id, name, public_key, state, scan_only, zone, labels, local_limits, hold_until, clock_skew_ms, last_seen,
                             next_poll_at, sensitivity)
       SELECT gen_random_uuid(), 'odd-' || lpad(n::text, 4, '0'), n::text, ${one("'active'", "'active'", "'active'", "'quarantined'", "'retired'")},
              ${some(0.1)}, ${one("'UTC'", "'Asia/Tokyo'")}, jsonb_build_object('site', ${one("'a'", "'b'", "'c'")}),
              ${one(`'{}'::jsonb`, `'{}'::jsonb`, `'{"hold": "no"}'::jsonb`)},
              ${one('NULL', 'NULL', `now() - interval '1 h'`, `now() + interval '1 h'`)}, ${one('0', '0', '-90000', '-180000', '500000')},
              ${one('NULL', 'now()', `now() - interval '20 min'`, `now() - interval '3 h'`)},
              ${one('NULL', `now() + interval '5 min'`, `now() - interval '10 min'`)}, ${one('NULL', "'low'", "'high'")}
         FROM generate_series(1, ${ENDPOINTS}) AS n`,
    );
    await client2.query(
      `INSERT INTO scan (id, endpoint_id, started_at, received_at, complete, provider)
       SELECT gen_random_uuid(), id, now(), now(), ${some(0.9)}, 'apt' FROM endpoint WHERE ${some(0.95)}`,
    );
    await client2.query(
      `INSERT INTO installed_package (endpoint_id, name, arch, version, source, source_version, scan_id)
       SELECT e.id, p, 'amd64', ${one("'1'", "'1'", "'1.5'", "'2'")}, 'nginx', '1', gen_random_uuid()
         FROM endpoint e, unnest(ARRAY['nginx', 'nginx-core']) p WHERE p = 'nginx' OR ${some(0.4)}`,
    );
    await client2.query(
      `INSERT INTO available_update (endpoint_id, name, arch, installed, candidate, scan_id)
       SELECT endpoint_id, name, arch, version, ${one("'2'", "'2'", "'1.9'")}, scan_id FROM installed_package WHERE version <> '2' AND ${some(0.8)}`,
    );
    await client2.query(
      `INSERT INTO update_fact (endpoint_id, name, arch, version, source, cves, first_missing_at, last_missing_at)
       SELECT endpoint_id, name, arch, candidate, 'nginx', ${one(`'{}'`, `'{CVE-2026-1}'`, `'{CVE-2026-1,CVE-2026-2}'`)}::text[], now(), now()
         FROM available_update`,
    );
    await client2.query(
      `INSERT INTO zero_day_endpoint (zero_day_id, endpoint_id, exposed_since, fixed_at)
       SELECT $1, id, now(), CASE WHEN ${some(0.1)} THEN now() END FROM endpoint`,
      [zeroDay.id],
    );
    const changes: [string, number, string, boolean, boolean][] = [
      // Name, priority, stage, closed, of this zero-day.
      ['urgent', 900, 'deploy', false, true],
      ['again', 900, 'obtain', false, true],
      ['routine', 0, 'test', false, false],
      ['gone', 0, 'closed', true, true],
    ];
    for (const [name, priority, stage, closed, mine] of changes) {
      const changeId = randomUUID();
      await client2.query(
        `INSERT INTO change (id, kind, name, spec, priority, requested_by, deadline, plan_digest, plan_revision, zero_day_id, stage, closed_at,
                             outcome, halted)
         VALUES ($1, 'patch', $2, '{}', $3, 'p', now() + interval '3 days', 'd', 1, $4, $5, CASE WHEN $6 THEN now() END,
                 CASE WHEN $6 THEN 'completed' END, false)`,
        [changeId, name, priority, mine ? zeroDay.id : null, stage, closed],
      );
      await client2.query(
        `INSERT INTO ring (change_id, ordinal, name, spec, state, halted)
         VALUES ($1, 0, 'first', '{}', 'open', false), ($1, 1, 'rest', '{}', 'waiting', false), ($1, 2, 'held', '{}', 'open', true)`,
        [changeId],
      );
      const declined = `'[{"name": "nginx", "arch": "amd64", "outcome": "declined", "reason": "r"}]'::jsonb`;
      await client2.query(
        `INSERT INTO plan_endpoint (change_id, endpoint_id, revision, ring, triage, skipped_by)
         SELECT $1, id, 1, ${one('0', '1', '2', 'NULL')}, ${one(`'[]'::jsonb`, `'[]'::jsonb`, declined)}, CASE WHEN ${some(0.1)} THEN 'ada' END
           FROM endpoint WHERE ${some(0.5)}`,
        [changeId],
      );
      const states = [
        'pending',
        'released',
        'staged',
        'applying',
        'awaitingReboot',
        'failed',
        'succeeded',
        'skipped',
        'expired',
      ]
        .concat(['withdrawn', 'superseded', 'stalled', 'reverted'])
        .map((state) => `'${state}'`);
      const holding = `('released', 'staged', 'applying', 'awaitingReboot', 'stalled')`;
      await client2.query(
        `INSERT INTO order_state (id, change_id, ring, home_ring, endpoint_id, kind, attempt, state, phase, permit_until, next_open, next_close,
                                  straggler_reason)
         SELECT gen_random_uuid(), $1, ring, ring, endpoint_id, 'change', attempt, state,
                CASE WHEN state = 'pending' THEN 'waiting' WHEN state IN ${holding} THEN 'holding' ELSE 'done' END,
                ${one('NULL', `now() + interval '4 min'`, `now() - interval '4 min'`)}, ${one('NULL', 'now()', `now() + interval '2 h'`)},
                now() + interval '3 h', CASE WHEN ${some(0.2)} THEN 'offline' END
           FROM (SELECT ring, endpoint_id, attempt, ${one(...states)} AS state FROM plan_endpoint, generate_series(1, 2) AS attempt
                  WHERE change_id = $1 AND ring IS NOT NULL AND ${some(0.7)}) x
         ON CONFLICT DO NOTHING`,
        [changeId],
      );
    }
  } finally {
    client2.release();
  }
});
afterAll(() => db?.drop());

test('groups of alike endpoints add up to what judging each of them says', async () => {
  const now = Date.now();
  const { items } = await listExposure(db.pool, { zeroDay, show: 'exposed', after: null, limit: 10_000, now });
  const each = standingOf({ id: zeroDay.id, exposed: items.map((item) => ({ ...item, endpoints: 1 })) });
  expect(standingOf({ id: zeroDay.id, exposed: await judgeAllExposed(db.pool, { zeroDay, now }) })).toEqual(each);
  // Enough of them to tell a difference.
  expect(each.counted).toBeGreaterThan(500);
  expect(Object.keys(each.byState).sort()).toEqual(
    [
      'excepted',
      'failed',
      'fixed',
      'inProgress',
      'noFix',
      'noPolicy',
      'offline',
      'outOfScope',
      'unfit',
      'waiting',
    ].sort(),
  );
  expect(Object.keys(each.byReason).length).toBeGreaterThan(15);
});

test('what tells nobody apart makes no group of its own', async () => {
  await run(`UPDATE endpoint SET last_seen = now() - random() * interval '5 min', next_poll_at = now(), name = 'even-' || name,
    state = CASE WHEN state = 'retired' THEN state ELSE 'active' END, scan_only = false, zone = 'UTC', labels = '{"site": "a"}', local_limits = '{}',
    hold_until = now() - random() * interval '1 h', clock_skew_ms = (random() * 1000)::int, sensitivity = NULL`);
  await run('DELETE FROM order_state');
  await run('DELETE FROM plan_endpoint');
  await run(`UPDATE installed_package SET version = '1'`);
  await run('DELETE FROM available_update');
  await run('DELETE FROM update_fact');
  await run(`DELETE FROM installed_package WHERE name = 'nginx-core'`);
  await run('DELETE FROM scan');
  const groups = await groupAlike(db.pool, { zeroDay, now: Date.now() });
  // By the last letter of their names alone, which the scope asks for.
  expect(groups).toHaveLength(2);
});
