/** Exceptions in planning, on a real database: what they take out, for whom, until when, and what stays approved. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createStageActivities } from '../../activities/stages.js';
import { createDatabase, type TestDatabase } from '../helpers/postgres.js';
import { createFleet, type HostUpdate, NOW, stageDeps } from './fleet.js';

const CURL: HostUpdate = { name: 'libcurl4', from: '7.88-1', to: '7.88-2', source: 'curl' };
const OPENSSL: HostUpdate = { name: 'openssl', from: '3.0-1', to: '3.0-2' };
const HOUR = 3_600_000;
const UNTIL = NOW + 24 * HOUR;

let database: TestDatabase;
let owner: string;
beforeAll(async () => {
  database = await createDatabase();
  const fleet = createFleet(database.pool);
  await fleet.repository();
  await fleet.policy('All');
  await fleet.group('shop', { where: 'function = shop' });
  await fleet.catalogue('libcurl4', '7.88-2', { source: 'curl' });
  await fleet.catalogue('openssl', '3.0-2');
  await fleet.catalogue('libcurl4', '7.88-1', { source: 'curl', withdrawn: true });
  await fleet.catalogue('openssl', '3.0-1', { withdrawn: true });
  for (const name of ['shop-1', 'shop-2', 'office-1']) {
    await fleet.endpoint(name, { updates: name === 'shop-2' ? [CURL] : [CURL, OPENSSL] });
  }
  await database.pool.query(`UPDATE endpoint SET function = 'shop' WHERE name LIKE 'shop-%'`);
  await database.pool.query(
    `INSERT INTO source_fix (source, version, cves) VALUES ('openssl', '3.0-2', '{CVE-2026-1111,CVE-2026-2222}')`,
  );
  owner = randomUUID();
  await database.pool.query(`INSERT INTO account (id, name, email) VALUES ($1, 'Ada', 'ada@example.org')`, [owner]);
});
afterAll(() => database.drop());

const except = (what: { package?: string; cve?: string; selector?: object; revoked?: boolean; expiresAt?: number }) =>
  database.pool.query(
    `INSERT INTO exception (id, selector, package, cve, reason, owner, approved_by, created_at, expires_at, revoked_at)
     VALUES ($1, $2, $3, $4, 'breaks the till', $5, 'boss', to_timestamp($6 / 1000.0), to_timestamp($7 / 1000.0),
             CASE WHEN $8 THEN now() END)`,
    [
      randomUUID(),
      what.selector ?? { all: true },
      what.package ?? null,
      what.cve ?? null,
      owner,
      NOW - 30 * 24 * HOUR,
      what.expiresAt ?? UNTIL,
      what.revoked ?? false,
    ],
  );
const freeze = (changeId: string, at = NOW) =>
  createStageActivities(stageDeps(database.pool, { clock: () => at })).freezePlan({ changeId, reason: 'test' });
const planned = async (changeId: string) => {
  const { rows } = await database.pool.query(
    `SELECT e.name, p.ring, p.reason, p.triage, coalesce(jsonb_path_query_array(u.items, '$[*].name'), '[]') AS updates
       FROM plan_endpoint p JOIN endpoint e ON e.id = p.endpoint_id LEFT JOIN update_set u ON u.digest = p.update_set_digest
      WHERE p.change_id = $1`,
    [changeId],
  );
  return Object.fromEntries(rows.map((row) => [row.name, row]));
};
const change = () => createFleet(database.pool).change();

describe('an exception', () => {
  test('takes its updates out where it applies, and approvers read why', async () => {
    await database.pool.query('DELETE FROM exception');
    await except({ package: 'curl', selector: { groups: ['shop'] } });
    const changeId = await change();
    await freeze(changeId);
    const rows = await planned(changeId);
    expect(rows['office-1']).toMatchObject({ ring: 0, updates: ['libcurl4', 'openssl'] });
    expect(rows['shop-1']).toMatchObject({ ring: 0, updates: ['openssl'] });
    expect(rows['shop-1'].triage).toContainEqual(
      expect.objectContaining({
        name: 'libcurl4',
        outcome: 'declined',
        rule: 'excepted',
        reason: `excepted until ${new Date(UNTIL).toISOString()} by Ada: breaks the till`,
      }),
    );
    expect(rows['shop-2']).toMatchObject({ ring: null, reason: 'nothing to do: 0 updates deferred, 1 declined' });
  });

  test.each<[string, Parameters<typeof except>[0][], string[]]>([
    ['for one of two CVEs', [{ cve: 'CVE-2026-1111' }], ['libcurl4', 'openssl']],
    ['for every CVE', [{ cve: 'CVE-2026-1111' }, { cve: 'CVE-2026-2222' }], ['libcurl4']],
    ['that is revoked', [{ package: 'openssl', revoked: true }], ['libcurl4', 'openssl']],
    ['that has expired', [{ package: 'openssl', expiresAt: NOW }], ['libcurl4', 'openssl']],
    ['of somebody else', [{ package: 'openssl', selector: { names: ['shop-1'] } }], ['libcurl4', 'openssl']],
  ])('%s', async (_, exceptions, updates) => {
    await database.pool.query('DELETE FROM exception');
    for (const one of exceptions) await except(one);
    const changeId = await change();
    await freeze(changeId);
    expect((await planned(changeId))['office-1'].updates).toEqual(updates);
  });

  test('made after the freeze narrows the next plan, so approvals stay; its end widens it', async () => {
    await database.pool.query('DELETE FROM exception');
    const changeId = await change();
    const first = await freeze(changeId);
    await except({ package: 'openssl', expiresAt: NOW + HOUR });
    const second = await freeze(changeId);
    expect(second).toMatchObject({ revision: 2, widened: false });
    expect(second.digest).not.toBe(first.digest);
    expect((await planned(changeId))['office-1'].updates).toEqual(['libcurl4']);
    const third = await freeze(changeId, NOW + HOUR);
    expect(third).toMatchObject({ revision: 3, widened: true, digest: first.digest });
  });

  test('made after a ring has opened leaves that ring as it was approved', async () => {
    await database.pool.query('DELETE FROM exception');
    const changeId = await change();
    const first = await freeze(changeId);
    await database.pool.query(`UPDATE ring SET state = 'open' WHERE change_id = $1 AND ordinal = 0`, [changeId]);
    await except({ package: '*curl*' });
    expect(await freeze(changeId)).toMatchObject({ digest: first.digest, widened: false });
  });
});
