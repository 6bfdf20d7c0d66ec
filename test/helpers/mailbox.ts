/** A real mail server on loopback that keeps what it is sent, as text people would read. */
import type { AddressInfo } from 'node:net';
import { SMTPServer } from 'smtp-server';

export interface ReceivedMail {
  readonly to: string;
  readonly subject: string;
  readonly messageId: string;
  /** The plain-text part. */
  readonly text: string;
  readonly html: string;
}

export interface Mailbox {
  /** `smtp://127.0.0.1:PORT` */
  readonly url: string;
  readonly port: number;
  readonly mails: readonly ReceivedMail[];
  to(address: string): readonly ReceivedMail[];
  close(): Promise<void>;
}

/**
 * @param options.port the same one again, after the server was away
 * @param options.refuse what a recipient's address is answered, if it is not taken
 * @param options.beforeAccept happens once a mail is here whole, and before the server says so
 */
export async function startMailbox(
  options: {
    readonly port?: number;
    readonly refuse?: (address: string) => { readonly code: number; readonly message: string } | null;
    readonly beforeAccept?: (mail: ReceivedMail) => Promise<void>;
  } = {},
): Promise<Mailbox> {
  const mails: ReceivedMail[] = [];
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS', 'AUTH'],
    onRcptTo({ address }, _session, done) {
      const refusal = options.refuse?.(address) ?? null;
      done(refusal === null ? null : Object.assign(new Error(refusal.message), { responseCode: refusal.code }));
    },
    onData(stream, session, done) {
      const chunks: Buffer[] = [];
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('end', () => {
        const raw = Buffer.concat(chunks).toString('latin1');
        const received = session.envelope.rcptTo.map(({ address }) => readMail(address, raw));
        const ready = Promise.all(received.map((mail) => options.beforeAccept?.(mail)));
        ready.then(() => {
          mails.push(...received);
          done();
        }, done);
      });
    },
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port ?? 0, '127.0.0.1', resolve);
  });
  // A client that dies in the middle of a session is what some tests are about.
  server.on('error', () => undefined);
  const { port } = server.server.address() as AddressInfo;
  return {
    url: `smtp://127.0.0.1:${port}`,
    port,
    mails,
    to: (address) => mails.filter((mail) => mail.to === address),
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
}

/** As much of MIME as nodemailer writes: one multipart/alternative, each part in some transfer encoding. */
function readMail(to: string, raw: string): ReceivedMail {
  const { headers, body } = split(raw);
  const boundary = /boundary="?([^";\r\n]+)"?/i.exec(headers)?.[1];
  const parts = boundary === undefined ? [raw] : body.split(`--${boundary}`);
  const read = (type: string): string => {
    const part = parts.map(split).find(({ headers: own }) => new RegExp(`^content-type: *${type}`, 'im').test(own));
    return part === undefined
      ? ''
      : decode(part.body, /^content-transfer-encoding: *(\S+)/im.exec(part.headers)?.[1]).replaceAll('\r\n', '\n');
  };
  const subject = /^subject: *(.*(?:\r\n[ \t].*)*)/im.exec(headers)?.[1] ?? '';
  return {
    to,
    subject: subject.replace(/\r\n[ \t]+/g, ' '),
    messageId: /^message-id: *(\S+)/im.exec(headers)?.[1] ?? '',
    text: read('text/plain'),
    html: read('text/html'),
  };
}

function split(text: string): { headers: string; body: string } {
  const at = text.indexOf('\r\n\r\n');
  return { headers: text.slice(0, at), body: text.slice(at + 4) };
}

function decode(body: string, encoding = '7bit'): string {
  if (/base64/i.test(encoding)) return Buffer.from(body, 'base64').toString('utf8');
  if (!/quoted-printable/i.test(encoding)) return Buffer.from(body, 'latin1').toString('utf8');
  const bytes = body
    .replace(/=\r\n/g, '')
    .replace(/=([0-9A-F]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return Buffer.from(bytes, 'latin1').toString('utf8');
}
