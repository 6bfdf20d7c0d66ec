/** Renewing, rotating and revoking, as far as files and rows tell; with the agent's own rules for what it believes. */
import { cpSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { acceptKeySet, trustedKeys } from '../../agent/transport/key-set.js';
import { readKeySet } from '../../db/endpoints/key-set.js';
import { DAY } from '../../domain/time.js';
import { ORDER_TYPE, openEnvelope, signEnvelope } from '../../protocol/envelope.js';
import { KeysUnavailable, listKeys, revokeKey, rotateKey } from '../../worker/key-care.js';
import { nextSigningKey, rootKey } from '../../worker/key-files.js';
import { newestKeySet, publishKeySet, withKey } from '../../worker/key-set.js';
import { loadKeys } from '../../worker/keys.js';
import { createDatabase, type TestDatabase } from '../helpers/postgres.js';

const START = Date.UTC(2026, 0, 1);

let database: TestDatabase;
let home: string;
let dir: string;
let now: number;
beforeAll(async () => {
  database = await createDatabase();
});
afterAll(() => database?.drop());
beforeEach(async () => {
  await database.pool.query(`TRUNCATE key_set; DELETE FROM setting WHERE key LIKE 'root%'`);
  home = mkdtempSync(join(tmpdir(), 'keys-'));
  dir = join(home, 'keys');
  now = START;
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

const by = 'ada';
const place = () => ({ pool: database.pool, dir, now, by });
const load = (folder = dir) => loadKeys({ pool: database.pool, dir: folder, clock: () => now });
const rootAway = () => renameSync(join(dir, 'root.pem'), join(home, 'safe.pem'));

/** An agent as far as keys go: the newest set it was given, and what it believes. */
async function agent() {
  const { rows } = await database.pool.query(`SELECT key, value FROM setting WHERE key LIKE 'root%'`);
  const { rootPublicKey, rootFingerprint } = Object.fromEntries(rows.map((row) => [row.key, row.value]));
  let version = 0;
  let believes: ReturnType<typeof trustedKeys> = new Map();
  return {
    async polls() {
      const newest = await readKeySet(database.pool);
      if (newest === null) throw new Error('no key set');
      const taken = acceptKeySet({ envelope: newest.envelope, rootPublicKey, rootFingerprint, newestVersion: version });
      if (!taken.ok) throw new Error(taken.reason);
      version = taken.keySet.version;
      believes = trustedKeys(taken.keySet, now);
    },
    takes: (envelope: ReturnType<typeof order>) => openEnvelope({ envelope, type: ORDER_TYPE, trusted: believes }).ok,
  };
}
const order = (key: Parameters<typeof signEnvelope>[0]['key']) =>
  signEnvelope({ type: ORDER_TYPE, document: { hello: 1 }, key });

describe('renewal', () => {
  it('comes in good time while the worker runs, and what was signed before is believed for a week more', async () => {
    const keys = await load();
    const first = keys.signing;
    now += 300 * DAY;
    await keys.duty.run();
    expect(keys.signing.keyid).toBe(first.keyid);
    now += 10 * DAY;
    await keys.duty.run();
    const second = keys.signing;
    expect(second.keyid).not.toBe(first.keyid);
    const host = await agent();
    await host.polls();
    expect([host.takes(order(first)), host.takes(order(second))]).toEqual([true, true]);
    now += 8 * DAY;
    await host.polls();
    expect([host.takes(order(first)), host.takes(order(second))]).toEqual([false, true]);
    expect(readdirSync(dir).sort()).toEqual(['codes.key', 'root.pem', 'worker.pem']);
  });

  it('without the root key is missing aloud, while all goes on until the end', async () => {
    const keys = await load();
    const first = keys.signing.keyid;
    rootAway();
    now += 310 * DAY;
    await expect(keys.duty.run()).rejects.toThrow(/root key is not at .*root\.pem: run "ringmaster keys rotate --root/);
    expect((await load()).signing.keyid).toBe(first);
    await rotateKey({ ...place(), root: join(home, 'safe.pem') });
    await expect(keys.duty.run()).resolves.toBe(false);
    expect(keys.signing.keyid).not.toBe(first);
    // Ended, and no root: nothing that would be believed can be signed here.
    now += 366 * DAY;
    await expect(load()).rejects.toThrow(KeysUnavailable);
  });

  it('is done once by workers that share a folder', async () => {
    const workers = await Promise.all([load(), load(), load()]);
    now += 310 * DAY;
    await Promise.all(workers.map((worker) => worker.duty.run()));
    await Promise.all(workers.map((worker) => worker.duty.run()));
    expect(new Set(workers.map((worker) => worker.signing.keyid)).size).toBe(1);
    expect((await newestKeySet(database.pool))?.version).toBe(2);
  });

  it('goes on from where a crash left it: published, and not yet in place', async () => {
    const keys = await load();
    const next = await nextSigningKey(dir);
    const root = await rootKey(join(dir, 'root.pem'), false);
    if (root === null) throw new Error('no root');
    const document = withKey(await newestKeySet(database.pool), { key: next, follows: keys.signing.keyid, now });
    await publishKeySet(database.pool, { document, root });
    now += 310 * DAY;
    await keys.duty.run();
    expect(keys.signing.keyid).toBe(next.keyid);
  });
});

describe('revoking', () => {
  it('the key that signs: another takes its place in the same set, and nothing the old one signed is believed', async () => {
    const keys = await load();
    const stolen = keys.signing;
    const host = await agent();
    await host.polls();
    expect(host.takes(order(stolen))).toBe(true);
    await revokeKey({ ...place(), keyid: stolen.keyid });
    await keys.duty.run();
    await host.polls();
    expect([host.takes(order(stolen)), host.takes(order(keys.signing))]).toEqual([false, true]);
    const { version, keys: listed } = await listKeys(place());
    expect(version).toBe(2);
    expect(listed.map(({ revoked, signs }) => ({ revoked, signs }))).toEqual([
      { revoked: true, signs: false },
      { revoked: false, signs: true },
    ]);
  });

  it('stays, whatever is rotated after it, and however often', async () => {
    const keys = await load();
    const stolen = keys.signing;
    await revokeKey({ ...place(), keyid: stolen.keyid });
    for (let i = 0; i < 20; i += 1) await rotateKey(place());
    await keys.duty.run();
    const host = await agent();
    await host.polls();
    expect([host.takes(order(stolen)), host.takes(order(keys.signing))]).toEqual([false, true]);
  });

  it('needs the root key that endpoints know, and a key the set names', async () => {
    await load();
    await expect(revokeKey({ ...place(), keyid: 'f'.repeat(64) })).rejects.toThrow(/names no key/);
    const { keyid } = (await listKeys(place())).keys[0] ?? { keyid: '' };
    rootAway();
    await expect(revokeKey({ ...place(), keyid })).rejects.toThrow(KeysUnavailable);
    // Another installation's root signs nothing here.
    cpSync(join(dir, 'worker.pem'), join(home, 'other.pem'));
    await expect(revokeKey({ ...place(), keyid, root: join(home, 'other.pem') })).rejects.toThrow(
      /is not the root key/,
    );
    expect((await newestKeySet(database.pool))?.version).toBe(1);
  });

  it('is on record, with who did it', async () => {
    const keys = await load();
    const { keyid } = keys.signing;
    await revokeKey({ ...place(), keyid });
    const { rows } = await database.pool.query(
      `SELECT actor, action, detail FROM audit_entry WHERE action = 'key.revoked' AND detail->>'keyid' = $1`,
      [keyid],
    );
    expect(rows).toEqual([{ actor: by, action: 'key.revoked', detail: { keyid, keySetVersion: 2 } }]);
  });
});
