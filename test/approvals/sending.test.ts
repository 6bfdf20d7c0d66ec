import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { build } from 'esbuild';
import { createSmtpSender } from '../../adapters/mail/smtp.js';
import { queueMail } from '../../db/mail/outbox.js';
import { MINUTE } from '../../domain/time.js';
import { mailDuty, sendDueMail } from '../../worker/mail-duty.js';
import { type Mailbox, startMailbox } from '../helpers/mailbox.js';
import { createDatabase, type TestDatabase } from '../helpers/postgres.js';
import { repositoryRoot } from '../helpers/repository.js';
import { FROM, quiet } from './rig.js';

jest.setTimeout(60_000);
let db: TestDatabase;
let folder: string;
let skipped = 0;
const clock = () => Date.now() + skipped;
const opened: Mailbox[] = [];

beforeAll(async () => {
  db = await createDatabase();
  folder = mkdtempSync(join(tmpdir(), 'ringmaster-mail-'));
});
afterAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  await db?.drop();
});
beforeEach(async () => {
  skipped = 0;
  await db.pool.query('DELETE FROM mail');
});
afterEach(async () => {
  for (const mailbox of opened.splice(0)) await mailbox.close();
});

async function mailServer(options: Parameters<typeof startMailbox>[0] = {}): Promise<Mailbox> {
  const mailbox = await startMailbox(options);
  opened.push(mailbox);
  return mailbox;
}

const mail = (key: string, over = {}) => ({
  key,
  recipient: 'ada@example.test',
  subject: `About ${key} – grüße`,
  text: `text of ${key}: grüße\n`,
  html: `<p>html of ${key}: grüße</p>`,
  ...over,
});

async function sendAll(url: string): Promise<void> {
  const sender = createSmtpSender({ url, from: FROM });
  try {
    while (await sendDueMail({ pool: db.pool, clock, log: quiet, sender }));
  } finally {
    sender.close();
  }
}

const rows = async () =>
  (await db.pool.query('SELECT key, sent_at, sent_by, attempts, last_error, next_attempt_at FROM mail ORDER BY key'))
    .rows;

describe('by SMTP', () => {
  it('a key is one mail, however often it is queued and however many workers send', async () => {
    const { url, mails } = await mailServer();
    const keys = Array.from({ length: 23 }, (_, i) => `k/${i}`);
    await queueMail(
      db.pool,
      keys.map((key) => mail(key)),
    );
    await queueMail(db.pool, [mail('k/0', { text: 'another text' })]);
    await Promise.all([sendAll(url), sendAll(url), sendAll(url)]);
    await sendAll(url);
    expect(mails.map((m) => m.subject).length).toBe(23);
    expect(new Set(mails.map((m) => m.messageId)).size).toBe(23);
    expect(mails.find((m) => m.text.includes('k/0'))).toMatchObject({
      to: 'ada@example.test',
      text: expect.stringContaining('text of k/0: grüße'),
      html: expect.stringContaining('html of k/0: grüße'),
    });
    expect((await rows()).every((r) => r.sent_by === 'smtp' && r.sent_at !== null && r.attempts === 1)).toBe(true);
  });

  it('a sender that dies between the server’s 250 and its own note: sent again, with the same Message-ID', async () => {
    await queueMail(db.pool, [mail('killed')]);
    const lock = await db.pool.connect();
    // Held back just before it would note that the mail is sent.
    const { url, mails } = await mailServer({
      beforeAccept: async () => {
        if (mails.length > 0) return;
        await lock.query('BEGIN');
        await lock.query(`SELECT FROM mail WHERE key = 'killed' FOR UPDATE`);
      },
    });
    const child = await senderProcess(url);
    try {
      await until(async () => {
        const { rowCount } = await db.pool.query(
          `SELECT FROM pg_stat_activity WHERE application_name = 'doomed' AND wait_event_type = 'Lock'`,
        );
        return rowCount === 1;
      });
    } finally {
      child.kill('SIGKILL');
      await child.ended;
      // What it had said already would be done all the same: as if it had died a moment earlier.
      await db.pool.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'doomed'`);
      await lock.query('ROLLBACK').catch(() => undefined);
      lock.release();
    }
    expect(mails).toHaveLength(1);
    expect((await rows())[0]).toMatchObject({ sent_at: null, attempts: 1 });
    await sendAll(url);
    expect(mails).toHaveLength(1); // still leased to the dead one
    skipped += 2 * MINUTE;
    await sendAll(url);
    expect(mails).toHaveLength(2);
    expect(mails[1]?.messageId).toBe(mails[0]?.messageId);
    expect(mails[0]?.messageId).toMatch(/^<[0-9a-f]{32}@example\.test>$/);
    expect((await rows())[0]).toMatchObject({ sent_by: 'smtp', attempts: 2, last_error: null });
    skipped += 60 * MINUTE;
    await sendAll(url);
    expect(mails).toHaveLength(2);
  });

  it('while the server is away mails wait, longer each time; none is lost', async () => {
    const { port, url, close } = await startMailbox();
    await close();
    await queueMail(
      db.pool,
      ['a', 'b', 'c'].map((key) => mail(key)),
    );
    const pauses: number[] = [];
    for (let i = 0; i < 4; i += 1) {
      await sendAll(url);
      const [first] = await rows();
      expect(first).toMatchObject({
        sent_at: null,
        attempts: i + 1,
        last_error: expect.stringContaining('ECONNREFUSED'),
      });
      pauses.push(Math.round((first.next_attempt_at.getTime() - clock()) / 1000));
      skipped += 16 * MINUTE;
    }
    expect(pauses.map((p) => Math.round(p / 5))).toEqual([1, 2, 4, 8]);
    const { mails } = await mailServer({ port });
    await sendAll(url);
    expect(mails.map((m) => m.text.trim()).sort()).toEqual(['a', 'b', 'c'].map((k) => `text of ${k}: grüße`));
  });

  it('a recipient the server refuses holds up nobody else, and is tried again after an hour', async () => {
    const { url, mails } = await mailServer({
      refuse: (address) => (address.startsWith('nobody') ? { code: 550, message: 'no such user' } : null),
    });
    await queueMail(db.pool, [mail('1', { recipient: 'nobody@example.test' }), mail('2'), mail('3')]);
    await sendAll(url);
    expect(mails).toHaveLength(2);
    const [refused] = await rows();
    expect(refused).toMatchObject({ sent_at: null, last_error: expect.stringContaining('no such user') });
    expect(refused.next_attempt_at.getTime()).toBeGreaterThan(clock() + 59 * MINUTE);
  });

  it('an address is one address, whatever it contains', async () => {
    const { url, mails } = await mailServer();
    await queueMail(db.pool, [mail('x', { recipient: 'ada@example.test, eve@example.test' })]);
    await sendAll(url);
    expect(mails.map((m) => m.to)).not.toContain('eve@example.test');
  });
});

describe('without a mail server', () => {
  const settings = () => ({ smtpUrl: undefined, mailFrom: FROM, dataDir: folder });

  it('mails become private files that people can read, each once', async () => {
    const duty = mailDuty({ pool: db.pool, clock, log: quiet, settings: settings() });
    const keys = [`approval/${randomUUID()}/ask`, '../../etc/passwd', '..__etc_passwd', 'x'.repeat(400)];
    await queueMail(
      db.pool,
      keys.map((key) => mail(key, { subject: 'One\r\nTwo' })),
    );
    while (await duty.run());
    const inside = join(folder, 'mail');
    const files = readdirSync(inside);
    expect(files).toHaveLength(keys.length);
    expect(statSync(inside).mode & 0o777).toBe(0o700);
    for (const file of files) expect(statSync(join(inside, file)).mode & 0o777).toBe(0o600);
    const first = files.find((f) => f.startsWith('approval_')) as string;
    const text = readFileSync(join(inside, first), 'utf8');
    expect(text).toMatch(/^Date: .*\nFrom: Ringmaster.*\nTo: ada@example\.test\nSubject: One Two\nMessage-ID: <.*>\n/);
    expect(text).toContain(`text of ${keys[0]}: grüße`);
    expect((await rows()).every((r) => r.sent_by === 'folder')).toBe(true);
  });

  it('a folder that can’t be written keeps the mail in the outbox', async () => {
    const duty = mailDuty({ pool: db.pool, clock, log: quiet, settings: { ...settings(), dataDir: '/dev/null' } });
    await queueMail(db.pool, [mail('kept')]);
    expect(await duty.run()).toBe(false);
    expect(existsSync('/dev/null/mail')).toBe(false);
    expect((await rows())[0]).toMatchObject({ sent_at: null, last_error: expect.stringMatching(/ENOTDIR|EEXIST/) });
  });
});

/** A worker's mail duty as a process of its own, to be killed. */
async function senderProcess(smtpUrl: string) {
  const outfile = join(folder, 'sender.mjs');
  await build({
    stdin: {
      contents: `
        import { createPool } from './db/pool.js';
        import { mailDuty } from './worker/mail-duty.js';
        const [url, smtpUrl, mailFrom] = process.argv.slice(2);
        const pool = createPool({ url, applicationName: 'doomed' });
        const log = { warn: console.error };
        await mailDuty({ pool, clock: Date.now, log, settings: { smtpUrl, mailFrom, dataDir: '/nowhere' } }).run();
        console.log('survived');`,
      resolveDir: repositoryRoot,
      loader: 'ts',
    },
    bundle: true,
    platform: 'node',
    format: 'esm',
    outfile,
    external: ['pg-native'],
    banner: { js: `import { createRequire as make } from 'node:module'; const require = make(import.meta.url);` },
    logLevel: 'silent',
  });
  const child = spawn(process.execPath, [outfile, db.url, smtpUrl, FROM], { stdio: 'ignore' });
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  return { kill: (signal: NodeJS.Signals) => child.kill(signal), ended };
}

async function until(look: () => Promise<boolean>): Promise<void> {
  for (let i = 0; i < 400; i += 1) {
    if (await look()) return;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  throw new Error('it never came to that');
}
