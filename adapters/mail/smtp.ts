/** Sending by SMTP. At least once: what a server took just before we died is sent again, with the same Message-ID. */
import { createTransport } from 'nodemailer';
import { type MailSender, messageIdOf } from './sender.js';

/** Connections at once; as many mails are worth sending side by side. */
export const SMTP_CONNECTIONS = 5;

/** A server that takes longer than this over one mail is as good as away. Less than the outbox's lease of a minute. */
const SEND_LIMIT_MS = 45_000;

/** @param url `smtp://user:password@host:port` or `smtps://…` @param from `Ringmaster <ringmaster@example.org>` */
export function createSmtpSender(args: { readonly url: string; readonly from: string }): MailSender {
  const transport = createTransport(args.url, {
    from: args.from,
    pool: true,
    maxConnections: SMTP_CONNECTIONS,
    connectionTimeout: 10_000,
    greetingTimeout: 10_000,
    socketTimeout: 30_000,
  } as never);
  return {
    by: 'smtp',
    async send(mail) {
      const sending = transport.sendMail({
        from: args.from,
        to: { name: '', address: mail.recipient },
        subject: mail.subject,
        text: mail.text,
        html: mail.html,
        messageId: messageIdOf({ key: mail.key, from: args.from }),
        headers: { 'Auto-Submitted': 'auto-generated' },
      });
      await within(sending, SEND_LIMIT_MS);
    },
    close: () => transport.close(),
  };
}

async function within(work: Promise<unknown>, ms: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`the mail server took longer than ${ms / 1_000} s`)), ms);
  });
  work.catch(() => undefined); // told by the race, or too late to matter
  try {
    await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
