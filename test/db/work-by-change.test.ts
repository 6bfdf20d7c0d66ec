/** Work rows of the release before, which knew one key per endpoint and kind, go on under 0053. */
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { listMigrations, migrate, migrationsDirectory } from '../../db/migrate.js';
import { createDatabase, type TestDatabase } from '../helpers/postgres.js';
import { seedAccount, seedChange, seedEndpoint, seedOutcome } from '../helpers/seed-change.js';

let database: TestDatabase;
let directory: string;
beforeAll(async () => {
  database = await createDatabase({ empty: true });
  directory = mkdtempSync(join(tmpdir(), 'ringmaster-migrations-'));
  for (const name of listMigrations().filter((one) => one < '0053'))
    cpSync(join(migrationsDirectory, `${name}.sql`), join(directory, `${name}.sql`));
  await migrate({ databaseUrl: database.url, directory });
});
afterAll(async () => {
  rmSync(directory, { recursive: true, force: true });
  await database?.drop();
});

test('open work keeps its place under its change; what another change took over comes back while a ticket waits for it', async () => {
  const { pool } = database;
  const requestedBy = (await seedAccount(pool, { name: 'Requester' })).id;
  const id = await seedEndpoint(pool, { name: 'web-1' });
  const seed = () => seedChange(pool, { requestedBy, rings: [{ name: 'all', endpoints: [id], updates: [] }] });
  const [first, second] = [(await seed()).changeId, (await seed()).changeId];
  await pool.query(`INSERT INTO ticket_system (id, name, provider, settings, policy, created_by, created_at)
                    VALUES (gen_random_uuid(), 's', 'webhook', '{}', '{}', 'x', now())`);
  await pool.query(
    `INSERT INTO ticket (system_id, key, change_id) SELECT id, 'change/' || $1, $1::uuid FROM ticket_system`,
    [first],
  );
  for (const changeId of [first, second]) {
    await seedOutcome(pool, { changeId, ring: 0, endpointId: id, state: 'verifying' });
    await pool.query(`UPDATE order_state SET state = 'failed', reason = $2, settled_at = now() WHERE change_id = $1`, [
      changeId,
      `broke in ${changeId === first ? 'the first' : 'the second'}`,
    ]);
  }
  await pool.query(`UPDATE change SET outcome = 'completedWithFailures', closed_at = now() WHERE id = $1`, [first]);
  const rows = async () =>
    (await pool.query('SELECT key, change_id, reason, seen, state FROM work_item ORDER BY reason')).rows;
  const taken = { change_id: second, reason: 'broke in the second', seen: 2, state: 'open' };
  expect(await rows()).toEqual([{ key: `failedEndpoint/${id}`, ...taken }]);

  await migrate({ databaseUrl: database.url });
  expect(await rows()).toEqual([
    {
      key: `failedEndpoint/${id}/${first}`,
      change_id: first,
      reason: 'broke in the first',
      seen: 1,
      state: 'open',
    },
    { key: `failedEndpoint/${id}/${second}`, ...taken },
  ]);
});
