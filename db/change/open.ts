import { STRAGGLERS } from '../../domain/change/spec.js';
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

/**
 * Why a new plan can't be made of an open change now, by what its rows say; null when they speak against nothing. The
 * workflow has the last word: a ring may be opening at this moment.
 */
export async function whyNoNewPlan(db: Queryable, changeId: string): Promise<string | null> {
  const { rows } = await db.query<{ planned: boolean; stage: string; busy: number | null; left: boolean }>(
    `SELECT c.plan_revision > 0 AS planned, c.stage,
            EXISTS (SELECT FROM ring r WHERE r.change_id = c.id AND r.state = 'waiting' AND r.ordinal <> ${STRAGGLERS}) AS left,
            (SELECT min(r.ordinal) FROM ring r WHERE r.change_id = c.id AND r.state IN ('open', 'soaking', 'rollingBack')) AS busy
       FROM change c WHERE c.id = $1`,
    [changeId],
  );
  const { planned = false, stage = '', busy = null, left = false } = rows[0] ?? {};
  if (!planned) return 'the change has no plan yet: the one it makes will know what is known then';
  if (busy !== null) {
    const which = busy === STRAGGLERS ? 'the stragglers, whose endpoints are waited for, are' : `ring ${busy} is`;
    return `a plan can be made again only between rings: ${which} under way`;
  }
  const over = stage === 'confirm' || !left;
  return over ? 'every ring has had its turn: a new plan would be carried out by nobody' : null;
}
