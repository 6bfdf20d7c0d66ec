import type { Queryable } from './pool.js';

/** The value of one setting as the JSON it is stored as; undefined when nobody has written it. */
export async function readSetting(db: Queryable, key: string): Promise<unknown> {
  const { rows } = await db.query<{ value: unknown }>('SELECT value FROM setting WHERE key = $1', [key]);
  return rows[0]?.value;
}
