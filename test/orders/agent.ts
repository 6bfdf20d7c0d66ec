/** The agent's side in process: a journal folded through the shared reducer, polls that may be lost, nothing else. */
import type { Pool } from 'pg';
import * as orders from '../../db/orders/index.js';
import type { OrderCore } from '../../domain/order/index.js';
import { offeredOrder, reduceOrder, STATE_TRAITS } from '../../domain/order/index.js';
import type { EpochMs } from '../../domain/time.js';
import type { AgentReport } from '../../protocol/messages.js';
import { readOrder, readPermit } from './fleet.js';

type Said = AgentReport extends infer R ? (R extends unknown ? Omit<R, 'seq' | 'at'> : never) : never;

interface Entry {
  order: OrderCore;
  readonly reports: AgentReport[];
  acked: number;
  startBy: EpochMs | null;
}

const MUTATING = ['change', 'revert'];

export class TestAgent {
  readonly journal = new Map<string, Entry>();
  readonly violations: orders.Violation[] = [];

  constructor(
    private readonly pool: Pool,
    readonly endpointId: string,
  ) {}

  /** Reports of the journal that the server has not acknowledged, and what is open: a poll as it would be sent. */
  request(): Omit<orders.PollReports, 'endpointId'> {
    return {
      reports: [...this.journal]
        .map(([orderId, entry]) => ({ orderId, events: entry.reports.filter((r) => r.seq > entry.acked) }))
        .filter((report) => report.events.length > 0),
      open: [...this.journal]
        .filter(([, { order }]) => !STATE_TRAITS[order.state].final)
        .map(([orderId, { order }]) => ({ orderId, state: order.state, seq: order.seq })),
    };
  }

  /**
   * One poll.
   * @param options.loseReply the server takes the poll in, the agent never hears. `request`: send this (older) one again.
   */
  async poll(
    now: EpochMs,
    options: { loseReply?: boolean; request?: ReturnType<TestAgent['request']> } = {},
  ): Promise<void> {
    const request = options.request ?? this.request();
    const { endpointId } = this;
    const { acks, violations } = await orders.takeReports(this.pool, { endpointId, ...request, now, heardAt: now });
    const offers = await orders.takeOffers(this.pool, { endpointId, open: request.open, now });
    this.violations.push(...violations);
    if (options.loseReply === true) return;
    for (const { orderId, seq } of acks) {
      const entry = this.journal.get(orderId);
      if (entry !== undefined) entry.acked = Math.max(entry.acked, seq);
    }
    for (const { order, permit } of offers) {
      const document = readOrder(order);
      let entry = this.journal.get(document.orderId);
      if (entry === undefined) {
        // What has not begun gives way to what the server sends now.
        for (const [id, other] of this.journal) if (this.isIdle(other)) this.journal.delete(id);
        entry = { order: offeredOrder(document.kind), reports: [], acked: 0, startBy: null };
        this.journal.set(document.orderId, entry);
      }
      if (permit !== null) entry.startBy = readPermit(permit).startBy;
    }
  }

  /** The mutating order in the journal that is not final. */
  current(): [string, Entry] | undefined {
    return [...this.journal].find(([, { order }]) => !STATE_TRAITS[order.state].final && MUTATING.includes(order.kind));
  }

  say(orderId: string, now: EpochMs, ...words: Said[]): this {
    const entry = this.journal.get(orderId);
    if (entry === undefined) throw new Error(`order ${orderId} is not in the journal`);
    for (const word of words) {
      const event = { ...word, seq: entry.order.seq + 1, at: now } as AgentReport;
      const result = reduceOrder(entry.order, event);
      if (result.kind !== 'moved') throw new Error(`${event.type} in ${entry.order.state}: ${JSON.stringify(result)}`);
      entry.order = result.order;
      entry.reports.push(event);
    }
    return this;
  }

  /** Does the next thing it can: accepts, stages, starts inside its permit, and ends as told. Returns whether it did anything. */
  step(now: EpochMs, how: 'succeeds' | 'fails' | 'reverts' = 'succeeds'): boolean {
    const found = this.current();
    if (found === undefined) return false;
    const [id, entry] = found;
    const { state, kind } = entry.order;
    switch (state) {
      case 'offered':
        this.say(id, now, { type: 'accept' });
        return true;
      case 'accepted':
        this.say(id, now, { type: 'staged' });
        return true;
      case 'staged':
        if (entry.startBy === null || entry.startBy < now) return false;
        this.say(id, now, kind === 'change' ? { type: 'apply' } : { type: 'revertBegun', cause: 'asked to' });
        return true;
      case 'applying':
        this.say(id, now, { type: 'applied', rebootRequired: false });
        return true;
      case 'verifying':
        this.say(id, now, end(how));
        return true;
      case 'reverting':
        this.say(id, now, { type: 'reverted' });
        return true;
      default:
        return false;
    }
  }

  /** Polls and steps until nothing moves any more. */
  async run(now: EpochMs, how: 'succeeds' | 'fails' | 'reverts' = 'succeeds'): Promise<void> {
    await this.poll(now);
    while (this.step(now, how)) await this.poll(now);
  }

  private isIdle(entry: Entry): boolean {
    return ['offered', 'accepted', 'staged'].includes(entry.order.state);
  }
}

function end(how: 'succeeds' | 'fails' | 'reverts'): Said {
  if (how === 'succeeds') return { type: 'healthy' };
  return how === 'fails' ? { type: 'failed', cause: 'broken' } : { type: 'revertBegun', cause: 'not healthy' };
}
