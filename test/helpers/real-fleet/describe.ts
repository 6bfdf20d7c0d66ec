/** What a test that waited in vain says of the system. */
import { readFileSync } from 'node:fs';
import type pg from 'pg';

/** The end of a program's log. */
export function tailOf(path: string): string {
  try {
    return readFileSync(path, 'utf8').split('\n').slice(-20).join('\n').slice(-5_000);
  } catch {
    return 'no log';
  }
}

/** Where every change and its orders stand, a line for each. */
export async function describeChanges(pool: pg.Pool): Promise<string> {
  const { rows } = await pool.query(
    `SELECT c.name, c.stage, c.waiting_for, c.outcome, o.ring, o.kind, o.state, o.reason, o.straggler_reason, o.window_reason,
            array_agg(e.name ORDER BY e.name) AS hosts
       FROM change c LEFT JOIN order_state o ON o.change_id = c.id LEFT JOIN endpoint e ON e.id = o.endpoint_id
      GROUP BY c.id, c.name, c.stage, c.waiting_for, c.outcome, o.ring, o.kind, o.state, o.reason, o.straggler_reason, o.window_reason
      ORDER BY c.requested_at, o.ring`,
  );
  return rows.map((row) => JSON.stringify(row)).join('\n');
}
