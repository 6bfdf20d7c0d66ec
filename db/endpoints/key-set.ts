import type { Envelope } from '../../protocol/envelope.js';
import type { Queryable } from '../pool.js';

/** The newest key set, as the offline root signed it; null before the worker's first start. */
export async function readKeySet(
  db: Queryable,
): Promise<{ readonly version: number; readonly envelope: Envelope } | null> {
  const { rows } = await db.query<{ version: number; envelope: Envelope }>(
    'SELECT version, envelope FROM key_set ORDER BY version DESC LIMIT 1',
  );
  return rows[0] ?? null;
}
