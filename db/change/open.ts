import type { Queryable } from '../pool.js';

/** Whether a change with this id is there and still open. */
export async function changeState(db: Queryable, changeId: string): Promise<'open' | 'closed' | 'unknown'> {
  const { rows } = await db.query<{ closed: boolean }>(
    'SELECT closed_at IS NOT NULL AS closed FROM change WHERE id = $1',
    [changeId],
  );
  if (rows[0] === undefined) return 'unknown';
  return rows[0].closed ? 'closed' : 'open';
}
