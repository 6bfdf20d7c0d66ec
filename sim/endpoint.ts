/** One simulated endpoint: enrols, polls, works, reports and scans as the agent does, but shares its process with thousands. */
import { randomUUID } from 'node:crypto';
import type { Journal, StoredRecord } from '../agent/journal/journal.js';
import { isOpen, unheard } from '../agent/orders/book.js';
import { takeReply } from '../agent/orders/intake.js';
import { createLedger, type Ledger } from '../agent/orders/ledger.js';
import { createServerClock, type ServerClock } from '../agent/transport/clock.js';
import { buildPoll } from '../agent/transport/poller.js';
import type { SigningKey } from '../protocol/envelope.js';
import { type EnrolReply, type PollReply, PROTOCOL_VERSION } from '../protocol/messages.js';
import { type Caller, call, Refused, signedHeaders } from './gateway.js';
import type { Behaviour, Machine } from './machine.js';
import { PROVIDER } from './machine.js';
import type { Surroundings } from './surroundings.js';
import { openWakeChannel, type WakeChannel } from './wake.js';
import { advance, type Host } from './work.js';

const FIRST_RETRY_MS = 1_000;
const MAX_RETRY_MS = 5 * 60_000;
const MAX_POLL_SECONDS = 3_600;
/** Compared with what the agent tells of itself: said once, and again only when it changes. */
const OBSERVATIONS = { simulated: true, protocol: PROTOCOL_VERSION };

export class Endpoint {
  readonly clock: ServerClock = createServerClock(() => ({ mono: performance.now(), wall: Date.now() }));
  endpointId: string | null = null;
  private readonly caller: Caller;
  private readonly ledger: Ledger;
  private readonly host: Host;
  private wake: WakeChannel | null = null;
  awake = false;
  private pollAt = Number.POSITIVE_INFINITY;
  private workAt = Number.POSITIVE_INFINITY;
  private wakeAt = Number.POSITIVE_INFINITY;
  private polling = false;
  private told = false;
  private retryMs = FIRST_RETRY_MS;
  private wakeRetryMs = FIRST_RETRY_MS;

  constructor(
    private readonly around: Surroundings,
    readonly name: string,
    private readonly machine: Machine,
    key: SigningKey,
  ) {
    this.caller = { key, clock: this.clock, keyid: key.keyid };
    this.ledger = createLedger({ journal: memoryJournal(), records: [], now: () => Math.round(this.clock.estimate()) });
    this.host = { ledger: this.ledger, machine, clock: this.clock, busyUntil: new Map() };
  }

  /** @throws Refused when the server says no; Error when it does not answer. */
  async enrol(token: { readonly secret: string; readonly rootFingerprint: string }): Promise<void> {
    const reply = await call<EnrolReply>(this.around.connections, this.caller, {
      method: 'POST',
      path: '/agent/v1/enrol',
      document: {
        protocol: PROTOCOL_VERSION,
        token: token.secret,
        publicKey: this.caller.key.publicKey,
        name: this.name,
        machineId: this.machine.machineId,
        zone: this.around.zone,
        scanOnly: false,
        simulated: true,
        facts: this.machine.facts(this.name),
      },
    });
    this.around.trust.enrolled(reply, token.rootFingerprint);
    this.endpointId = reply.endpointId;
    this.caller.keyid = reply.endpointId;
    this.around.stats.enrolled += 1;
  }

  /** The first inventory, then the wake-up channel and the rhythm of polls. */
  async begin(): Promise<void> {
    await this.scan(null);
    this.openWake();
    this.pollWithin(0);
  }

  get behaviour(): Behaviour {
    return this.machine.behaviour;
  }

  behave(change: Partial<Behaviour>): void {
    const before = this.machine.behaviour;
    this.machine.behaviour = { ...before, ...change };
    if (this.behaviour.offline && !before.offline) {
      this.closeWake();
      this.pollAt = Number.POSITIVE_INFINITY;
    } else if (before.offline && !this.behaviour.offline) {
      this.openWake();
      this.pollWithin(0);
    }
  }

  /** The network was away and is back. */
  reconnect(): void {
    this.closeWake();
    if (this.behaviour.offline) return;
    this.openWake();
    this.pollWithin(0);
  }

  /** Something may be due: an end of work, a poll, another try for the wake-up channel. */
  due(now: number): void {
    if (this.workAt <= now) {
      this.workAt = Number.POSITIVE_INFINITY;
      this.work(now);
    }
    if (this.wakeAt <= now) this.openWake();
    if (this.pollAt <= now && !this.polling) void this.poll();
  }

  private pollWithin(ms: number): void {
    const at = Date.now() + ms;
    if (this.behaviour.offline || at >= this.pollAt) return;
    this.pollAt = at;
    this.around.agenda.add(at, this);
  }

  private async poll(): Promise<void> {
    this.polling = true;
    this.pollAt = Number.POSITIVE_INFINITY;
    const { stats } = this.around;
    try {
      const reply = await call<PollReply>(this.around.connections, this.caller, {
        method: 'POST',
        path: '/agent/v1/poll',
        document: {
          ...buildPoll({ ledger: this.ledger, bootId: this.machine.bootId, now: Date.now }),
          ...(this.told ? {} : { observations: OBSERVATIONS, localLimits: {} }),
        },
      });
      this.told = true;
      stats.polls += 1;
      this.retryMs = FIRST_RETRY_MS;
      const heard = this.heardSoFar();
      await this.takeIn(reply);
      this.pollWithin(1_000 * Math.min(reply.nextPollSeconds, MAX_POLL_SECONDS));
      // Only as long as it helps, as the agent does.
      if (this.moreToSay() && this.heardSoFar() !== heard) this.pollWithin(0);
    } catch (error) {
      stats.failedRequests += 1;
      stats.lastError = (error as Error).message;
      const passing = !(error instanceof Refused) || error.status >= 500 || error.status === 429;
      this.pollWithin((passing ? this.retryMs : MAX_RETRY_MS) * (0.5 + Math.random()));
      this.retryMs = Math.min(MAX_RETRY_MS, this.retryMs * 2);
    } finally {
      this.polling = false;
      if (this.pollAt <= Date.now()) this.around.agenda.add(this.pollAt, this);
    }
  }

  private async takeIn(reply: PollReply): Promise<void> {
    const { trust, stats } = this.around;
    if (reply.acks.length > 0 || reply.orders.length > 0) {
      await trust.upTo(reply.keySetVersion, this.around.connections, this.caller);
      const latest = this.clock.latest() ?? Date.now();
      const context = { endpointId: this.endpointId ?? '', trusted: trust.keys(latest), latest, provider: PROVIDER };
      const before = Object.keys(this.ledger.book.orders).length;
      const untrusted = takeReply(this.ledger, reply, context);
      stats.untrusted += untrusted.length;
      const orders = Object.values(this.ledger.book.orders);
      for (const entry of orders.slice(before)) {
        stats.orders += 1;
        if (entry.doc?.changeId != null) this.around.orderTaken(entry.doc.changeId, entry.kind);
      }
    }
    if (reply.scanNow) await this.scan(null);
    this.work(Date.now());
  }

  private work(now: number): void {
    const { nextAt, scans } = advance(this.host, now);
    for (const orderId of scans) void this.answerScan(orderId);
    if (nextAt !== null && nextAt < this.workAt) {
      this.workAt = nextAt;
      this.around.agenda.add(nextAt, this);
    }
    // While work is under way its reports gather, as the agent's do.
    if (this.moreToSay()) this.pollWithin(nextAt === null ? 0 : this.around.reportBatchMs);
  }

  private async answerScan(orderId: string): Promise<void> {
    const scanId = await this.scan(orderId).catch(() => null);
    const entry = this.ledger.book.orders[orderId];
    if (scanId === null || entry === undefined || !isOpen(entry)) return;
    this.ledger.report(orderId, { type: 'scanned', detail: { scanId, complete: true } });
    this.pollWithin(0);
  }

  /** @throws Error when the server does not take it. */
  private async scan(orderId: string | null): Promise<string> {
    const scanId = randomUUID();
    const document = this.machine.inventory({ name: this.name, scanId, orderId, at: this.clock.estimate() });
    await call(this.around.connections, this.caller, { method: 'POST', path: '/agent/v1/inventory', document });
    this.around.stats.scans += 1;
    return scanId;
  }

  private moreToSay(): boolean {
    for (const id in this.ledger.book.orders) if (unheard(this.ledger.entry(id)).length > 0) return true;
    return false;
  }

  private heardSoFar(): number {
    let sum = 0;
    for (const id in this.ledger.book.orders) sum += this.ledger.entry(id).acked;
    return sum;
  }

  private openWake(): void {
    this.wakeAt = Number.POSITIVE_INFINITY;
    if (this.wake !== null || !this.around.wakeUp || this.behaviour.offline) return;
    const path = '/agent/v1/wake';
    const url = new URL(path, this.around.url);
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
    this.wake = openWakeChannel({
      url,
      headers: signedHeaders(this.caller, { method: 'GET', path, body: null }),
      ...(this.around.ca === undefined ? {} : { ca: this.around.ca }),
      onOpen: () => {
        this.awake = true;
        this.around.stats.awake += 1;
        this.wakeRetryMs = FIRST_RETRY_MS;
        this.pollWithin(this.around.reconnectSpreadMs * Math.random());
      },
      onWake: () => {
        this.around.stats.wakes += 1;
        this.pollWithin(this.around.wakeSpreadMs * Math.random());
      },
      onClose: () => {
        this.lostWake();
        this.wakeAt = Date.now() + this.wakeRetryMs * (0.5 + Math.random());
        this.wakeRetryMs = Math.min(MAX_RETRY_MS, this.wakeRetryMs * 2);
        this.around.agenda.add(this.wakeAt, this);
      },
    });
  }

  private closeWake(): void {
    this.wake?.close();
    this.lostWake();
  }

  private lostWake(): void {
    this.wake = null;
    if (this.awake) this.around.stats.awake -= 1;
    this.awake = false;
  }
}

/** The journal of a host whose disk is this process's memory. */
function memoryJournal(): Journal {
  let seq = 0;
  const store = (): StoredRecord => {
    seq += 1;
    return { n: seq, at: 0, type: 'stored' };
  };
  return {
    get seq() {
      return seq;
    },
    size: 0,
    append: store,
    compact: store,
    close: () => undefined,
  };
}
