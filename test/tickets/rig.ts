/** Tickets without Temporal: the real web tier and worker duties on their own database roles, and any tracker. */
import { randomBytes, randomUUID } from 'node:crypto';
import type pg from 'pg';
import pino from 'pino';
import { createApprovalActivities } from '../../activities/approvals.js';
import * as approvalsDb from '../../db/approvals/index.js';
import { storeScans } from '../../db/inventory/store-scan.js';
import { createPool } from '../../db/pool.js';
import { publishSealingKey } from '../../db/tickets/systems.js';
import type { ApprovalRule } from '../../domain/approval/rule.js';
import { generateSealingPem, sealingKeyFromPem } from '../../domain/ticket/sealed-secret.js';
import { CHANGE_KINDS } from '../../worker/activities.js';
import { deliverTickets } from '../../worker/tickets/deliver.js';
import { handleTicketEvents } from '../../worker/tickets/handle.js';
import { hearTickets } from '../../worker/tickets/hear.js';
import type { TicketDeps } from '../../worker/tickets/systems.js';
import { tendWork, type WorkDeps } from '../../worker/tickets/work.js';
import type { Json } from '../helpers/agent-client.js';
import { startApi, type TestApi } from '../helpers/api-server.js';
import { createDatabase, type TestDatabase } from '../helpers/postgres.js';
import { approvalRule } from '../helpers/scripted-activities.js';

export class TicketRig {
  private skipped = 0;

  private constructor(
    readonly db: TestDatabase,
    readonly api: TestApi,
    readonly workerPool: pg.Pool,
    /** As the web tier, which is who takes scans in. */
    private readonly webPool: pg.Pool,
    private readonly sealing = sealingKeyFromPem(generateSealingPem()),
  ) {}

  static async start(): Promise<TicketRig> {
    const db = await createDatabase();
    const api = await startApi({ apiUrl: db.apiUrl, pool: db.pool });
    const pool = (url: string, applicationName: string) => createPool({ url, applicationName });
    const rig = new TicketRig(db, api, pool(db.workerUrl, 'test-worker'), pool(db.apiUrl, 'test-web'));
    await publishSealingKey(rig.workerPool, rig.sealing.publicKey);
    return rig;
  }

  async stop(): Promise<void> {
    await this.api.close();
    await Promise.all([this.workerPool.end(), this.webPool.end()]);
    await this.db.drop();
  }

  readonly clock = (): number => Date.now() + this.skipped;

  /** Moves the clocks of web tier and worker. */
  skip(ms: number): void {
    this.skipped += ms;
    this.api.skip(ms);
  }

  get deps(): TicketDeps & WorkDeps {
    return {
      pool: this.workerPool,
      clock: this.clock,
      sealingKey: this.sealing,
      publicUrl: 'https://ringmaster.example.test',
      log: pino({ level: process.env.TEST_LOG_LEVEL ?? 'silent' }),
      kinds: CHANGE_KINDS,
    };
  }

  /** Delivers until nothing is due. */
  async deliver(): Promise<void> {
    for (let n = 0; n < 1_000; n += 1) if (!(await deliverTickets(this.deps))) return;
    throw new Error('there is always something to deliver');
  }

  /** Hears what people did, does what follows, and delivers what that says. */
  async hear(): Promise<void> {
    await hearTickets(this.deps);
    await this.handle();
  }

  /** Somebody set the ticket of this work to a state, heard as a signed event would be; and what follows. */
  async saysOfWork(args: {
    readonly systemId: string;
    readonly workItemId: string;
    readonly state: string;
  }): Promise<void> {
    await this.workerPool.query(
      `INSERT INTO ticket_event (system_id, external_id, ticket_key, type, author, vouched, state, at, received_at)
       VALUES ($1, $2, $3, 'state', 'alice', true, $4, now(), now())`,
      [args.systemId, randomUUID(), `work/${args.workItemId}`, args.state],
    );
    await this.handle();
  }

  async handle(): Promise<void> {
    await handleTicketEvents(this.deps);
    await tendWork(this.deps);
    await this.deliver();
  }

  async makeSystem(body: object): Promise<Json> {
    const reply = await this.api.call('POST', '/v1/ticket-systems', { body });
    if (reply.status !== 201) throw new Error(`${reply.status} ${JSON.stringify(reply.body)}`);
    return reply.body;
  }

  async rows<T extends pg.QueryResultRow = Json>(sql: string, values: unknown[] = []): Promise<T[]> {
    return (await this.db.pool.query<T>(sql, values)).rows;
  }

  tickets(changeId: string): Promise<Json[]> {
    return this.api.call('GET', `/v1/changes/${changeId}/tickets`).then(({ body }) => body.items);
  }

  /** Where the workflow is, as its activities would write it. */
  async project(changeId: string, stage: string, waitingFor: string | null = null): Promise<void> {
    await this.workerPool.query('UPDATE change SET version = version + 1, stage = $2, waiting_for = $3 WHERE id = $1', [
      changeId,
      stage,
      waitingFor,
    ]);
  }

  async close(changeId: string, outcome: string, summary: object = {}): Promise<void> {
    await this.workerPool.query(
      `UPDATE change SET stage = 'closed', outcome = $2, summary = $3, waiting_for = NULL, closed_at = now() WHERE id = $1`,
      [changeId, outcome, JSON.stringify({ outcome, ...summary })],
    );
  }

  private readonly approvals = (): ReturnType<typeof createApprovalActivities> =>
    createApprovalActivities({
      pool: this.workerPool,
      clock: this.clock,
      stores: approvalsDb,
      codesKey: this.codesKey,
      publicUrl: 'https://ringmaster.example.test',
      whenLines: async () => ['Servers: always'],
      formatInstant: ({ at }) => new Date(at).toISOString(),
      renderApprovalMail: () => ({ subject: 'Please decide', text: 'Please decide', html: 'Please decide' }),
      renderCodeMail: () => ({ subject: 'Code', text: 'Code', html: 'Code' }),
      wakeMail: () => undefined,
    });
  readonly codesKey = randomBytes(32);

  /** Asks people about a ring, as the approval workflow would. @returns the request's id */
  async ask(args: {
    readonly changeId: string;
    readonly planDigest: string;
    readonly rule: Partial<ApprovalRule>;
    readonly ring?: number;
  }): Promise<string> {
    const requestId = randomUUID();
    const { changeId, planDigest, ring = 0 } = args;
    await this.approvals().openApproval({ requestId, changeId, ring, planDigest, rule: approvalRule(args.rule) });
    return requestId;
  }

  /** Has decisions judged that the outbox would hand to the workflow; ends a request that has its quorum. */
  async judge(): Promise<void> {
    const due = await this.rows<{ id: string; request_id: string }>(
      `SELECT o.id, d.request_id FROM outbox o JOIN approval_decision d ON d.id = o.id WHERE o.topic = 'decision' AND o.done_at IS NULL ORDER BY o.created_at`,
    );
    for (const { id, request_id: requestId } of due) {
      const judged = await this.approvals().judgeDecision({ requestId, decisionId: id });
      if (judged.quorumMet) await this.approvals().closeApproval({ requestId, state: 'approved' });
      await this.workerPool.query('UPDATE outbox SET done_at = now() WHERE id = $1', [id]);
    }
  }

  async requestState(requestId: string): Promise<string> {
    return (
      (await this.rows<{ state: string }>('SELECT state FROM approval_request WHERE id = $1', [requestId]))[0]?.state ??
      ''
    );
  }

  /** A complete scan of an endpoint, begun now. @param installed package name to version, all of them amd64 */
  async scan(endpointId: string, installed: Readonly<Record<string, string>>): Promise<string> {
    const scanId = randomUUID();
    await storeScans(this.webPool, {
      now: this.clock(),
      scans: [
        {
          endpointId,
          begunAt: this.clock(),
          scan: {
            scanId,
            startedAt: this.clock(),
            complete: true,
            incompleteReason: null,
            provider: 'apt',
            indexAgeSeconds: 0,
            rebootRequired: false,
            auditClean: true,
            facts: {},
            packages: Object.entries(installed).map(([name, version]) => ({
              name,
              version,
              arch: 'amd64',
              source: name,
              sourceVersion: version,
            })),
            updates: [],
            services: [],
            listeners: [],
          } as never,
        },
      ],
    });
    return scanId;
  }

  /** A plan was frozen: what a change's ticket waits for. */
  async freeze(changeId: string): Promise<void> {
    await this.workerPool.query('UPDATE change SET plan_digest = NULL WHERE id = $1', [changeId]);
    await this.workerPool.query(
      'UPDATE change c SET plan_digest = (SELECT digest FROM plan p WHERE p.change_id = c.id AND p.revision = c.plan_revision) WHERE id = $1',
      [changeId],
    );
  }
}
