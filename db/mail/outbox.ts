import type { EpochMs } from '../../domain/time.js';
import type { Queryable } from '../pool.js';

/** To a mail server, or into a folder where there is none. */
export type SentBy = 'smtp' | 'folder';

export interface Mail {
  /** Idempotency: one mail per key, ever. */
  readonly key: string;
  readonly recipient: string;
  readonly subject: string;
  readonly text: string;
  readonly html: string;
  /** Of the change it speaks of; the highest is sent first. Left out: routine. */
  readonly priority?: number;
}

/** Puts mails into the outbox in the caller's transaction; one whose key is there already stays as it is. */
export async function queueMail(db: Queryable, mails: readonly Mail[]): Promise<void> {
  if (mails.length === 0) return;
  await db.query(
    `INSERT INTO mail (key, recipient, subject, text_body, html_body, priority)
     SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::smallint[]) ON CONFLICT (key) DO NOTHING`,
    [
      mails.map((m) => m.key),
      mails.map((m) => m.recipient),
      mails.map((m) => m.subject),
      mails.map((m) => m.text),
      mails.map((m) => m.html),
      mails.map((m) => m.priority ?? 0),
    ],
  );
  await db.query(`SELECT pg_notify('rm_mail', '')`);
}

/** Takes up to `limit` due mails for a minute: should their sender die, another one takes them then. */
export async function takeDueMail(
  db: Queryable,
  args: { readonly now: EpochMs; readonly limit: number },
): Promise<readonly (Mail & { attempts: number })[]> {
  const { rows } = await db.query(
    `UPDATE mail SET attempts = attempts + 1, next_attempt_at = to_timestamp(($1 + 60000) / 1000.0)
     WHERE key IN (SELECT key FROM mail WHERE sent_at IS NULL AND next_attempt_at <= to_timestamp($1 / 1000.0)
                   ORDER BY priority DESC, created_at LIMIT $2 FOR UPDATE SKIP LOCKED)
     RETURNING key, recipient, subject, text_body AS text, html_body AS html, attempts`,
    [args.now, args.limit],
  );
  return rows;
}

export async function markMailSent(
  db: Queryable,
  args: { readonly key: string; readonly by: SentBy; readonly now: EpochMs },
): Promise<void> {
  await db.query(
    'UPDATE mail SET sent_at = to_timestamp($2 / 1000.0), sent_by = $3, last_error = NULL WHERE key = $1 AND sent_at IS NULL',
    [args.key, args.now, args.by],
  );
}

export async function markMailFailed(
  db: Queryable,
  args: { readonly key: string; readonly error: string; readonly retryAt: EpochMs },
): Promise<void> {
  await db.query(
    'UPDATE mail SET last_error = $2, next_attempt_at = to_timestamp($3 / 1000.0) WHERE key = $1 AND sent_at IS NULL',
    [args.key, args.error, args.retryAt],
  );
}
