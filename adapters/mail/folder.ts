/** Where no mail server is configured: each mail becomes a text file that people on this machine can read. */
import { createHash, randomUUID } from 'node:crypto';
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { EpochMs } from '../../domain/time.js';
import { type MailSender, messageIdOf } from './sender.js';

/**
 * Writes mails into `folder` (made when missing; both private to the account, for they hold one-time codes). The same mail
 * again replaces its own file.
 */
export function createFolderSender(args: {
  readonly folder: string;
  readonly from: string;
  readonly clock: () => EpochMs;
}): MailSender {
  return {
    by: 'folder',
    async send(mail) {
      await mkdir(args.folder, { recursive: true, mode: 0o700 });
      const header = (name: string, value: string) => `${name}: ${value.replace(/[\r\n]+/g, ' ')}`;
      const lines = [
        header('Date', new Date(args.clock()).toUTCString()),
        header('From', args.from),
        header('To', mail.recipient),
        header('Subject', mail.subject),
        header('Message-ID', messageIdOf({ key: mail.key, from: args.from })),
        'Content-Type: text/plain; charset=utf-8',
        '',
        mail.text,
      ];
      const unfinished = join(args.folder, `.${randomUUID()}`);
      await writeFile(unfinished, lines.join('\n'), { mode: 0o600 });
      await rename(unfinished, join(args.folder, fileName(mail.key)));
    },
    close: () => undefined,
  };
}

/** Readable as far as the key is; the digest keeps keys apart that look alike once made safe. */
function fileName(key: string): string {
  const readable = key.replace(/[^A-Za-z0-9-]+/g, '_').slice(0, 120);
  return `${readable}-${createHash('sha256').update(key).digest('hex').slice(0, 8)}.eml`;
}
