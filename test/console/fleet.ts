/** A small fleet in the middle of a change, in rows: what the console's pages show. No worker, no workflow. */
import { randomBytes, randomUUID } from 'node:crypto';
import type pg from 'pg';
import type { ApprovalRule } from '../../domain/approval/rule.js';
import { type SeededAccount, seedAccount, seedChange } from '../helpers/seed-change.js';

export const PASSWORD = 'correct horse battery';

export interface ConsoleFleet {
  readonly ada: SeededAccount;
  readonly olga: SeededAccount;
  readonly changeId: string;
  readonly closedId: string;
  /** The one with a failure, and a history. */
  readonly endpointId: string;
  readonly locator: string;
  /** Two are exposed, one is proven fixed. */
  readonly zeroDayId: string;
}

const RINGS = [
  { name: 'Test group', size: 5 },
  { name: 'Early', size: 20 },
  { name: 'Office', size: 60 },
  { name: 'Servers', size: 35 },
];

const RULE: ApprovalRule = {
  from: { role: 'Administrator' },
  quorum: 1,
  remindEveryMinutes: 720,
  escalateAfterMinutes: 1440,
  escalateTo: { role: 'Manager' },
  expireAfterMinutes: 2880,
  highRisk: false,
};

export async function seedFleet(pool: pg.Pool): Promise<ConsoleFleet> {
  const ada = await seedAccount(pool, {
    name: 'Ada Lovelace',
    roles: ['Administrator'],
    password: PASSWORD,
    zone: 'Europe/Berlin',
  });
  const olga = await seedAccount(pool, { name: 'Olga', roles: ['Operator'], password: PASSWORD });
  const total = RINGS.reduce((n, ring) => n + ring.size, 0);
  const { rows } = await pool.query(
    `INSERT INTO endpoint (id, name, public_key, zone, labels, simulated, last_seen, facts, function)
     SELECT g.id, CASE WHEN n <= 25 THEN 'lab-' WHEN n <= 85 THEN 'office-' ELSE 'erp-' END || lpad(n::text, 3, '0'), g.id::text,
            'Europe/Berlin', jsonb_build_object('site', CASE WHEN n % 2 = 0 THEN 'berlin' ELSE 'graz' END, 'env', 'production'),
            n % 3 = 0, now() - n * interval '7 minutes', '{"os": "Debian GNU/Linux 12 (bookworm)", "kernel": "6.1.0-28-amd64"}', 'ERP'
       FROM (SELECT n, gen_random_uuid() AS id FROM generate_series(1, $1::int) n) g RETURNING id, name`,
    [total],
  );
  const ids = rows.sort((a, b) => a.name.localeCompare(b.name)).map((row) => row.id as string);
  let taken = 0;
  const rings = RINGS.map(({ name, size }) => {
    const endpoints = ids.slice(taken, taken + size);
    taken += size;
    return { name, endpoints, updates: [{ name: 'openssl', from: '3.0.14-1~deb12u2', to: '3.0.15-1~deb12u1' }] };
  });
  const change = { requestedBy: ada.id, reason: 'OpenSSL advisory DSA-5764 and the monthly updates' };
  const { changeId, planDigest } = await seedChange(pool, { ...change, name: 'November updates', rings });
  const { changeId: closedId } = await seedChange(pool, { requestedBy: ada.id, name: 'October updates', rings: [] });
  await pool.query(
    `UPDATE change SET stage = 'closed', outcome = 'completed', closed_at = now() - interval '20 days' WHERE id = $1`,
    [closedId],
  );
  await pool.query(
    `UPDATE change SET stage = 'deploy', waiting_for = 'hours of operation: 34 endpoints of ring 2, open Sat 22:00 Europe/Berlin', version = 9 WHERE id = $1`,
    [changeId],
  );
  await pool.query(
    `UPDATE ring SET state = CASE ordinal WHEN 0 THEN 'passed' WHEN 1 THEN 'passed' WHEN 2 THEN 'open' ELSE 'waiting' END,
            planned = (SELECT count(*) FROM plan_endpoint p WHERE p.change_id = ring.change_id AND p.ring = ordinal), opened_at = now()
      WHERE change_id = $1`,
    [changeId],
  );
  await pool.query(
    `INSERT INTO order_state (id, change_id, ring, home_ring, endpoint_id, kind, phase, state, reason)
     SELECT gen_random_uuid(), change_id, ring, ring, endpoint_id, 'change',
            CASE WHEN state = 'pending' THEN 'waiting' WHEN state IN ('applying', 'released') THEN 'holding' ELSE 'done' END, state,
            CASE WHEN state = 'failed' THEN 'dpkg: error processing package openssl (--configure): postinst exited with 1' END
       FROM (SELECT change_id, endpoint_id, ring, CASE WHEN ring = 0 THEN 'succeeded' WHEN ring = 1 AND n = 1 THEN 'failed'
                    WHEN ring = 1 THEN 'succeeded' WHEN n <= 18 THEN 'succeeded' WHEN n <= 20 THEN 'failed'
                    WHEN n <= 26 THEN 'applying' ELSE 'pending' END AS state
               FROM (SELECT *, row_number() OVER (PARTITION BY ring ORDER BY endpoint_id) n FROM plan_endpoint
                      WHERE change_id = $1 AND ring < 3) p) o`,
    [changeId],
  );
  const requestId = randomUUID();
  const locator = randomBytes(16).toString('hex');
  const evidence = {
    change: { id: changeId, name: 'November updates', reason: change.reason, requestedBy: 'Ada Lovelace', priority: 0 },
    ring: { ordinal: 3, name: 'Servers', endpoints: 35, limits: ['At most 8 at once'] },
    planDigest,
    ...{
      totals: { updates: 1, leftOut: 0 },
      updates: [],
      leftOut: [],
      cves: [],
      endpointNames: ['erp-086'],
      when: [],
      risk: [],
      test: [],
    },
  };
  await pool.query(
    `INSERT INTO approval_request (id, change_id, ring, rule, plan_digest, evidence, expires_at)
     VALUES ($1, $2, 3, $5, $3, $4, now() + interval '2 days')`,
    [requestId, changeId, planDigest, JSON.stringify(evidence), JSON.stringify(RULE)],
  );
  await pool.query(
    `INSERT INTO approval_person (request_id, account_id, via, locator) VALUES ($1, $2, 'role Administrator', $3)`,
    [requestId, ada.id, locator],
  );
  const failed = await pool.query(
    `SELECT id, endpoint_id FROM order_state WHERE change_id = $1 AND ring = 1 AND state = 'failed'`,
    [changeId],
  );
  const endpointId = failed.rows[0].endpoint_id as string;
  await history(pool, { endpointId, orderId: failed.rows[0].id });
  await pool.query(
    `INSERT INTO audit_entry (actor, action, subject, detail) VALUES ($1, 'change.requested', $2, $3), ($4, 'change.pause', $2, '{"reason": "a look first"}')`,
    [ada.id, `change/${changeId}`, JSON.stringify({ name: 'November updates' }), olga.id],
  );
  const zeroDayId = await zeroDay(pool, { requestedBy: ada.id, exposed: endpointId, fixed: ids[0] as string });
  return { ada, olga, changeId, closedId, endpointId, locator, zeroDayId };
}

/** One asked for an hour ago: one endpoint still has something older than 2.1, another is proven fixed. */
async function zeroDay(pool: pg.Pool, args: { requestedBy: string; exposed: string; fixed: string }): Promise<string> {
  const id = randomUUID();
  const targets = [
    { asked: 'package', kind: 'source', name: 'package', source: 'package', fixedIn: ['2.1'], below: '2.1' },
  ];
  await pool.query(
    `INSERT INTO zero_day (id, name, reason, request, targets, requested_by, requested_at, due_at, looked_at, exposed)
     VALUES ($1, 'Zero-day package', 'exploited in the wild', $2, $3, $4, now() - interval '1 hour', now() + interval '2 days', now(), 1)`,
    [
      id,
      JSON.stringify({ cves: [], packages: [{ name: 'package' }], override: { hours: false, freezes: false } }),
      JSON.stringify(targets),
      args.requestedBy,
    ],
  );
  await pool.query(
    `INSERT INTO zero_day_endpoint (zero_day_id, endpoint_id, exposed_since, fixed_at)
     VALUES ($1, $2, now() - interval '1 hour', NULL), ($1, $3, now() - interval '1 hour', now() - interval '10 minutes')`,
    [id, args.exposed, args.fixed],
  );
  return id;
}

async function history(pool: pg.Pool, { endpointId, orderId }: { endpointId: string; orderId: string }): Promise<void> {
  const scanId = randomUUID();
  await pool.query(
    `INSERT INTO scan (id, endpoint_id, started_at, complete, provider) VALUES ($1, $2, now(), true, 'apt')`,
    [scanId, endpointId],
  );
  await pool.query(
    `INSERT INTO installed_package (endpoint_id, name, arch, version, source, source_version, scan_id)
     SELECT $1, 'package-' || lpad(n::text, 4, '0'), 'amd64', '1.' || n, 'package', '1.' || n, $2 FROM generate_series(1, 1500) n`,
    [endpointId, scanId],
  );
  await pool.query(
    `INSERT INTO available_update (endpoint_id, name, arch, installed, candidate, scan_id)
     SELECT $1, 'package-' || lpad(n::text, 4, '0'), 'amd64', '1.' || n, '2.' || n, $2 FROM generate_series(1, 12) n`,
    [endpointId, scanId],
  );
  await pool.query(
    `INSERT INTO order_event (order_id, at, actor, event, seq, from_state, to_state)
     SELECT $1, now() - s.ago * interval '1 minute', s.actor, s.event, s.seq, s.a, s.b
       FROM (VALUES (9, 'server', 'release', NULL::int, 'pending', 'released'), (8, 'agent', 'accept', 1, 'released', 'accepted'),
                    (6, 'agent', 'start', 2, 'staged', 'applying'), (4, 'agent', 'fail', 3, 'applying', 'failed')) s (ago, actor, event, seq, a, b)`,
    [orderId],
  );
}
