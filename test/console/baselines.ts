/** A fleet measured by a baseline, in rows: what the pages of compliance show. No worker. */
import { randomUUID } from 'node:crypto';
import type pg from 'pg';
import { ADMIN_TOKEN, type TestApi } from '../helpers/api-server.js';
import { TEST_PROFILE, type TestRule, testDataStream, testRuleId } from '../helpers/data-stream.js';
import { type SeededAccount, seedAccount } from '../helpers/seed-change.js';

export const PASSWORD = 'correct horse battery';
export const RULES: readonly TestRule[] = [
  rule('sshd_no_root', { severity: 'high', fix: "echo 'PermitRootLogin no' >>/etc/ssh/sshd_config\n" }),
  rule('sudo_installed', { fix: 'DEBIAN_FRONTEND=noninteractive apt-get install -y "sudo"\n' }),
  rule('telnet_removed', { severity: 'high', fix: 'DEBIAN_FRONTEND=noninteractive apt-get remove -y "telnet"\n' }),
  rule('partition_for_tmp', { severity: 'low', fix: null }),
  ...Array.from({ length: 36 }, (_, n) => rule(`limit_${n}`, { severity: 'low' })),
];
/** Of 120 endpoints that are measured, this many fail the rule of that place. */
const FAIL_ON = [60, 30, 12, 5] as const;
export const ENDPOINTS = 120;

function rule(name: string, over: Partial<TestRule> = {}): TestRule {
  return { name, file: `/etc/${name}`, line: 'yes', fix: `echo yes >/etc/${name}\n`, ...over };
}

export interface MeasuredFleet {
  readonly ada: SeededAccount;
  readonly olga: SeededAccount;
  readonly checklist: string;
  readonly baseline: string;
  /** Fails the first four rules. */
  readonly endpointId: string;
  readonly incidentId: string;
}

/** The data stream as people import it. @returns the version's number */
export async function importStream(api: TestApi, name = 'debian12'): Promise<number> {
  const headers = { authorization: `Bearer ${ADMIN_TOKEN}`, 'content-type': 'application/xml' };
  const body = testDataStream({ rules: RULES });
  const reply = await fetch(`${api.url}/v1/baselines?name=${name}`, { method: 'POST', headers, body });
  if (reply.status > 201) throw new Error(`${reply.status} ${await reply.text()}`);
  return ((await reply.json()) as { number: number }).number;
}

export async function seedPeople(pool: pg.Pool): Promise<{ ada: SeededAccount; olga: SeededAccount }> {
  const zone = 'Europe/Berlin';
  return {
    ada: await seedAccount(pool, { name: 'Ada Lovelace', roles: ['Manager'], password: PASSWORD, zone }),
    olga: await seedAccount(pool, { name: 'Olga', roles: ['Operator'], password: PASSWORD }),
  };
}

/** Imported, assigned to all with a trial on group `canaries` (12 endpoints), and measured: 120 of 125 endpoints. */
export async function seedMeasured(
  pool: pg.Pool,
  { api, people }: { api: TestApi; people: { ada: SeededAccount; olga: SeededAccount } },
): Promise<MeasuredFleet> {
  await importStream(api);
  for (const [name, selector] of [
    ['canaries', { labels: { canary: 'yes' } }],
    ['web', { labels: { role: 'web' } }],
  ] as const)
    await api.call('PUT', `/v1/groups/${name}`, { body: { selector } });
  const assignment = {
    ...{ baseline: 'debian12', profile: TEST_PROFILE, appliesTo: { all: true }, precedence: 10, mode: 'observe' },
    trial: { mode: 'propose', appliesTo: { groups: ['canaries'] } },
    critical: [testRuleId('sshd_no_root')],
  };
  const put = await api.call('PUT', '/v1/baseline-assignments/servers', { body: assignment });
  if (put.status !== 200) throw new Error(JSON.stringify(put.body));
  const { checklist } = put.body;
  const endpoints = await pool.query<{ id: string }>(
    `INSERT INTO endpoint (id, name, public_key, zone, labels, last_seen)
     SELECT id, 'web-' || lpad(n::text, 3, '0'), id::text, 'Europe/Berlin', jsonb_build_object('role', 'web', 'canary', CASE WHEN n <= 12 THEN 'yes' ELSE 'no' END), now()
       FROM (SELECT n, gen_random_uuid() AS id FROM generate_series(1, $1::int + 5) n) g RETURNING id`,
    [ENDPOINTS],
  );
  await pool.query(
    `INSERT INTO assessment_target (endpoint_id, checklist_id, assignment_id, mode, every_minutes, in_trial)
     SELECT e.id, a.checklist_id, a.id, CASE WHEN e.labels ->> 'canary' = 'yes' THEN 'propose' ELSE 'observe' END, 1440, e.labels ->> 'canary' = 'yes'
       FROM endpoint e, baseline_assignment a`,
  );
  await pool.query(
    `INSERT INTO assessment (endpoint_id, checklist_id, results, revision, passed, failed, errors, not_applicable, not_checked, first_at, assessed_at)
     SELECT e.id, c.id, r.results, 1, length(replace(replace(r.results, 'f', ''), 'e', '')), length(r.results) - length(replace(r.results, 'f', '')),
            length(r.results) - length(replace(r.results, 'e', '')), 0, 0, now() - interval '30 days', now() - n * interval '10 minutes'
       FROM (SELECT id, row_number() OVER (ORDER BY name) AS n FROM endpoint) e, checklist c,
            LATERAL (SELECT string_agg(CASE WHEN n <= ($1::int[])[p + 1] THEN 'f' WHEN n = 100 AND p = 5 THEN 'e' ELSE 'p' END, '' ORDER BY p) AS results
                       FROM generate_series(0, $2::int - 1) p) r
      WHERE n <= $3`,
    [[...FAIL_ON], RULES.length, ENDPOINTS],
  );
  const endpointId = endpoints.rows[0]?.id ?? '';
  // The second rule began to fail there two days ago; one was put right elsewhere.
  await pool.query(
    `INSERT INTO rule_change (endpoint_id, checklist_id, position, before, after, at)
     SELECT $1::uuid, id, 1, 'p'::"char", 'f'::"char", now() - interval '2 days' FROM checklist UNION ALL
     SELECT $2::uuid, id, 7, 'f', 'p', now() - interval '1 day' FROM checklist`,
    [endpointId, endpoints.rows[3]?.id],
  );
  const expiresAt = new Date(Date.now() + 30 * 86_400_000).toISOString();
  const granted = await api.call('POST', '/v1/exceptions', {
    body: {
      selector: { groups: ['web'] },
      rule: 'telnet_*',
      reason: 'the plant needs it',
      owner: people.olga.id,
      expiresAt,
    },
  });
  if (granted.status !== 201) throw new Error(JSON.stringify(granted.body));
  const incidentId = randomUUID();
  await pool.query(
    `WITH n AS (INSERT INTO noticed (endpoint_id, key, kind, action, name, noticed_at, received_at)
                VALUES ($2, 'k', 'privilegedUser', 'added', 'mallory', now(), now()) RETURNING id)
     INSERT INTO incident (id, noticed_id, endpoint_id, rule, respond, severity, subject, summary, opened_at, escalate_at)
     SELECT $1, n.id, $2, 'new-root', 'incident', 'critical', 'privilegedUser added mallory', 'web-001 has the new privileged user mallory',
            now() - interval '5 minutes', now() + interval '50 minutes' FROM n`,
    [incidentId, endpointId],
  );
  return { ...people, checklist, baseline: 'debian12', endpointId, incidentId };
}
