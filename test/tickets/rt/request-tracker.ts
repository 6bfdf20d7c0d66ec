/** A real Request Tracker 5 for tests: its own copy of the database Debian made, its own configuration, on a port of its own. */
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe } from '@jest/globals';
import type { Json } from '../../helpers/agent-client.js';
import { startOnLifeline } from '../../helpers/lifeline.js';
import { freePorts } from '../../helpers/ports.js';
import { repositoryRoot } from '../../helpers/repository.js';

const SERVER = '/usr/share/request-tracker5/libexec/rt-server';
const EMPTY_DATABASE = '/var/lib/dbconfig-common/sqlite3/request-tracker5/rtdb';

/** As `describe`, for tests that need a Request Tracker; the suite's name tells why when they can't run. */
export function describeRequestTracker(name: string, tests: () => void): void {
  const reason = unavailableReason();
  if (reason === null) describe(name, tests);
  else describe.skip(`${name} (Request Tracker: ${reason})`, tests);
}

function unavailableReason(): string | null {
  if (process.getuid?.() !== 0) return 'needs root';
  if (!existsSync(SERVER) || !existsSync(EMPTY_DATABASE))
    return 'not installed; on Debian, test/tickets/rt/install.sh does it';
  return null;
}

export interface RequestTracker {
  readonly url: string;
  /** REST 2.0 as one of its users; `root`, `ringmaster`, `alice`, `bob`, `mallory`. */
  readonly as: (
    user: string,
    method: string,
    path: string,
    body?: object,
    headers?: Record<string, string>,
  ) => Promise<{ status: number; headers: Headers; json: Json }>;
  /** Has a mail come in, as RT's mail gateway would hand it over. */
  readonly mail: (args: { readonly ticket: string; readonly from: string; readonly text: string }) => void;
  readonly stop: () => Promise<void>;
}

export const passwordOf = (user: string): string => (user === 'root' ? 'password' : `${user}-password`);

export async function startRequestTracker(): Promise<RequestTracker> {
  const folder = mkdtempSync(join(tmpdir(), 'ringmaster-rt-'));
  const configuration = join(folder, 'conf.d');
  mkdirSync(configuration);
  copyFileSync(EMPTY_DATABASE, join(folder, 'rtdb'));
  const [port] = await freePorts(1);
  const url = `http://127.0.0.1:${port}`;
  writeFileSync(join(folder, 'site.pm'), '1;\n');
  writeFileSync(
    join(configuration, 'test.pm'),
    `Set($rtname, 'rt.test'); Set($Organization, 'rt.test'); Set($Timezone, 'Asia/Kolkata');
Set($WebPath, ''); Set($WebDomain, '127.0.0.1'); Set($WebPort, ${port}); Set($WebBaseURL, '${url}');
Set($DatabaseType, 'SQLite'); Set($DatabaseName, '${join(folder, 'rtdb')}');
Set($MailCommand, 'testfile'); Set($RestrictReferrer, 0);
Set($LogToSyslog, undef); Set($LogToFile, undef); Set($LogToSTDERR, 'warning');
1;
`,
  );
  const env = {
    PATH: process.env.PATH ?? '/usr/sbin:/usr/bin:/sbin:/bin',
    RT_SITE_CONFIG: join(folder, 'site.pm'),
    RT_SITE_CONFIG_DIR: configuration,
    HOME: folder,
    TMPDIR: folder,
  };
  const data = join(repositoryRoot, 'test/tickets/rt/initial-data.pl');
  execFileSync('rt-setup-database-5', ['--action', 'insert', '--datafile', data], { env, cwd: folder, stdio: 'pipe' });
  const log = join(folder, 'server.log');
  const server = await startOnLifeline({
    argv: [SERVER, '--host', '127.0.0.1', '--port', String(port), '--max-workers', '4'],
    env,
    cwd: folder,
    signal: 'SIGTERM',
    log,
    remove: folder,
  });

  const as: RequestTracker['as'] = async (user, method, path, body, headers = {}) => {
    const reply = await fetch(`${url}/REST/2.0${path}`, {
      method,
      headers: {
        authorization: `Basic ${Buffer.from(`${user}:${passwordOf(user)}`).toString('base64')}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await reply.text();
    return { status: reply.status, headers: reply.headers, json: text === '' ? null : JSON.parse(text) };
  };
  const until = Date.now() + 60_000;
  for (;;) {
    const up = await as('ringmaster', 'GET', '/rt').catch(() => null);
    if (up?.status === 200) break;
    if (Date.now() > until)
      throw new Error(`Request Tracker does not answer:\n${readFileSync(log, 'utf8').slice(-2_000)}`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  return {
    url,
    as,
    mail: ({ ticket, from, text }) => {
      const message = `From: ${from}\nTo: rt@rt.test\nSubject: [rt.test #${ticket}] answer\nMIME-Version: 1.0\nContent-Type: text/plain\n\n${text}\n`;
      const gateway = ['--queue', 'Patching', '--action', 'comment', '--url', url];
      execFileSync('rt-mailgate-5', gateway, { env, input: message, stdio: ['pipe', 'pipe', 'pipe'] });
    },
    stop: server.stop,
  };
}
