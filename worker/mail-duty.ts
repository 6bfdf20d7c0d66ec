/** Sends what is due in the mail outbox. Any number of workers may: each mail is leased to one of them at a time. */
import { join } from 'node:path';
import type { Pool } from 'pg';
import { createFolderSender } from '../adapters/mail/folder.js';
import type { MailSender } from '../adapters/mail/sender.js';
import { createSmtpSender, SMTP_CONNECTIONS } from '../adapters/mail/smtp.js';
import { markMailFailed, markMailSent, takeDueMail } from '../db/mail/outbox.js';
import { type EpochMs, HOUR, MINUTE, SECOND } from '../domain/time.js';
import type { Duty } from './loops.js';
import type { WorkerSettings } from './settings.js';

interface MailDeps {
  readonly pool: Pool;
  readonly clock: () => EpochMs;
  readonly log: { warn(fields: object, message: string): void };
}

/** By SMTP where `RINGMASTER_SMTP_URL` names a server, else into files in `<data>/mail/`. */
export function mailDuty(
  deps: MailDeps & { readonly settings: Pick<WorkerSettings, 'smtpUrl' | 'mailFrom' | 'dataDir'> },
): Duty {
  const { smtpUrl, mailFrom, dataDir } = deps.settings;
  const sender =
    smtpUrl === undefined
      ? createFolderSender({ folder: join(dataDir, 'mail'), from: mailFrom, clock: deps.clock })
      : createSmtpSender({ url: smtpUrl, from: mailFrom });
  return { name: 'mail', everyMs: 5 * SECOND, run: () => sendDueMail({ ...deps, sender }) };
}

/**
 * Sends one batch. A mail that can't be sent stays, is logged and tried again: after seconds, later up to 15 minutes; after
 * an hour when the server said that it will never take it, for an operator may mend that, too. Returns whether more may be due.
 */
export async function sendDueMail(deps: MailDeps & { readonly sender: MailSender }): Promise<boolean> {
  const { pool, clock, log, sender } = deps;
  const mails = await takeDueMail(pool, { now: clock(), limit: SMTP_CONNECTIONS });
  const sent = await Promise.all(
    mails.map(async (mail) => {
      try {
        await sender.send(mail);
      } catch (error) {
        const message = error instanceof Error ? error.message : String(error);
        log.warn({ err: error, mail: mail.key, attempt: mail.attempts }, 'mail not sent; will try again');
        const retryAt = clock() + pauseAfter({ attempts: mail.attempts, error });
        await markMailFailed(pool, { key: mail.key, error: message, retryAt });
        return false;
      }
      await markMailSent(pool, { key: mail.key, by: sender.by, now: clock() });
      return true;
    }),
  );
  return mails.length === SMTP_CONNECTIONS && sent.some(Boolean);
}

function pauseAfter(args: { readonly attempts: number; readonly error: unknown }): number {
  const { code, responseCode } = args.error as { code?: unknown; responseCode?: unknown };
  const ofThisMail = code === 'EENVELOPE' || code === 'EMESSAGE';
  if (ofThisMail && typeof responseCode === 'number' && responseCode >= 500) return HOUR;
  return Math.min(15 * MINUTE, 5 * SECOND * 2 ** Math.min(args.attempts - 1, 10));
}
