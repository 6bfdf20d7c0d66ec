/**
 * The keys orders are signed with. `root.pem` is meant to rest offline: it only signs key sets. `worker.pem` signs orders
 * and permits, `codes.key` makes one-time codes. The web tier holds none of them.
 */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { Pool } from 'pg';
import { resignOrders } from '../db/orders/resign.js';
import { documentsFor } from '../db/plan/documents.js';
import { type EpochMs, SECOND } from '../domain/time.js';
import type { SigningKey } from '../protocol/envelope.js';
import { careForKeys } from './key-care.js';
import { readOrMake } from './key-files.js';
import { isTrusted, newestKeySet } from './key-set.js';
import type { Duty } from './loops.js';
import { createSigner } from './signer.js';

const RESIGN_BATCH = 200;
/** Another worker may have signed with a revoked key before it had heard. */
const RESIGN_EVERY = 10 * SECOND;

export interface WorkerKeys {
  /** The one to sign with now; another after a rotation. */
  readonly signing: SigningKey;
  readonly codes: Buffer;
  /** Renews, takes up what was rotated or revoked elsewhere, and signs anew what nobody would believe any more. */
  readonly duty: Duty;
}

/**
 * Loads this worker's keys, makes them on first use, and sees to it that the newest key set in the database names the
 * signing key. @throws KeysUnavailable when the key set must change and the root key is not here.
 */
export async function loadKeys(args: {
  readonly pool: Pool;
  readonly dir: string;
  readonly clock: () => EpochMs;
}): Promise<WorkerKeys> {
  const { pool, dir, clock } = args;
  const care = () => careForKeys({ pool, dir, now: clock(), by: 'worker' });
  let { signing } = await care();
  const codes = await readOrMake(join(dir, 'codes.key'), () => randomBytes(32));
  const looked = { version: 0, at: 0 };

  const run = async (): Promise<boolean> => {
    const cared = await care();
    ({ signing } = cared);
    const set = await newestKeySet(pool);
    const now = clock();
    const changed = set?.version !== looked.version || now - looked.at > RESIGN_EVERY;
    if (set !== null && changed && isTrusted(set, signing.keyid, now)) {
      const believed = set.keys.map((key) => key.keyid).filter((keyid) => isTrusted(set, keyid, now));
      const signer = createSigner(() => signing);
      const signed = await resignOrders(pool, { believed, signer, documentsFor, now, limit: RESIGN_BATCH });
      if (signed === RESIGN_BATCH) return true;
      Object.assign(looked, { version: set.version, at: now });
    }
    // Said as a failure of this duty, so that it is seen for the two months there are to mend it.
    if (cared.overdue !== null) throw cared.overdue;
    return false;
  };
  const keys: WorkerKeys = {
    get signing() {
      return signing;
    },
    codes,
    duty: { name: 'keys', everyMs: 2 * SECOND, run },
  };
  return keys;
}
