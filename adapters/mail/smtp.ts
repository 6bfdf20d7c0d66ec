/** Sending by SMTP. At least once: a mail's Message-ID is made from its key, so that a second copy is known as one. */
import { createHash } from 'node:crypto';
import { createTransport } from 'nodemailer';

export interface OutgoingMail {
  readonly key: string;
  readonly recipient: string;
  readonly subject: string;
  readonly text: string;
  readonly html: string;
}

export interface MailSender {
  send(mail: OutgoingMail): Promise<void>;
  close(): void;
}

/** @param url `smtp://user:password@host:port` or `smtps://…` @param from `Ringmaster <ringmaster@example.org>` */
export function createSmtpSender(args: { readonly url: string; readonly from: string }): MailSender {
  const transport = createTransport(args.url, {
    from: args.from,
    pool: true,
    connectionTimeout: 10_000,
    greetingTimeout: 10_000,
    socketTimeout: 30_000,
  } as never);
  const domain = /@([^>\s]+)/.exec(args.from)?.[1] ?? 'ringmaster.invalid';
  return {
    async send(mail) {
      const id = createHash('sha256').update(mail.key).digest('hex').slice(0, 32);
      await transport.sendMail({
        from: args.from,
        to: mail.recipient,
        subject: mail.subject,
        text: mail.text,
        html: mail.html,
        messageId: `<${id}@${domain}>`,
        headers: { 'Auto-Submitted': 'auto-generated' },
      });
    },
    close: () => transport.close(),
  };
}
