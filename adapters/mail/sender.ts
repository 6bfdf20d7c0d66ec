/** What every way of sending mail has in common. */
import { createHash } from 'node:crypto';

export interface OutgoingMail {
  /** One mail per key, ever. */
  readonly key: string;
  readonly recipient: string;
  readonly subject: string;
  readonly text: string;
  readonly html: string;
}

export interface MailSender {
  readonly by: 'smtp' | 'folder';
  /** Returns once the mail is somebody else's to deliver. @throws whatever kept it from that. */
  send(mail: OutgoingMail): Promise<void>;
  close(): void;
}

/** The same for every copy of a mail, so that a second one is known as such. */
export function messageIdOf(args: { readonly key: string; readonly from: string }): string {
  const id = createHash('sha256').update(args.key).digest('hex').slice(0, 32);
  const domain = /@([^>\s]+)/.exec(args.from)?.[1] ?? 'ringmaster.invalid';
  return `<${id}@${domain}>`;
}
