/** Baselines with tickets, without Temporal: web tier and worker duties on their own database roles; endpoints are rows that answer. */
import { randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import type pg from 'pg';
import { storeNoticed } from '../../db/baseline/notices.js';
import { storeAssessment } from '../../db/baseline/store-assessment.js';
import { createPool } from '../../db/pool.js';
import type { RuleResult } from '../../domain/baseline/results.js';
import { generateSigningKeyPem, signingKeyFromPem } from '../../protocol/envelope.js';
import { baselineDuties } from '../../worker/baseline-duty.js';
import { noticeDuty } from '../../worker/notice-duty.js';
import { createSigner } from '../../worker/signer.js';
import type { Json } from '../helpers/agent-client.js';
import { ADMIN_TOKEN } from '../helpers/api-server.js';
import { testAssignment, testDataStream, testRuleId } from '../helpers/data-stream.js';
import { seedChange, seedEndpoint } from '../helpers/seed-change.js';
import { TicketRig } from '../tickets/rig.js';

export type Results = Readonly<Record<string, RuleResult>>;

const key = signingKeyFromPem(generateSigningKeyPem());
const signer = createSigner(() => key);

export class BaselineRig {
  /** What the content store has, by digest. */
  readonly streams = new Map<string, Buffer>();

  private constructor(
    readonly tickets: TicketRig,
    private readonly apiPool: pg.Pool,
  ) {}

  /** With a baseline `house` whose rules have these names, a fix each. */
  static async start(
    rules: readonly (string | { readonly name: string; readonly fix: string })[],
  ): Promise<BaselineRig> {
    const tickets = await TicketRig.start();
    const apiPool = createPool({ url: tickets.db.apiUrl, applicationName: 'test-web' });
    const rig = new BaselineRig(tickets, apiPool);
    await rig.import('house', rules);
    return rig;
  }

  /** The next version of a baseline. */
  async import(
    name: string,
    rules: readonly (string | { readonly name: string; readonly fix: string })[],
  ): Promise<void> {
    const body = testDataStream({
      rules: rules
        .map((rule) => (typeof rule === 'string' ? { name: rule, fix: `echo '${rule} yes'\n` } : rule))
        .map((rule) => ({ ...rule, file: '/etc/a.conf', line: `${rule.name} yes` })),
    });
    const headers = { authorization: `Bearer ${ADMIN_TOKEN}`, 'content-type': 'application/xml' };
    const reply = await fetch(`${this.tickets.api.url}/v1/baselines?name=${name}`, { method: 'POST', headers, body });
    if (reply.status !== 201) throw new Error(`${reply.status} ${await reply.text()}`);
    await this.duty('baseline-content');
  }

  async stop(): Promise<void> {
    await this.apiPool.end();
    await this.tickets.stop();
  }

  /** What the worker does, once. */
  async duty(name: string): Promise<void> {
    const { workerPool: pool, clock } = this.tickets;
    const store = {
      put: async ({ sha256, size, stream }: Json) => {
        this.streams.set(sha256, Buffer.concat(await stream.toArray()));
        return { sha256, size, existed: false };
      },
      open: async (sha256: string) => {
        const bytes = this.streams.get(sha256);
        if (bytes === undefined) throw new Error('the content store does not have it');
        return { handle: { createReadStream: () => Readable.from([bytes]) } };
      },
    };
    const duties = [
      ...baselineDuties({ pool, store: store as never, signer, clock }),
      noticeDuty({ pool, clock, publicUrl: 'https://ringmaster.example.test' }),
    ];
    const duty = duties.find((one) => one.name === name);
    if (duty === undefined) throw new Error(`there is no duty ${name}`);
    while (await duty.run());
  }

  /** Resolves who is measured by what, and orders the scans that are due. */
  async assess(): Promise<void> {
    await this.duty('baseline-targets');
    await this.duty('scans');
  }

  /** An endpoint that has the scanner. */
  async endpoint(labels: Record<string, string> = {}): Promise<string> {
    const id = await seedEndpoint(this.tickets.db.pool, { name: `web-${randomUUID().slice(0, 6)}`, labels });
    await this.tickets.rows(`UPDATE endpoint SET agent = '{"providers": ["apt", "openscap"]}' WHERE id = $1`, [id]);
    return id;
  }

  /** @returns the checklist's name */
  async assign(name: string, over: object = {}): Promise<string> {
    const reply = await this.tickets.api.call('PUT', `/v1/baseline-assignments/${name}`, {
      body: testAssignment(over),
    });
    if (reply.status !== 200) throw new Error(`${reply.status} ${JSON.stringify(reply.body)}`);
    await this.duty('baseline-content');
    return reply.body.checklist;
  }

  /** The scan order that is out at an endpoint; null: none is. */
  async order(endpointId: string): Promise<string | null> {
    const [row] = await this.tickets.rows(
      `SELECT id FROM order_state WHERE endpoint_id = $1 AND kind = 'scan' AND change_id IS NULL AND phase <> 'done' ORDER BY released_at DESC LIMIT 1`,
      [endpointId],
    );
    return row?.id ?? null;
  }

  /** Answers the order that is out. @param results by the rules' names; or the problem there was */
  async answer(endpointId: string, results: Results | string): Promise<string> {
    const orderId = await this.order(endpointId);
    if (orderId === null) throw new Error('no scan order is out');
    const [envelope] = await this.tickets.rows<{ digest: string; rules: unknown[] }>(
      `SELECT b ->> 'checklist' AS digest, b -> 'rules' AS rules FROM order_envelope,
              LATERAL (SELECT convert_from(decode(envelope ->> 'payload', 'base64'), 'UTF8')::jsonb -> 'baseline' AS b) d WHERE order_id = $1`,
      [orderId],
    );
    const problem = typeof results === 'string' ? results : null;
    const stored = await storeAssessment(this.apiPool, {
      endpointId,
      now: this.tickets.clock(),
      request: {
        protocol: 2,
        orderId,
        checklist: envelope?.digest ?? '',
        startedAt: this.tickets.clock(),
        partial: (envelope?.rules.length ?? 0) > 0,
        base: null,
        results: typeof results === 'string' ? {} : byId(results),
        problem,
        arf: null,
      },
    });
    if (stored.kind !== 'stored') throw new Error(JSON.stringify(stored));
    await this.end(orderId, 'succeeded');
    return orderId;
  }

  /** An order ended, as a report or the server would have it. */
  async end(orderId: string, state: string): Promise<void> {
    await this.tickets.workerPool.query(
      `UPDATE order_state SET state = $2, phase = 'done', settled_at = to_timestamp($3 / 1000.0) WHERE id = $1`,
      [orderId, state, this.tickets.clock()],
    );
  }

  /** Measured from the order to the answer. */
  async measure(endpointId: string, results: Results | string): Promise<string> {
    await this.assess();
    return this.answer(endpointId, results);
  }

  /** An agent notices something, and it is judged. */
  notice(endpointId: string, over: Json): Promise<void> {
    return this.noticeAll(endpointId, [over]);
  }

  /** The same of several things at once. */
  async noticeAll(endpointId: string, all: readonly Json[]): Promise<void> {
    const at = this.tickets.clock();
    const items = all.map((over) => ({ key: randomUUID(), kind: 'rule', action: 'changed', detail: {}, at, ...over }));
    await storeNoticed(this.apiPool, { endpointId, items: items as never, now: this.tickets.clock() });
    await this.duty('notices');
  }

  /** The agent's own look at a critical rule. */
  drift(endpointId: string, rule: string, [before, after]: readonly [RuleResult, RuleResult]): Promise<void> {
    return this.notice(endpointId, { name: testRuleId(rule), detail: { before, after } });
  }

  /** A frozen remediation of these rules of a checklist; no workflow. */
  async remediation(args: {
    readonly endpoints: readonly string[];
    readonly checklist: string;
    readonly rules: readonly string[];
    readonly requestedBy: string;
  }): Promise<string> {
    const updates = args.rules.map((name) => ({ name, source: args.checklist, from: '0-fail', to: '1-pass' }));
    const { changeId } = await seedChange(this.tickets.db.pool, {
      requestedBy: args.requestedBy,
      rings: [{ name: 'all', endpoints: args.endpoints, updates }],
    });
    await this.tickets.rows(`UPDATE change SET kind = 'remediation' WHERE id = $1`, [changeId]);
    await this.tickets.rows(`UPDATE plan_endpoint SET provider = 'openscap' WHERE change_id = $1`, [changeId]);
    return changeId;
  }

  /** Its order on an endpoint ended so. @returns the order's id */
  async carryOut(changeId: string, endpointId: string, state: string): Promise<string> {
    const id = randomUUID();
    const { workerPool } = this.tickets;
    await workerPool.query(
      `INSERT INTO order_state (id, change_id, ring, home_ring, endpoint_id, kind, phase, state, content_digest, started_at)
       SELECT $1, change_id, 0, 0, endpoint_id, 'change', 'holding', 'verifying', update_set_digest, to_timestamp($4 / 1000.0)
         FROM plan_endpoint WHERE change_id = $2 AND endpoint_id = $3`,
      [id, changeId, endpointId, this.tickets.clock()],
    );
    await this.end(id, state);
    return id;
  }

  /** Somebody wants it measured now, and it is. */
  async measureAgain(endpointId: string, results: Results | string): Promise<string> {
    await this.tickets.api.call('POST', `/v1/endpoints/${endpointId}/assess`);
    return this.measure(endpointId, results);
  }

  async work(endpointId: string): Promise<Json[]> {
    return (await this.tickets.api.call('GET', `/v1/work?endpoint=${endpointId}`)).body.items;
  }
}

const byId = (results: Results): Results =>
  Object.fromEntries(Object.entries(results).map(([name, result]) => [testRuleId(name), result]));
