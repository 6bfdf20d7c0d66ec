/**
 * Who hands orders out and who stops a change: an advisory lock per change. Handing out shares it, whatever stops or turns a
 * ring takes it alone. Not the ring's row, because PostgreSQL lets sharers of a row overtake whoever waits for it alone, and a
 * stop would wait for a lull in the polls; waiters for an advisory lock are served in their order.
 */
import type { Queryable } from '../pool.js';

/** The first key of our advisory locks on changes; the second is a hash of the change's id. */
const CHANGE_LOCK = 0x52_4d_63_68;

const lockSql = (how: 'pg_advisory_xact_lock' | 'pg_advisory_xact_lock_shared'): string =>
  `SELECT ${how}(${CHANGE_LOCK}, key) FROM (SELECT DISTINCT hashtext(id::text) AS key FROM unnest($1::uuid[]) AS id ORDER BY 1) AS keys`;

const ALONE = lockSql('pg_advisory_xact_lock');
const SHARED = lockSql('pg_advisory_xact_lock_shared');

/** What is read of these changes and their rings in later statements of the transaction holds until it ends. */
export async function shareHandingOut(client: Queryable, changeIds: readonly string[]): Promise<void> {
  if (changeIds.length > 0) await client.query(SHARED, [changeIds]);
}

/** Waits for whoever hands out orders of these changes, and keeps everybody else from it. Taken after the rings' rows. */
export async function stopHandingOut(client: Queryable, changeIds: readonly string[]): Promise<void> {
  if (changeIds.length > 0) await client.query(ALONE, [changeIds]);
}
