/** What the content store may lose, and what not: real files, real rows. */
import { createHash, randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync, utimesSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from '@jest/globals';
import { type ContentStore, openContentStore } from '../../adapters/content/store.js';
import { DAY } from '../../domain/time.js';
import { contentGarbageDuty } from '../../worker/content-garbage.js';
import { createDatabase, type TestDatabase } from '../helpers/postgres.js';
import { seedAccount, seedChange, seedEndpoint } from '../helpers/seed-change.js';

let database: TestDatabase;
let root: string;
let store: ContentStore;
let requester: string;
beforeAll(async () => {
  database = await createDatabase();
  requester = (await seedAccount(database.pool, { name: 'Ada' })).id;
});
afterAll(() => database?.drop());
beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'store-'));
  store = await openContentStore({ root, reserveBytes: 0 });
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const now = Date.now();
const messages: object[] = [];
const collect = () =>
  contentGarbageDuty({
    pool: database.pool,
    store,
    clock: () => now,
    log: { info: (fields) => void messages.push(fields) },
  }).run();

/** A file in the store and on record, last touched `days` ago. */
async function stored(what: string, days = 60): Promise<string> {
  const bytes = Buffer.from(`${what} ${randomUUID()}`);
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  await store.put({ sha256, size: bytes.length, what, stream: Readable.from([bytes]) });
  const at = new Date(now - days * DAY);
  utimesSync(join(root, sha256.slice(0, 2), sha256.slice(2, 4), sha256), at, at);
  await database.pool.query('INSERT INTO content (sha256, size, stored_at) VALUES ($1, $2, $3)', [
    sha256,
    bytes.length,
    at,
  ]);
  return sha256;
}

/** A change whose plan names these files, as the new one and the one to go back to; closed so many days ago. */
async function planned(files: { to: string; from: string; list?: string }, closedDays: number | null): Promise<void> {
  const { pool } = database;
  const endpoint = await seedEndpoint(pool, { name: randomUUID() });
  const { changeId } = await seedChange(pool, {
    requestedBy: requester,
    rings: [{ name: 'r', endpoints: [endpoint] }],
  });
  const digest = createHash('sha256').update(randomUUID()).digest('hex');
  await pool.query('INSERT INTO update_set (digest, items, previous) VALUES ($1, $2, $3)', [
    digest,
    JSON.stringify([
      { sha256: files.to, ...(files.list === undefined ? {} : { installs: { brings: { sha256: files.list } } }) },
    ]),
    JSON.stringify([{ sha256: files.from }]),
  ]);
  await pool.query('UPDATE plan_endpoint SET update_set_digest = $2 WHERE change_id = $1', [changeId, digest]);
  if (closedDays !== null) {
    const at = new Date(now - closedDays * DAY);
    await pool.query(`UPDATE change SET closed_at = $2, outcome = 'completed', stage = 'closed' WHERE id = $1`, [
      changeId,
      at,
    ]);
  }
}

async function inCatalogue(sha256: string, name: string): Promise<void> {
  const { pool } = database;
  const repository = randomUUID();
  await pool.query(`INSERT INTO repository (id, name, kind, config) VALUES ($1::uuid, $1::text, 'apt', '{}')`, [
    repository,
  ]);
  // No index names it any more: nobody could fetch it again.
  await pool.query(
    `INSERT INTO catalogue_package (repository_id, name, arch, version, suite, source, source_version, sha256, size, filename, withdrawn_at)
     VALUES ($1, $2, 'amd64', '1', 's', $2, '1', $3, 1, 'f', now())`,
    [repository, name, sha256],
  );
}

it('what anybody may need stays; what nobody does goes, from disk and record, and is logged', async () => {
  const { pool } = database;
  const keep = {
    open: await stored('of a plan that is open'),
    openList: await stored('a list of packages that a plan which is open names'),
    openOld: await stored('to go back to, of a plan that is open'),
    lately: await stored('of a change closed lately'),
    latelyOld: await stored('to go back to, of a change closed lately'),
    release: await stored('an agent'),
    installed: await stored('what an endpoint has'),
    candidate: await stored('what an endpoint would get'),
    young: await stored('fetched a moment ago, in no plan yet', 1),
    touched: await stored('unneeded, and used lately'),
  };
  const go = {
    closed: await stored('of a change closed long ago'),
    closedList: await stored('a list of packages that a plan of long ago names'),
    closedOld: await stored('to go back to, of a change closed long ago'),
    orphan: await stored('of nobody'),
  };
  await planned({ to: keep.open, from: keep.openOld, list: keep.openList }, null);
  await planned({ to: keep.lately, from: keep.latelyOld }, 10);
  await planned({ to: go.closed, from: go.closedOld, list: go.closedList }, 45);
  for (const list of [keep.openList, go.closedList])
    await pool.query(
      `INSERT INTO package_list (sha256, size, packages, body, planned_at) VALUES ($1, 1, 0, '', to_timestamp(0))`,
      [list],
    );
  await pool.query(`INSERT INTO agent_release (version, sha256, size) VALUES ('9.9.9', $1, 1)`, [keep.release]);
  const endpoint = await seedEndpoint(pool, { name: 'host' });
  await inCatalogue(keep.installed, 'libinstalled');
  await inCatalogue(keep.candidate, 'libcandidate');
  await pool.query(
    `INSERT INTO installed_package (endpoint_id, name, arch, version, source, source_version, scan_id)
     VALUES ($1, 'libinstalled', 'amd64', '1', 'libinstalled', '1', gen_random_uuid())`,
    [endpoint],
  );
  await pool.query(
    `INSERT INTO available_update (endpoint_id, name, arch, installed, candidate, scan_id)
     VALUES ($1, 'libcandidate', 'amd64', '0', '1', gen_random_uuid())`,
    [endpoint],
  );
  expect(await store.touch({ sha256: keep.touched, size: (await store.size(keep.touched)) ?? 0 })).toBe(true);

  await collect();
  const there = async (files: Record<string, string>) =>
    Object.fromEntries(
      await Promise.all(Object.entries(files).map(async ([name, sha256]) => [name, await store.has(sha256)])),
    );
  expect(Object.values(await there(keep))).toEqual(Object.keys(keep).map(() => true));
  expect(Object.values(await there(go))).toEqual(Object.keys(go).map(() => false));
  const { rows } = await pool.query('SELECT sha256 FROM content WHERE sha256 = ANY ($1)', [Object.values(go)]);
  expect(rows).toEqual([]);
  expect((await pool.query('SELECT sha256 FROM package_list')).rows).toEqual([{ sha256: keep.openList }]);
  expect(messages).toEqual([{ removed: 4, freedBytes: expect.any(Number), kept: expect.any(Number) }]);
});

it('what an order that has not ended names stays, though its change is over', async () => {
  const { pool } = database;
  const file = await stored('of an order that never reported');
  const endpoint = await seedEndpoint(pool, { name: 'silent' });
  const { changeId } = await seedChange(pool, { requestedBy: requester, rings: [{ name: 'r', endpoints: [] }] });
  await pool.query('UPDATE change SET closed_at = $2 WHERE id = $1', [changeId, new Date(now - 90 * DAY)]);
  const digest = createHash('sha256').update(randomUUID()).digest('hex');
  await pool.query('INSERT INTO update_set (digest, items) VALUES ($1, $2)', [
    digest,
    JSON.stringify([{ sha256: file }]),
  ]);
  await pool.query(
    `INSERT INTO order_state (id, change_id, ring, home_ring, endpoint_id, kind, phase, state, content_digest)
     VALUES (gen_random_uuid(), $1, 0, 0, $2, 'change', 'holding', 'stalled', $3)`,
    [changeId, endpoint, digest],
  );
  await collect();
  expect(await store.has(file)).toBe(true);
});

it('a run takes so many and no more, and says that there are others', async () => {
  const files = await Promise.all(Array.from({ length: 5 }, (_, i) => stored(`old ${i}`)));
  const collected = await store.collectGarbage({
    keep: new Set(files.slice(0, 1)),
    unusedSince: now - 30 * DAY,
    most: 3,
  });
  expect(collected.removed).toBe(3);
  expect(await store.has(files[0] as string)).toBe(true);
});
