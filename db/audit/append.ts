import type { ClientBase } from 'pg';

export interface AuditRecord {
  /** Account id or e-mail, `endpoint/<id>`, `agent`, `workflow`, `worker`, `api`. */
  readonly actor: string;
  /** `order.released`, `approval.decided`, `session.started` … */
  readonly action: string;
  /** `change/<id>`, `endpoint/<id>`, `account/<id>` … */
  readonly subject: string;
  readonly detail?: Readonly<Record<string, unknown>>;
}

/** Adds entries to the audit log in the caller's transaction, so that no effect commits without its record. */
export async function appendAudit(client: Pick<ClientBase, 'query'>, records: readonly AuditRecord[]): Promise<void> {
  if (records.length === 0) return;
  await client.query(
    `INSERT INTO audit_entry (actor, action, subject, detail)
     SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::jsonb[])`,
    [
      records.map((r) => r.actor),
      records.map((r) => r.action),
      records.map((r) => r.subject),
      records.map((r) => JSON.stringify(r.detail ?? {})),
    ],
  );
}
