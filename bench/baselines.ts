/** What results of security baselines cost: to take in one scan, to compare a fleet, to ask how it stands. */
import { randomUUID } from 'node:crypto';
import type { Installation } from '../demo/installation.js';
import { generateSigningKeyPem, keyIdOf, signingKeyFromPem } from '../protocol/envelope.js';
import { signRequest } from '../protocol/http-signature.js';
import { round, usageOf, usedBetween } from './processes.js';

const RULES = 400;
const SENDERS = 60;
const SAMPLES = 5;
const CHECKLIST = 'bench.v1.all.00000000';
const ruleId = (n: number) => `xccdf_org.example_rule_number_${n}`;
/** Share of results that fail. */
const FAILING = 0.15;

export async function measureBaselines(it: Installation, endpoints: number): Promise<object> {
  const digest = 'b'.repeat(64);
  await it.pool.query(
    `WITH b AS (INSERT INTO baseline (id, name, created_by) VALUES (gen_random_uuid(), 'bench', 'bench') RETURNING id),
     v AS (INSERT INTO baseline_version (id, baseline_id, number, sha256, size, benchmark_id, benchmark_version, title, platforms, groups,
                                         vals, profiles, imported_by, stored_at)
           SELECT gen_random_uuid(), id, 1, repeat('a', 64), 1, 'bench', '1', 'bench', '{}', '[]', '[]', '[]', 'bench', now() FROM b RETURNING id),
     c AS (INSERT INTO checklist (name, digest, version_id, profile, scanner_profile) SELECT $1, $2, id, 'p', 'p' FROM v RETURNING id)
     INSERT INTO checklist_rule (checklist_id, position, rule_id, name, title, severity)
     SELECT c.id, n, 'xccdf_org.example_rule_number_' || n, 'number-' || n, 'number ' || n, 'medium' FROM c, generate_series(0, $3::int - 1) n`,
    [CHECKLIST, digest, RULES],
  );
  await it.pool.query(
    `INSERT INTO endpoint (id, name, public_key, key_id)
     SELECT gen_random_uuid(), 'baseline-' || n, 'baseline-' || n, 'baseline-' || n FROM generate_series(1, $1::int) n`,
    [endpoints],
  );
  await it.pool.query(
    `INSERT INTO assessment (endpoint_id, checklist_id, results, revision, passed, failed, errors, not_applicable, not_checked, first_at, assessed_at)
     SELECT e.id, c.id, r.results, 1, length(replace(r.results, 'f', '')), length(replace(r.results, 'p', '')), 0, 0, 0, now(), now()
       FROM endpoint e CROSS JOIN checklist c
      CROSS JOIN LATERAL (SELECT string_agg(CASE WHEN random() < $1::float8 THEN 'f' ELSE 'p' END, '') AS results
                            FROM generate_series(1, $2::int) n WHERE e.name IS NOT NULL AND n > 0) r
      WHERE e.name LIKE 'baseline-%'`,
    [FAILING, RULES],
  );
  await it.pool.query('ANALYZE');
  const scan = await oneScan(it, digest);
  // Targets only now: with one, the worker would send orders to endpoints that nobody plays.
  await it.pool.query(
    `INSERT INTO assessment_target (endpoint_id, checklist_id, mode, every_minutes) SELECT endpoint_id, checklist_id, 'observe', 1440 FROM assessment`,
  );
  const [{ endpoint_id: gold }] = (await it.pool.query('SELECT endpoint_id FROM assessment LIMIT 1')).rows;
  await it.api('PUT', '/v1/gold-standards/bench', { endpointId: gold });
  return {
    endpoints,
    rules: RULES,
    scan,
    fleetDriftMs: await slowest(() => it.api('GET', '/v1/gold-standards/bench/drift')),
    fleetComplianceMs: await slowest(() => it.api('GET', '/v1/compliance')),
    complianceByRuleMs: await slowest(() => it.api('GET', `/v1/compliance/${CHECKLIST}/rules`)),
  };
}

/** CPU of database and web tier for one scan's results, everything included (signature, reading, storing), and for differences after it. */
async function oneScan(it: Installation, checklist: string): Promise<object> {
  const { token } = await it.api<{ token: string }>('POST', '/v1/join-tokens', { uses: SENDERS });
  const senders = await Promise.all(Array.from({ length: SENDERS }, (_, n) => enrol(it, token, n)));
  await it.pool.query(
    `INSERT INTO order_state (id, ring, home_ring, endpoint_id, kind, phase, state) SELECT e, 0, 0, e, 'scan', 'holding', 'released' FROM unnest($1::uuid[]) e`,
    [senders.map((sender) => sender.endpointId)],
  );
  const all = Object.fromEntries(Array.from({ length: RULES }, (_, n) => [ruleId(n), n % 7 === 0 ? 'fail' : 'pass']));
  const round_ = async (base: number | null, results: object) => {
    const before = usageOf(it.pids());
    for (const { endpointId, post } of senders)
      await post('/agent/v1/assessment', {
        protocol: 2,
        orderId: endpointId,
        checklist,
        startedAt: Date.now(),
        partial: false,
        base,
        results,
        problem: null,
        arf: null,
      });
    const { postgres, api } = usedBetween(before, usageOf(it.pids()));
    return round((((postgres?.cpuSeconds ?? 0) + (api?.cpuSeconds ?? 0)) * 1_000) / SENDERS, 1);
  };
  return {
    firstCpuMs: await round_(null, all),
    differencesCpuMs: await round_(1, { [ruleId(1)]: 'fail', [ruleId(2)]: 'fail' }),
    everythingAgainCpuMs: await round_(null, all),
  };
}

async function enrol(it: Installation, token: string, n: number) {
  const key = signingKeyFromPem(generateSigningKeyPem());
  const post = async (path: string, value: object) => {
    const body = Buffer.from(JSON.stringify(value), 'utf8');
    const headers = { 'content-type': 'application/json' };
    const request = { method: 'POST', path, query: null, headers, body };
    const created = Math.floor(Date.now() / 1_000);
    const signed = signRequest({ request, keyid: keyIdOf(key.publicKey), privateKey: key.privateKey, created });
    const reply = await fetch(new URL(path, it.url), { method: 'POST', headers: { ...headers, ...signed }, body });
    const answer = (await reply.json()) as { endpointId: string };
    if (!reply.ok) throw new Error(`${path}: ${reply.status} ${JSON.stringify(answer)}`);
    return answer;
  };
  const { endpointId } = await post('/agent/v1/enrol', {
    protocol: 2,
    token: token.split('.')[0],
    publicKey: key.publicKey,
    name: `sender-${n}`,
    machineId: randomUUID(),
    zone: 'Etc/UTC',
    scanOnly: false,
    simulated: true,
    facts: {},
  });
  return { endpointId, post };
}

async function slowest(work: () => Promise<unknown>): Promise<number> {
  let worst = 0;
  await work();
  for (let n = 0; n < SAMPLES; n++) {
    const began = performance.now();
    await work();
    worst = Math.max(worst, performance.now() - began);
  }
  return round(worst, 0);
}
