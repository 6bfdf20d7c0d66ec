/** A person with a browser, as far as an approval needs one: signs in, opens the mailed link, posts its form. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Installation, until } from './installation.js';

export const APPROVER = {
  name: 'Ada Approver',
  email: 'approver@example.test',
  password: 'correct horse battery staple',
};

export interface Approver {
  /** Of a ring that waits for this person. */
  readonly rule: object;
  /** Waits for the mail about a change, and opens its page. */
  formOf(changeId: string): Promise<{ approve(): Promise<void> }>;
}

/** @param comment goes into the record with each decision */
export async function approverOf(installation: Installation, comment: string): Promise<Approver> {
  const { id } = await installation.api<{ id: string }>('POST', '/v1/accounts', {
    ...APPROVER,
    roles: ['Manager'],
  });
  const browser = createBrowser(installation.url);
  const page = await browser('GET', '/sign-in');
  await browser('POST', '/sign-in', {
    _csrf: field(page, '_csrf'),
    email: APPROVER.email,
    password: APPROVER.password,
  });
  const from = { accounts: [id] };
  return {
    rule: {
      from,
      quorum: 1,
      remindEveryMinutes: 600,
      escalateAfterMinutes: 600,
      escalateTo: from,
      expireAfterMinutes: 900,
      highRisk: false,
    },
    async formOf(changeId) {
      let path: string | undefined;
      await until('the mail that asks for approval', 120, async () => {
        const { rows } = await installation.pool.query(
          `SELECT id FROM approval_request WHERE change_id = $1 AND state = 'open'`,
          [changeId],
        );
        path = rows.length === 0 ? undefined : linkIn(join(installation.dataDir, 'mail'), rows[0].id);
        return path !== undefined;
      });
      const form = await browser('GET', path as string);
      return {
        async approve() {
          await browser('POST', path as string, {
            _csrf: field(form, '_csrf'),
            planDigest: field(form, 'planDigest'),
            decision: 'approve',
            comment,
          });
        },
      };
    },
  };
}

function linkIn(folder: string, requestId: string): string | undefined {
  // It comes with the first mail, which comes some moments after the request.
  if (!existsSync(folder)) return undefined;
  for (const name of readdirSync(folder, { withFileTypes: true }).map((entry) => entry.name)) {
    if (!name.includes(requestId)) continue;
    const link = /^http\S+(\/approvals\/\S+)$/m.exec(readFileSync(join(folder, name), 'utf8'))?.[1];
    if (link !== undefined) return link;
  }
  return undefined;
}

function createBrowser(url: string) {
  const cookies = new Map<string, string>();
  return async (method: 'GET' | 'POST', path: string, fields?: Record<string, string>): Promise<string> => {
    const reply = await fetch(new URL(path, url), {
      method,
      redirect: 'manual',
      headers: {
        cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; '),
        ...(fields === undefined
          ? {}
          : { 'content-type': 'application/x-www-form-urlencoded', origin: url, 'sec-fetch-site': 'same-origin' }),
      },
      ...(fields === undefined ? {} : { body: new URLSearchParams(fields).toString() }),
    });
    for (const line of reply.headers.getSetCookie()) {
      const [name = '', value = ''] = (line.split(';')[0] ?? '').split(/=(.*)/s);
      cookies.set(name, value);
    }
    const text = await reply.text();
    if (reply.status >= 400)
      throw new Error(`${method} ${path}: ${reply.status} ${text.replace(/<[^>]+>/g, ' ').slice(0, 500)}`);
    return text;
  };
}

function field(page: string, name: string): string {
  const value = new RegExp(`name="${name}" value="([^"]*)"`).exec(page)?.[1];
  if (value === undefined) throw new Error(`the page has no field ${name}`);
  return value;
}
