/**
 * An endpoint that has the scanner, on the real protocol: signed polls, the agent's own ledger, admission, plans and transitions (as the
 * fleet simulator's), with rules of a baseline in place of packages. What its fixes do, and what the scanner says, is up to the test.
 */
import { randomUUID } from 'node:crypto';
import { isOpen } from '../../agent/orders/book.js';
import { type IntakeContext, takeReply } from '../../agent/orders/intake.js';
import { createLedger, type Ledger } from '../../agent/orders/ledger.js';
import { createServerClock } from '../../agent/transport/clock.js';
import { parseJoinToken } from '../../agent/transport/identity.js';
import { acceptKeySet, trustedKeys } from '../../agent/transport/key-set.js';
import { buildPoll } from '../../agent/transport/poller.js';
import { FAILS, OPENSCAP, PASSES } from '../../domain/baseline/rule-name.js';
import { PROTOCOL_VERSION } from '../../protocol/messages.js';
import { Machine } from '../../sim/machine.js';
import { advance, type Host } from '../../sim/work.js';
import { simulatedAgent } from '../helpers/agent-client.js';
import { testRuleId } from '../helpers/data-stream.js';

const moment = () => ({ mono: performance.now(), wall: Date.now() });
const IDLE = {
  applyMs: 0,
  revertMs: 0,
  failApply: false,
  unhealthyAfter: false,
  failRevert: false,
  rebootRequired: false,
  rebootMs: 0,
  offline: false,
};

export class RuleEndpoint {
  id = '';
  /** Why a reply or a request was not as it should be; a test expects none. */
  readonly problems: string[] = [];
  /** Rules that do not pass although their fix says it is done, and the agent that the host is healthy. */
  readonly stubborn = new Set<string>();
  /** Rules that this endpoint leaves out of its orders, and why. */
  readonly unable = new Map<string, string>();
  /** Scanning takes until this is false again. */
  busyScanning = false;
  private readonly agent;
  private readonly host: Host;
  private stopped = false;
  private running: Promise<void> = Promise.resolve();

  constructor(
    readonly name: string,
    url: string,
    private readonly rules: readonly string[],
  ) {
    this.agent = simulatedAgent({ url });
    const machine = new Machine({ role: 'web', versions: new Map() }, new Map(), IDLE);
    for (const rule of rules) machine.install(rule, PASSES);
    const clock = createServerClock(moment);
    const append = () => ({ n: 1, at: 0, type: 'stored' });
    const journal = { seq: 1, size: 0, append, compact: append, close: () => undefined };
    const ledger = createLedger({ journal, records: [], now: () => Math.round(clock.estimate()) });
    const report: Ledger['report'] = (orderId, body) => {
      const declined = [...this.unable].map(([name, reason]) => ({ name, reason }));
      const more = body.type === 'apply' && declined.length > 0 ? { detail: { ...body.detail, declined } } : {};
      ledger.report(orderId, { ...body, ...more });
    };
    this.host = { ledger: Object.create(ledger, { report: { value: report } }), machine, clock, busyUntil: new Map() };
  }

  /** Somebody undid what the rule asks for. */
  drift(...rules: readonly string[]): void {
    for (const rule of rules) this.host.machine.install(rule, FAILS);
  }

  passes(rule: string): boolean {
    return this.host.machine.version(rule) === PASSES && !this.stubborn.has(rule) && !this.unable.has(rule);
  }

  /** Ids of changes whose orders have been carried out here, or were begun. */
  begun(): string[] {
    return Object.values(this.host.ledger.book.orders).flatMap(({ doc, reports }) =>
      doc?.changeId != null && reports.some(({ type }) => type === 'apply') ? [doc.changeId] : [],
    );
  }

  async start(token: string): Promise<void> {
    const enrolled = await this.agent.enrol(token, { protocol: PROTOCOL_VERSION, name: this.name });
    if (enrolled.status !== 200) throw new Error(`${this.name}: ${enrolled.status} ${JSON.stringify(enrolled.body)}`);
    this.id = enrolled.body.endpointId;
    const accepted = acceptKeySet({
      envelope: enrolled.body.keySet,
      rootPublicKey: enrolled.body.rootPublicKey,
      rootFingerprint: parseJoinToken(token).rootFingerprint,
      newestVersion: 0,
    });
    if (!accepted.ok) throw new Error(accepted.reason);
    const { keySet } = accepted;
    await this.agent.inventory({ protocol: PROTOCOL_VERSION });
    this.running = this.work((latest) => ({
      endpointId: this.id,
      trusted: trustedKeys(keySet, latest),
      latest,
      provider: OPENSCAP,
    }));
  }

  async stop(): Promise<void> {
    this.stopped = true;
    await this.running;
  }

  private async work(context: (latest: number) => IntakeContext): Promise<void> {
    const { ledger, machine, clock } = this.host;
    const about = { agent: { version: '1.0.0', slot: 'installed', providers: ['apt', OPENSCAP] } };
    const toAnswer: string[] = [];
    while (!this.stopped) {
      const sent = moment();
      const poll = buildPoll({ ledger, bootId: machine.bootId, now: Date.now });
      const { status, body } = await this.agent.poll({ ...poll, ...about });
      if (status === 200) {
        clock.heard({ sent, serverTime: body.serverTime });
        this.problems.push(...takeReply(ledger, body, context(clock.latest() ?? sent.wall)));
        for (const orderId of advance(this.host, Date.now()).scans)
          if (!toAnswer.includes(orderId)) toAnswer.push(orderId);
        while (!this.busyScanning && toAnswer[0] !== undefined) await this.answer(toAnswer.shift() as string);
      } else this.problems.push(`poll: ${status} ${JSON.stringify(body)}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  /** What the scanner says: of the order's own rules, or of all. */
  private async answer(orderId: string): Promise<void> {
    const { baseline } = this.host.ledger.doc(orderId);
    if (baseline !== undefined) {
      const partial = baseline.rules.length > 0;
      const rules = partial ? baseline.rules.map(({ name }) => name) : this.rules;
      const reply = await this.agent.send({
        path: '/agent/v1/assessment',
        body: {
          protocol: PROTOCOL_VERSION,
          orderId,
          checklist: baseline.checklist,
          startedAt: Date.now(),
          partial,
          base: null,
          results: Object.fromEntries(rules.map((rule) => [testRuleId(rule), this.passes(rule) ? 'pass' : 'fail'])),
          problem: null,
          arf: null,
        },
      });
      if (reply.status !== 200) this.problems.push(`assessment: ${reply.status} ${JSON.stringify(reply.body)}`);
    } else await this.agent.inventory({ protocol: PROTOCOL_VERSION, scanId: randomUUID(), orderId });
    if (isOpen(this.host.ledger.entry(orderId))) this.host.ledger.report(orderId, { type: 'scanned' });
  }
}
