import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { parse } from 'yaml';
import { startApi, type TestApi } from '../helpers/api-server.js';
import { createDatabase, type TestDatabase } from '../helpers/postgres.js';
import { repositoryRoot } from '../helpers/repository.js';

const folder = join(repositoryRoot, 'docs/grafana');
const NOW = Date.now();
let db: TestDatabase;
let api: TestApi;

beforeAll(async () => {
  db = await createDatabase();
  api = await startApi({ apiUrl: db.apiUrl, pool: db.pool });
});
afterAll(async () => {
  await api?.close();
  await db?.drop();
});

const scrape = async (): Promise<string> => (await api.call('GET', '/metrics', { token: null })).body as string;
/** Values are read at most every five seconds. */
const later = () => api.skip(6_000);

describe('metrics', () => {
  test('is it healthy: a worker that was never heard of is not, one that tells is, with its duties', async () => {
    expect(await scrape()).toMatch(/^ringmaster_worker_up 0$/m);
    const duties = [
      { name: 'outbox', lastRunAt: NOW, lastError: null },
      { name: 'mail', lastRunAt: null, lastError: 'connection refused' },
    ];
    const heartbeat = { at: NOW, temporal: { reachable: true, detail: null }, duties };
    await db.pool.query(`INSERT INTO setting (key, value) VALUES ('workerHeartbeat', $1)`, [JSON.stringify(heartbeat)]);
    later();
    const text = await scrape();
    expect(text).toMatch(/^ringmaster_worker_up 1$/m);
    expect(text).toMatch(/^ringmaster_temporal_up 1$/m);
    expect(text).toMatch(/^ringmaster_duty_idle_seconds\{duty="outbox"\} \d/m);
    expect(text).not.toMatch(/^ringmaster_duty_idle_seconds\{duty="mail"\}/m);
    expect(text).toMatch(/^ringmaster_duty_failing\{duty="mail"\} 1$/m);
  });

  test('who waits, and is it late', async () => {
    const change = async (id: string, deadline: string, halted: boolean) =>
      db.pool.query(
        `INSERT INTO change (id, kind, name, spec, requested_by, deadline, halted) VALUES ($1, 'patch', 'c', '{}', 'x', ${deadline}, $2)`,
        [id, halted],
      );
    const waits = '00000000-0000-4000-8000-000000000001';
    await change(waits, `now() - interval '1 hour'`, false);
    await change('00000000-0000-4000-8000-000000000002', `now() + interval '1 day'`, true);
    await db.pool.query(
      `INSERT INTO approval_request (id, change_id, ring, rule, plan_digest, evidence, opened_at, expires_at)
       VALUES (gen_random_uuid(), $1, 1, '{"from": {"stakeholder": "itOwner"}}', 'd', '{}', now() - interval '2 hours', now())`,
      [waits],
    );
    await db.pool.query(
      `INSERT INTO mail (key, recipient, subject, text_body, html_body, attempts) VALUES ('m', 'a@b.test', 's', 't', 'h', 3)`,
    );
    later();
    const text = await scrape();
    expect(text).toMatch(/^ringmaster_changes_waiting\{on="approval"\} 1$/m);
    expect(text).toMatch(/^ringmaster_changes_waiting\{on="halt"\} 1$/m);
    expect(text).toMatch(/^ringmaster_approval_requests_open\{from="itOwner"\} 1$/m);
    expect(Number(/approval_requests_oldest_seconds\{from="itOwner"\} ([\d.]+)/.exec(text)?.[1])).toBeGreaterThan(
      7_000,
    );
    expect(text).toMatch(/^ringmaster_changes_past_deadline 1$/m);
    expect(text).toMatch(/^ringmaster_nearest_deadline_seconds -\d/m);
    expect(text).toMatch(/^ringmaster_mail_backlog\{state="failing"\} 1$/m);
  });

  test('requests are counted by declared route: neither ids nor inventions make time series', async () => {
    await api.call('GET', `/v1/changes/00000000-0000-4000-8000-000000000001`);
    await api.call('GET', '/v1/changes/not-an-id');
    await api.call('GET', '/made/up/by/a/stranger');
    await api.call('GET', '/agent/v1/made-up', { token: null });
    const routes = new Set(
      [...(await scrape()).matchAll(/request_seconds_count\{[^}]*route="([^"]*)"/g)].map((m) => m[1]),
    );
    expect([...routes].sort()).toEqual(['/v1/changes/:id', 'unmatched']);
  });

  test('the dashboard and the alerts ask for metrics that are there', async () => {
    const text = await scrape();
    const names = new Set([...text.matchAll(/^# TYPE (\S+)/gm)].map((m) => m[1] as string));
    const expressions = [
      ...[...readFileSync(join(folder, 'ringmaster.json'), 'utf8').matchAll(/"expr": "((?:[^"\\]|\\.)*)"/g)].map(
        (m) => m[1],
      ),
      ...parse(readFileSync(join(folder, 'alerts.yaml'), 'utf8')).groups[0].rules.map(
        (rule: { expr: string }) => rule.expr,
      ),
    ];
    const asked = expressions.flatMap((one) => String(one).match(/ringmaster_[a-z_]+/g) ?? []);
    expect(asked.length).toBeGreaterThan(30);
    const unknown = asked.filter((name) => !names.has(name.replace(/_(bucket|count|sum)$/, '')));
    expect(unknown).toEqual([]);
  });
});
