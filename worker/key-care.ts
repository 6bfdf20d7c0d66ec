/**
 * Rotating and revoking the keys orders are signed with. The next key is in a published set before anything is signed with it,
 * and the one before stays in it for an overlap, so that work goes on meanwhile. Each step may be the last before a crash: the
 * next key waits in its file, and whoever comes next goes on from there.
 */
import { mkdir } from 'node:fs/promises';
import type { Pool, PoolClient } from 'pg';
import { appendAudit } from '../db/audit/append.js';
import { inTransaction } from '../db/pool.js';
import type { EpochMs } from '../domain/time.js';
import type { SigningKey } from '../protocol/envelope.js';
import { adoptNextKey, nextSigningKey, rootFile, rootKey, signingKey, waitingSigningKey } from './key-files.js';
import { endsSoon, isTrusted, lockKeySet, newestKeySet, publishKeySet, withKey, withoutKey } from './key-set.js';

/** A new key set is needed, and the root that must sign it is not here, or is another one. */
export class KeysUnavailable extends Error {}

export interface KeyPlace {
  readonly pool: Pool;
  /** The keys folder of this worker. */
  readonly dir: string;
  /** Where the root key is; default: in the folder. */
  readonly root?: string | undefined;
  readonly now: EpochMs;
  /** Who does it, for the audit log. */
  readonly by: string;
}

export interface KeyState {
  readonly keyid: string;
  readonly notBefore: EpochMs;
  readonly notAfter: EpochMs;
  readonly revoked: boolean;
  /** The one this folder signs with. */
  readonly signs: boolean;
}

/** The newest set's keys. `version` 0: there is none yet. */
export async function listKeys(
  place: Pick<KeyPlace, 'pool' | 'dir'>,
): Promise<{ readonly version: number; readonly expiresAt: EpochMs | null; readonly keys: readonly KeyState[] }> {
  const set = await newestKeySet(place.pool);
  if (set === null) return { version: 0, expiresAt: null, keys: [] };
  const mine = await signingKey(place.dir);
  const keys = set.keys.map(({ publicKey: _, ...key }) => ({ ...key, signs: key.keyid === mine.keyid }));
  return { version: set.version, expiresAt: set.expiresAt, keys };
}

/**
 * Sees to it that what is signed here is believed: certifies the key of a new folder, and rotates it in good time before it or
 * its set ends, or once it was revoked. Returns the key to sign with from now on, and, as long as that is believed all the same,
 * why a rotation that is due can't be had.
 * @throws KeysUnavailable when nothing signed here would be believed without the root key, and it is not here.
 */
export async function careForKeys(
  place: KeyPlace,
): Promise<{ readonly signing: SigningKey; readonly overdue: KeysUnavailable | null }> {
  await mkdir(place.dir, { recursive: true, mode: 0o700 });
  const mine = await signingKey(place.dir);
  const seen = await newestKeySet(place.pool);
  const believed = isTrusted(seen, mine.keyid, place.now);
  if (believed && seen !== null && !endsSoon(seen, mine.keyid, place.now)) return { signing: mine, overdue: null };
  try {
    await certifyOrRotate(place);
  } catch (error) {
    if (!believed || !(error instanceof KeysUnavailable)) throw error;
    return { signing: mine, overdue: error };
  }
  return { signing: await takeOver(place), overdue: null };
}

async function certifyOrRotate(place: KeyPlace): Promise<void> {
  await inTransaction(place.pool, async (client) => {
    await lockKeySet(client);
    // Another worker of this folder may have done it while we waited.
    const set = await newestKeySet(client);
    // In this order: a waiting key that is gone has taken over, and is then the current one.
    const next = await waitingSigningKey(place.dir);
    const current = await signingKey(place.dir);
    if (set !== null && isTrusted(set, current.keyid, place.now) && !endsSoon(set, current.keyid, place.now)) return;
    if (set !== null && next !== null && isTrusted(set, next.keyid, place.now)) return;
    const listed = set?.keys.some((key) => key.keyid === current.keyid) ?? false;
    if (listed) await publishNext(client, place);
    else await publishFirst(client, place, current);
  });
}

/** A new key from now on; the one before is trusted for an overlap. @throws KeysUnavailable */
export async function rotateKey(place: KeyPlace): Promise<SigningKey> {
  await inTransaction(place.pool, async (client) => {
    await lockKeySet(client);
    await publishNext(client, place);
  });
  return takeOver(place);
}

/**
 * Nothing this key signed is believed any more by an agent that has polled since. If it is the one this folder signs with, a new
 * one takes its place in the same set. @throws KeysUnavailable; Error when the set names no such key.
 */
export async function revokeKey(place: KeyPlace & { readonly keyid: string }): Promise<void> {
  const { keyid, now } = place;
  await inTransaction(place.pool, async (client) => {
    await lockKeySet(client);
    const root = await theRoot(client, place);
    const set = await newestKeySet(client);
    if (set === null) throw new Error('there is no key set yet');
    let document = withoutKey(set, keyid, now);
    if ((await signingKey(place.dir)).keyid === keyid) {
      const next = withKey(document, { key: await nextSigningKey(place.dir), now });
      document = { ...next, version: document.version };
    }
    await publishKeySet(client, { document, root });
    const detail = { keyid, keySetVersion: document.version };
    await appendAudit(client, [{ actor: place.by, action: 'key.revoked', subject: 'keys', detail }]);
  });
  await takeOver(place);
}

/** The waiting key signs from now on, if the newest set names it. */
async function takeOver(place: Pick<KeyPlace, 'pool' | 'dir' | 'now'>): Promise<SigningKey> {
  await inTransaction(place.pool, async (client) => {
    await lockKeySet(client);
    const next = await waitingSigningKey(place.dir);
    if (next !== null && isTrusted(await newestKeySet(client), next.keyid, place.now)) await adoptNextKey(place.dir);
  });
  return signingKey(place.dir);
}

async function publishNext(client: PoolClient, place: KeyPlace): Promise<void> {
  const root = await theRoot(client, place);
  const follows = (await signingKey(place.dir)).keyid;
  const key = await nextSigningKey(place.dir);
  const document = withKey(await newestKeySet(client), { key, follows, now: place.now });
  await publishKeySet(client, { document, root });
  const detail = { keyid: key.keyid, follows, keySetVersion: document.version };
  await appendAudit(client, [{ actor: place.by, action: 'key.rotated', subject: 'keys', detail }]);
}

async function publishFirst(client: PoolClient, place: KeyPlace, key: SigningKey): Promise<void> {
  const root = await theRoot(client, place);
  const document = withKey(await newestKeySet(client), { key, now: place.now });
  await publishKeySet(client, { document, root });
  const detail = { keyid: key.keyid, keySetVersion: document.version };
  await appendAudit(client, [{ actor: place.by, action: 'key.added', subject: 'keys', detail }]);
}

/** A root is made only for a database that has never seen one; later a missing root is an operator's matter. */
async function theRoot(client: PoolClient, place: KeyPlace): Promise<SigningKey> {
  const { rows } = await client.query<{ value: string }>(`SELECT value FROM setting WHERE key = 'rootFingerprint'`);
  const known = rows[0]?.value;
  const path = place.root ?? rootFile(place.dir);
  const root = await rootKey(path, known === undefined);
  if (root === null) {
    throw new KeysUnavailable(
      `a new key set is needed, and the root key is not at ${path}: run "ringmaster keys rotate --root <file>" with it`,
    );
  }
  if (known !== undefined && root.keyid !== known) {
    throw new KeysUnavailable(`${path} is not the root key that endpoints know (${known}), but ${root.keyid}`);
  }
  return root;
}
