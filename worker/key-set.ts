/** What follows a key set when a key joins it or is revoked, and where sets are kept. Every set is signed by the root. */
import type { ClientBase } from 'pg';
import { DAY, type EpochMs } from '../domain/time.js';
import type { SigningKey } from '../protocol/envelope.js';
import { KEY_SET_TYPE, signEnvelope } from '../protocol/envelope.js';
import { type KeySetDocument, keySetDocument } from '../protocol/messages.js';

const KEY_LIFE = 365 * DAY;
const KEY_SET_LIFE = 400 * DAY;
/** What a key signed before it was followed by another stays good for so long; unfetched orders are signed anew long before. */
const OVERLAP = 7 * DAY;
/** This long before a key or its set ends, the next one comes: time for a person to fetch the root from its safe. */
export const RENEW_BEFORE = 60 * DAY;
/** The protocol's bound. */
const MOST_KEYS = 16;

export type ListedKey = KeySetDocument['keys'][number];

/** Whether what this key signs now is believed by agents that know the set. */
export function isTrusted(set: KeySetDocument | null, keyid: string, now: EpochMs): boolean {
  const listed = set?.keys.find((key) => key.keyid === keyid);
  return listed !== undefined && set !== null && now < set.expiresAt && !listed.revoked && now < listed.notAfter;
}

/** Whether it is time for the key's successor. */
export function endsSoon(set: KeySetDocument, keyid: string, now: EpochMs): boolean {
  const listed = set.keys.find((key) => key.keyid === keyid);
  return listed === undefined || Math.min(listed.notAfter, set.expiresAt) - now < RENEW_BEFORE;
}

/**
 * The set with this key in it, good from now on. `follows` (the key it takes the place of) goes on to be trusted for the
 * overlap, so that nothing it signed is lost.
 */
export function withKey(
  set: KeySetDocument | null,
  args: { readonly key: SigningKey; readonly follows?: string | undefined; readonly now: EpochMs },
): KeySetDocument {
  const { key, follows, now } = args;
  const others = (set?.keys ?? [])
    .filter((k) => k.notAfter > now && k.keyid !== key.keyid)
    .map((k) => (k.keyid === follows ? { ...k, notAfter: Math.min(k.notAfter, now + OVERLAP) } : k));
  const joining: ListedKey = {
    keyid: key.keyid,
    publicKey: key.publicKey,
    notBefore: now - DAY,
    notAfter: now + KEY_LIFE,
    revoked: false,
  };
  return nextSet(set, [...others, joining], now);
}

/** The set in which this key is revoked: nothing it ever signed is believed any more. @throws Error for a key it does not name */
export function withoutKey(set: KeySetDocument, keyid: string, now: EpochMs): KeySetDocument {
  if (!set.keys.some((key) => key.keyid === keyid)) throw new Error(`the key set names no key ${keyid}`);
  return nextSet(
    set,
    set.keys.map((key) => (key.keyid === keyid ? { ...key, revoked: true } : key)),
    now,
  );
}

function nextSet(set: KeySetDocument | null, keys: readonly ListedKey[], now: EpochMs): KeySetDocument {
  // A key that is not listed is trusted no more than a revoked one: the oldest of those make room first.
  const spare = keys.length - MOST_KEYS;
  const leaving = new Set(keys.filter((key) => key.revoked).slice(0, Math.max(0, spare)));
  const kept = keys.filter((key) => !leaving.has(key)).slice(-MOST_KEYS);
  return { v: 1, version: (set?.version ?? 0) + 1, issuedAt: now, expiresAt: now + KEY_SET_LIFE, keys: kept };
}

/** The newest set; null before a worker's first start. */
export async function newestKeySet(db: Pick<ClientBase, 'query'>): Promise<KeySetDocument | null> {
  const { rows } = await db.query('SELECT envelope FROM key_set ORDER BY version DESC LIMIT 1');
  if (rows[0] === undefined) return null;
  return keySetDocument.parse(JSON.parse(Buffer.from(rows[0].envelope.payload, 'base64').toString('utf8')));
}

/** In the caller's transaction, which holds {@link lockKeySet}. Agents hear of it with their next poll. */
export async function publishKeySet(
  db: Pick<ClientBase, 'query'>,
  args: { readonly document: KeySetDocument; readonly root: SigningKey },
): Promise<void> {
  const { document, root } = args;
  await db.query('INSERT INTO key_set (version, envelope) VALUES ($1, $2)', [
    document.version,
    JSON.stringify(signEnvelope({ type: KEY_SET_TYPE, document, key: root })),
  ]);
  await db.query(
    `INSERT INTO setting (key, value) VALUES ('rootFingerprint', to_jsonb($1::text)), ('rootPublicKey', to_jsonb($2::text))
     ON CONFLICT (key) DO NOTHING`,
    [root.keyid, root.publicKey],
  );
}

/** One at a time makes the next set, whoever wants it: workers, commands. */
export async function lockKeySet(db: Pick<ClientBase, 'query'>): Promise<void> {
  await db.query(`SELECT pg_advisory_xact_lock(hashtextextended('key_set', 0))`);
}
