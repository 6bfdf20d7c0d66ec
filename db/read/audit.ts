import type { Queryable } from '../pool.js';
import { type Page, pageOf } from './cursor.js';

export interface AuditRow {
  readonly id: number;
  readonly at: Date;
  readonly actor: string;
  readonly action: string;
  readonly subject: string;
  readonly detail: object;
  /** Place in the hash chain; null until the worker has sealed it. */
  readonly sealed: number | null;
  readonly hash: string | null;
}

/** Audit entries, newest first. */
export async function listAudit(
  db: Queryable,
  args: { subject: string | null; actor: string | null; action: string | null; before: number | null; limit: number },
): Promise<Page<AuditRow>> {
  const { rows } = await db.query<AuditRow>(
    `SELECT id, at, actor, action, subject, detail, sealed, hash FROM audit_entry
      WHERE ($1::text IS NULL OR subject = $1) AND ($2::text IS NULL OR actor = $2) AND ($3::text IS NULL OR action = $3)
        AND ($4::bigint IS NULL OR id < $4)
      ORDER BY id DESC LIMIT $5`,
    [args.subject, args.actor, args.action, args.before, args.limit + 1],
  );
  return pageOf(rows, args.limit, (row) => [row.id]);
}
