/**
 * The keys orders are signed with. `root.pem` is meant to rest offline: it only signs key sets. `worker.pem` signs orders
 * and permits, `codes.key` makes one-time codes, `seal.pem` opens what is sealed for workers (passwords of ticket systems).
 * The web tier holds none of them.
 */
import { randomBytes } from 'node:crypto';
import { link, mkdir, open, readFile, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { Pool } from 'pg';
import { publishSealingKey } from '../db/tickets/systems.js';
import { generateSealingPem, type SealingKey, sealingKeyFromPem } from '../domain/ticket/sealed-secret.js';
import { DAY, type EpochMs } from '../domain/time.js';
import type { Envelope, SigningKey } from '../protocol/envelope.js';
import { generateSigningKeyPem, KEY_SET_TYPE, signEnvelope, signingKeyFromPem } from '../protocol/envelope.js';
import { type KeySetDocument, keySetDocument } from '../protocol/messages.js';

const KEY_LIFE = 365 * DAY;
const KEY_SET_LIFE = 400 * DAY;

/** No key to sign with, and no root here to certify one. */
export class KeysUnavailable extends Error {}

export interface WorkerKeys {
  readonly signing: SigningKey;
  readonly codes: Buffer;
  readonly sealing: SealingKey;
}

/** Reads a file, or makes it (mode 0600) when it is not there; racing starters end with the same content. */
async function readOrMake(path: string, make: () => Buffer): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  // Whole before it has its name: a replica that starts at the same moment must not read half a key.
  const made = `${path}.${randomBytes(6).toString('hex')}.new`;
  const file = await open(made, 'wx', 0o600);
  try {
    await file.writeFile(make());
    await file.sync();
  } finally {
    await file.close();
  }
  try {
    await link(made, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    await unlink(made);
  }
  return readFile(path);
}

/**
 * Loads this worker's keys, makes them on first use, and sees to it that the newest key set in the database names the
 * signing key. @throws KeysUnavailable when the key set must change and the root key is not here.
 */
export async function loadKeys(args: {
  readonly pool: Pool;
  readonly dir: string;
  readonly now: EpochMs;
}): Promise<WorkerKeys> {
  await mkdir(args.dir, { recursive: true, mode: 0o700 });
  const pem = await readOrMake(join(args.dir, 'worker.pem'), () => Buffer.from(generateSigningKeyPem()));
  const codes = await readOrMake(join(args.dir, 'codes.key'), () => randomBytes(32));
  const seal = await readOrMake(join(args.dir, 'seal.pem'), () => Buffer.from(generateSealingPem()));
  const signing = signingKeyFromPem(pem.toString());
  const sealing = sealingKeyFromPem(seal.toString());
  await certify({ ...args, signing });
  await publishSealingKey(args.pool, sealing.publicKey);
  return { signing, codes, sealing };
}

async function certify(args: {
  readonly pool: Pool;
  readonly dir: string;
  readonly now: EpochMs;
  readonly signing: SigningKey;
}): Promise<void> {
  const { pool, signing, now } = args;
  const { rows } = await pool.query('SELECT version, envelope FROM key_set ORDER BY version DESC LIMIT 1');
  const current: { version: number; document: KeySetDocument } | null =
    rows[0] === undefined ? null : { version: rows[0].version, document: payloadOf(rows[0].envelope) };
  const listed = current?.document.keys.find((k) => k.keyid === signing.keyid);
  if (listed !== undefined && !listed.revoked && listed.notAfter > now) return;

  const root = await loadRoot(args.dir, current === null);
  const document: KeySetDocument = {
    v: 1,
    version: (current?.version ?? 0) + 1,
    issuedAt: now,
    expiresAt: now + KEY_SET_LIFE,
    // Older keys stay until they end: agents that have not polled yet still trust orders signed with them.
    keys: [
      ...(current?.document.keys.filter((k) => k.notAfter > now && k.keyid !== signing.keyid) ?? []),
      {
        keyid: signing.keyid,
        publicKey: signing.publicKey,
        notBefore: now - DAY,
        notAfter: now + KEY_LIFE,
        revoked: false,
      },
    ],
  };
  const envelope = signEnvelope({ type: KEY_SET_TYPE, document, key: root });
  await pool.query('INSERT INTO key_set (version, envelope) VALUES ($1, $2) ON CONFLICT DO NOTHING', [
    document.version,
    envelope,
  ]);
  await pool.query(
    `INSERT INTO setting (key, value) VALUES ('rootFingerprint', to_jsonb($1::text)), ('rootPublicKey', to_jsonb($2::text))
     ON CONFLICT (key) DO NOTHING`,
    [root.keyid, root.publicKey],
  );
}

/** A root is made only for a database that has never seen one; later a missing root is an operator's matter. */
async function loadRoot(dir: string, first: boolean): Promise<SigningKey> {
  const path = join(dir, 'root.pem');
  if (first) return signingKeyFromPem((await readOrMake(path, () => Buffer.from(generateSigningKeyPem()))).toString());
  const pem = await readFile(path).catch(() => {
    throw new KeysUnavailable(
      `the key set does not name this worker's key, and the root key is not at ${path}: put it there once, or sign a key set with it elsewhere`,
    );
  });
  return signingKeyFromPem(pem.toString());
}

function payloadOf(envelope: Envelope): KeySetDocument {
  return keySetDocument.parse(JSON.parse(Buffer.from(envelope.payload, 'base64').toString('utf8')));
}
