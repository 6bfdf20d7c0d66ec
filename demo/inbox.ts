/** The mails of a demonstration, as a page: what Ringmaster wrote into its mail folder because no mail server is configured. */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { join } from 'node:path';

export interface Mail {
  readonly to: string;
  readonly subject: string;
  readonly date: string;
  readonly text: string;
}

/** Newest first. @param folder need not be there yet */
export function readMails(folder: string): readonly Mail[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => name.endsWith('.eml'))
    .map((name) => join(folder, name))
    .map((path) => ({ path, at: statSync(path).mtimeMs }))
    .sort((a, b) => b.at - a.at)
    .map(({ path }) => parseMail(readFileSync(path, 'utf8')));
}

/** The folder's mails have plain headers, an empty line, and text: see adapters/mail/folder.ts. */
export function parseMail(raw: string): Mail {
  const end = raw.indexOf('\n\n');
  const head = end < 0 ? raw : raw.slice(0, end);
  const header = (name: string) => new RegExp(`^${name}: (.*)$`, 'm').exec(head)?.[1] ?? '';
  return {
    to: header('To'),
    subject: header('Subject'),
    date: header('Date'),
    text: end < 0 ? '' : raw.slice(end + 2),
  };
}

/** Serves the inbox on this machine only. @returns where, and how to end it */
export async function startInbox(args: {
  readonly folder: string;
  /** Said above the mails. */
  readonly hint: string;
  /** 0: any free one. */
  readonly port: number;
}): Promise<{ readonly url: string; close(): void }> {
  const server = createServer((req, res) => {
    if (req.method !== 'GET' || req.url !== '/') {
      res.writeHead(404, { 'content-type': 'text/plain' }).end('The inbox is at /\n');
      return;
    }
    res.writeHead(200, {
      'content-type': 'text/html; charset=utf-8',
      'cache-control': 'no-store',
      'content-security-policy':
        "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'",
      'referrer-policy': 'no-referrer',
    });
    res.end(inboxPage(readMails(args.folder), args.hint));
  });
  const port = await listen(server, args.port);
  return { url: `http://127.0.0.1:${port}`, close: () => void server.close() };
}

/** Loads itself again while it waits for the first mail, and every few seconds after. */
export function inboxPage(mails: readonly Mail[], hint: string): string {
  const articles = mails.map(
    (mail, i) => `<article aria-labelledby="m${i}"><h2 id="m${i}">${escaped(mail.subject)}</h2>
<p class="quiet">To ${escaped(mail.to)}, ${escaped(mail.date)}</p><pre>${linked(mail.text)}</pre></article>`,
  );
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="5"><title>Inbox (${mails.length}) · Ringmaster demo</title>
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:50rem;margin:2rem auto;padding:0 1rem;color-scheme:light dark}
article{border:1px solid #8888;border-radius:.5rem;padding:1rem;margin:1rem 0}h2{margin:0;font-size:1.1rem}.quiet{opacity:.8}
pre{white-space:pre-wrap;overflow-wrap:anywhere;font:inherit}</style></head>
<body><main><h1>Inbox</h1><p>${escaped(hint)}</p>
${articles.length === 0 ? '<p>No mail yet. The first one comes when a ring waits for an approval; this page loads itself again.</p>' : articles.join('\n')}
</main></body></html>
`;
}

const escaped = (text: string) =>
  text.replace(
    /[&<>"']/g,
    (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' })[c] as string,
  );

/** Mails come from our own server, yet what they quote comes from endpoints: escaped first, and only http links made. */
const linked = (text: string) => escaped(text).replace(/https?:\/\/[^\s<>]+/g, (url) => `<a href="${url}">${url}</a>`);

function listen(server: Server, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => {
      const address = server.address();
      resolve(typeof address === 'object' && address !== null ? address.port : port);
    });
  });
}
