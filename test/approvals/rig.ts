/**
 * Approvals without Temporal: the real pages on the web tier's own database role, the real activities on the worker's, a real
 * mail server, and in the workflow's place a loop that has decisions judged and closes the request.
 */
import { randomBytes, randomUUID } from 'node:crypto';
import type pg from 'pg';
import pino from 'pino';
import { type ApprovalDeps, createApprovalActivities } from '../../activities/approvals.js';
import { whenLines } from '../../activities/when-lines.js';
import { renderApprovalMail, renderCodeMail } from '../../adapters/mail/approval-mail.js';
import { createSmtpSender } from '../../adapters/mail/smtp.js';
import { approvalPages } from '../../api/approvals/pages.js';
import { readHoursGroups } from '../../db/approvals/hours.js';
import * as approvalsDb from '../../db/approvals/index.js';
import { loadFreezeTexts } from '../../db/orders/windows.js';
import { createPool } from '../../db/pool.js';
import type { ApprovalRule } from '../../domain/approval/rule.js';
import { formatInstant } from '../../domain/schedule/index.js';
import { sendDueMail } from '../../worker/mail-duty.js';
import { startApi, type TestApi } from '../helpers/api-server.js';
import { Browser, type Page } from '../helpers/browser.js';
import { type Mailbox, type ReceivedMail, startMailbox } from '../helpers/mailbox.js';
import { createDatabase, type TestDatabase } from '../helpers/postgres.js';
import { approvalRule } from '../helpers/scripted-activities.js';
import {
  type SeededAccount,
  type SeededChange,
  seedAccount,
  seedChange,
  seedEndpoint,
} from '../helpers/seed-change.js';

export const PASSWORD = 'correct horse battery';
export const FROM = 'Ringmaster <ringmaster@example.test>';
export const quiet = pino({ level: 'silent' });

export type Activities = ReturnType<typeof createApprovalActivities>;

export interface Asked extends SeededChange {
  readonly requestId: string;
  readonly people: readonly string[];
}

export class ApprovalRig {
  private skipped = 0;
  private judging = true;
  private judge: Promise<void> = Promise.resolve();

  private constructor(
    readonly db: TestDatabase,
    readonly api: TestApi,
    readonly mailbox: Mailbox,
    readonly workerPool: pg.Pool,
  ) {}

  /** @param options.judge false: something else has decisions judged */
  static async start(options: { readonly judge?: boolean } = {}): Promise<ApprovalRig> {
    const db = await createDatabase();
    const api = await startApi({
      apiUrl: db.apiUrl,
      pool: db.pool,
      plugs: [(context) => ({ pages: approvalPages(context) })],
    });
    const mailbox = await startMailbox();
    const rig = new ApprovalRig(db, api, mailbox, createPool({ url: db.workerUrl, applicationName: 'test-worker' }));
    if (options.judge !== false) rig.judge = rig.judgeWhatComes();
    return rig;
  }

  async stop(): Promise<void> {
    this.judging = false;
    await this.judge;
    await this.mailbox.close();
    await this.api.close();
    await this.workerPool.end();
    await this.db.drop();
  }

  readonly clock = (): number => Date.now() + this.skipped;

  /** Moves the clock of web tier and worker. */
  skip(ms: number): void {
    this.skipped += ms;
    this.api.skip(ms);
  }

  readonly deps: () => ApprovalDeps = () => ({
    pool: this.workerPool,
    clock: this.clock,
    stores: approvalsDb,
    codesKey: this.codesKey,
    publicUrl: this.api.url,
    whenLines: (args) => whenLines({ pool: this.workerPool, readHoursGroups, loadFreezeTexts }, args),
    formatInstant,
    renderApprovalMail,
    renderCodeMail,
    wakeMail: () => undefined,
  });
  readonly codesKey = randomBytes(32);
  private made: Activities | null = null;

  get activities(): Activities {
    this.made ??= createApprovalActivities(this.deps());
    return this.made;
  }

  /** What the outbox says of decisions, done as the approval workflow would. */
  private async judgeWhatComes(): Promise<void> {
    while (this.judging) {
      const { rows } = await this.workerPool.query(
        `SELECT o.id, d.request_id FROM outbox o JOIN approval_decision d ON d.id = o.id WHERE o.topic = 'decision' AND o.done_at IS NULL
         ORDER BY o.created_at`,
      );
      for (const { id, request_id: requestId } of rows) {
        const judged = await this.activities.judgeDecision({ requestId, decisionId: id });
        if (judged.verdict === 'counted' && judged.decision === 'reject')
          await this.activities.closeApproval({ requestId, state: 'rejected' });
        else if (judged.quorumMet) await this.activities.closeApproval({ requestId, state: 'approved' });
        await this.workerPool.query('UPDATE outbox SET done_at = now() WHERE id = $1', [id]);
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  account(name: string, options: Partial<Parameters<typeof seedAccount>[1]> = {}): Promise<SeededAccount> {
    return seedAccount(this.db.pool, { name: `${name} ${randomUUID().slice(0, 8)}`, password: PASSWORD, ...options });
  }

  /** Asks for ring 1 of a small change; by default `people` are named in the rule. */
  async ask(options: {
    readonly people?: readonly SeededAccount[];
    readonly rule?: Partial<ApprovalRule>;
    readonly requestedBy?: string;
    readonly change?: SeededChange;
  }): Promise<Asked> {
    const requestedBy = options.requestedBy ?? (await this.account('Requester')).id;
    const change = options.change ?? (await this.smallChange(requestedBy));
    const accounts = (options.people ?? []).map((p) => p.id);
    const rule = approvalRule({ ...(accounts.length > 0 ? { from: { accounts } } : {}), ...options.rule });
    const requestId = randomUUID();
    const { people } = await this.activities.openApproval({
      requestId,
      changeId: change.changeId,
      ring: 1,
      rule,
      planDigest: change.planDigest,
    });
    await this.sendMail();
    return { ...change, requestId, people };
  }

  async smallChange(requestedBy: string): Promise<SeededChange> {
    const tag = randomUUID().slice(0, 8);
    const test = await seedEndpoint(this.db.pool, { name: `test-${tag}` });
    const web = await seedEndpoint(this.db.pool, { name: `web-${tag}` });
    const updates = [{ name: 'curl', from: '8.0-1', to: '8.0-2' }];
    return seedChange(this.db.pool, {
      requestedBy,
      rings: [
        { name: 'test', endpoints: [test], updates },
        { name: 'web', endpoints: [web], updates },
      ],
    });
  }

  async sendMail(): Promise<void> {
    const sender = createSmtpSender({ url: this.mailbox.url, from: FROM });
    while (await sendDueMail({ pool: this.workerPool, clock: this.clock, log: quiet, sender }));
    sender.close();
  }

  /** The mail with the link that somebody got about a request. */
  async askMail(asked: Asked, person: SeededAccount): Promise<ReceivedMail> {
    const link = await this.link(asked, person);
    const found = this.mailbox
      .to(person.email)
      .find((mail) => mail.text.includes(link) && !mail.subject.startsWith('Reminder'));
    if (found === undefined) throw new Error(`${person.name} got no mail about ${asked.requestId}`);
    return found;
  }

  /** The path that a person's mail leads to. */
  async link(asked: Asked, person: SeededAccount): Promise<string> {
    const { rows } = await this.db.pool.query(
      'SELECT locator FROM approval_person WHERE request_id = $1 AND account_id = $2',
      [asked.requestId, person.id],
    );
    if (rows.length === 0) throw new Error(`${person.name} was not asked`);
    return `/approvals/${rows[0].locator}`;
  }

  /** The code as mailed to an address about a request; null when none was. */
  codeMailedTo(address: string, asked: Asked): string | null {
    const mail = this.mailbox
      .to(address)
      .find((m) => m.subject.startsWith('One-time code') && m.text.includes(asked.planDigest));
    return /[2-9A-Z]{5}-[2-9A-Z]{5}/.exec(mail?.text ?? '')?.[0] ?? null;
  }

  browser(): Browser {
    return new Browser(this.api.url);
  }

  async signedIn(person: SeededAccount): Promise<Browser> {
    const browser = this.browser();
    const page = await browser.get('/sign-in');
    const fields = { _csrf: page.field('_csrf'), next: '/', email: person.email, password: PASSWORD };
    const reply = await browser.post('/sign-in', fields);
    if (reply.status !== 303) throw new Error(`${person.name} can't sign in: ${reply.status}`);
    return browser;
  }

  /** Opens the page and posts its form, as a person would. */
  async decide(args: {
    readonly asked: Asked;
    readonly person: SeededAccount;
    readonly browser?: Browser;
    readonly fields?: Record<string, string>;
  }): Promise<Page> {
    const browser = args.browser ?? this.browser();
    const path = await this.link(args.asked, args.person);
    const page = await browser.get(path);
    return browser.post(path, {
      _csrf: page.field('_csrf'),
      planDigest: page.field('planDigest'),
      decision: 'approve',
      comment: '',
      ...args.fields,
    });
  }

  async decisions(
    asked: Asked,
  ): Promise<{ state: string; decision: string; reason: string | null; code: string | null }[]> {
    const { rows } = await this.db.pool.query(
      `SELECT state, decision, refused_reason AS reason, code FROM approval_decision WHERE request_id = $1 ORDER BY decided_at, id`,
      [asked.requestId],
    );
    return rows;
  }

  async state(asked: Asked): Promise<string> {
    const { rows } = await this.db.pool.query('SELECT state FROM approval_request WHERE id = $1', [asked.requestId]);
    return rows[0]?.state;
  }

  async audit(asked: Asked): Promise<string[]> {
    const { rows } = await this.db.pool.query('SELECT action FROM audit_entry WHERE subject = $1 ORDER BY id', [
      `approval/${asked.requestId}`,
    ]);
    return rows.map((row) => row.action);
  }
}
