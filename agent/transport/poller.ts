/**
 * The conversation with the server: one poll at a time, reports batched, orders taken into the journal, the next poll when
 * the server says, when there is something to say, or when the wake-up channel hints (design §4).
 */
import { createHash } from 'node:crypto';
import {
  type AgentReport,
  KNOWN_REPORTS,
  type PollReply,
  type PollRequest,
  PROTOCOL_VERSION,
} from '../../protocol/messages.js';
import { isOpen, type OrderEntry, openOrders, unheard } from '../orders/book.js';
import type { Executor } from '../orders/executor.js';
import { type IntakeContext, takeReply } from '../orders/intake.js';
import { JournalFailed, type Ledger } from '../orders/ledger.js';
import type { ServerClock } from './clock.js';
import { type GatewayClient, isPassing } from './gateway-client.js';

const MAX_ORDERS = 50;
const MAX_EVENTS = 200;
const MAX_POLL_SECONDS = 3_600;
const FIRST_RETRY_MS = 1_000;
const MAX_RETRY_MS = 5 * 60_000;
/** When the server does not want us (unknown, retired), it is asked rarely. */
const UNWANTED_RETRY_MS = 5 * 60_000;

export interface PollerState {
  readonly lastContactAt: number | null;
  readonly lastError: string | null;
  /** What came unsigned, foreign or malformed; newest last. */
  readonly untrusted: readonly string[];
}

export interface Poller {
  readonly state: PollerState;
  start(): void;
  stop(): void;
  /** Polls within `ms`. */
  soon(ms: number): void;
  /** If there are reports the server has not heard: within `ms`, together with whatever else happens until then. */
  say(ms: number): void;
  /** One poll now, for what must be said before something else happens; never rejects. */
  flush(timeoutMs: number): Promise<void>;
}

export interface PollerDeps {
  readonly client: Pick<GatewayClient, 'poll'> & { readonly protocol?: number };
  readonly ledger: Ledger;
  readonly executor: () => Executor;
  readonly clock: ServerClock;
  readonly bootId: string;
  readonly now: () => number;
  readonly random: () => number;
  readonly minPollSeconds: number;
  /** What orders are judged by; called after the key set was brought up to `keySetVersion`. */
  readonly context: (keySetVersion: number) => Promise<IntakeContext>;
  readonly observations: () => Record<string, unknown>;
  readonly localLimits: () => Record<string, unknown>;
  /** What this agent is. */
  readonly agent?: () => NonNullable<PollRequest['agent']>;
  readonly scanNow: () => void;
  readonly polled: () => void;
  readonly fatal: (error: Error) => void;
  readonly log: (message: string, fields?: Readonly<Record<string, unknown>>) => void;
}

export function createPoller(deps: PollerDeps): Poller {
  const state = { lastContactAt: null as number | null, lastError: null as string | null, untrusted: [] as string[] };
  const told = { observations: '', localLimits: '', agent: '' };
  let timer: NodeJS.Timeout | null = null;
  let dueAt = Number.POSITIVE_INFINITY;
  let polling: Promise<void> | null = null;
  let again = false;
  let stopped = true;
  let retryMs = FIRST_RETRY_MS;
  /** What the last reply said its server knows; nothing before the first one, and after a poll that failed. */
  let knows: readonly string[] = [];

  const schedule = (ms: number, options: { readonly earlierOnly: boolean }) => {
    const at = deps.now() + ms;
    if (stopped || (options.earlierOnly && at >= dueAt)) return;
    if (timer !== null) clearTimeout(timer);
    dueAt = at;
    timer = setTimeout(() => {
      dueAt = Number.POSITIVE_INFINITY;
      timer = null;
      void pollNow();
    }, ms);
  };

  const pollNow = (): Promise<void> => {
    if (polling !== null) {
      again = true;
      return polling;
    }
    polling = once().finally(() => {
      polling = null;
      if (again && !stopped) {
        again = false;
        schedule(0, { earlierOnly: true });
      }
    });
    return polling;
  };

  const once = async (): Promise<void> => {
    // From here on a timer is one that was asked for during this poll: too late to be part of it, so it stays.
    if (timer !== null) clearTimeout(timer);
    timer = null;
    dueAt = Number.POSITIVE_INFINITY;
    const news = changedOnly(
      told,
      {
        observations: deps.observations(),
        localLimits: deps.localLimits(),
        ...(deps.agent === undefined ? {} : { agent: deps.agent() }),
      },
      deps.client.protocol,
    );
    try {
      const reply = await deps.client.poll({ ...buildPoll({ ...deps, knows }), ...news.fields });
      news.heard();
      knows = reply.knows ?? [];
      retryMs = FIRST_RETRY_MS;
      state.lastContactAt = deps.now();
      state.lastError = null;
      const heard = heardSoFar(deps.ledger);
      await takeIn(reply);
      schedule(1_000 * Math.max(deps.minPollSeconds, Math.min(reply.nextPollSeconds, MAX_POLL_SECONDS)), {
        earlierOnly: true,
      });
      // Only as long as it helps: the server may hold a report back until another order is out of the way.
      if (moreToSay(deps.ledger, knows) && heardSoFar(deps.ledger) !== heard) schedule(0, { earlierOnly: true });
    } catch (error) {
      if (error instanceof JournalFailed) {
        deps.fatal(error);
        return;
      }
      // Servers are replaced one by one, and may be put back to the one before.
      knows = [];
      state.lastError = (error as Error).message;
      deps.log('poll failed', { error: state.lastError });
      const wait = isPassing(error) ? retryMs : UNWANTED_RETRY_MS;
      retryMs = Math.min(MAX_RETRY_MS, retryMs * 2);
      schedule(wait * (0.5 + deps.random()), { earlierOnly: false });
    } finally {
      deps.polled();
    }
  };

  const takeIn = async (reply: PollReply): Promise<void> => {
    const context = await deps.context(reply.keySetVersion);
    const untrusted = takeReply(deps.ledger, reply, context);
    for (const reason of untrusted) deps.log('not taken in', { reason });
    state.untrusted = [...state.untrusted, ...untrusted].slice(-5);
    if (reply.scanNow) deps.scanNow();
    deps.executor().work().catch(deps.fatal);
  };

  return {
    state,
    start() {
      stopped = false;
      schedule(0, { earlierOnly: false });
    },
    stop() {
      stopped = true;
      if (timer !== null) clearTimeout(timer);
    },
    soon: (ms) => schedule(ms, { earlierOnly: true }),
    say(ms) {
      if (moreToSay(deps.ledger, knows)) schedule(ms, { earlierOnly: true });
    },
    async flush(timeoutMs) {
      const deadline = new Promise<void>((resolve) => setTimeout(resolve, timeoutMs).unref());
      const said = async () => {
        if (polling !== null) await polling;
        if (moreToSay(deps.ledger, knows)) await pollNow();
      };
      await Promise.race([said(), deadline]);
    },
  };
}

function moreToSay(ledger: Ledger, knows: readonly string[]): boolean {
  return Object.values(ledger.book.orders).some((entry) => sayable(entry, knows).length > 0);
}

/** What can be said of an order now: nothing from the first report on that the server may not know, for it would refuse the whole poll. */
function sayable(entry: OrderEntry, knows: readonly string[]): readonly AgentReport[] {
  const unsaid = unheard(entry);
  const kept = unsaid.findIndex(({ type }) => NEWER.includes(type) && !knows.includes(type));
  return kept < 0 ? unsaid : unsaid.slice(0, kept);
}
const NEWER: readonly string[] = KNOWN_REPORTS;

function heardSoFar(ledger: Ledger): number {
  return Object.values(ledger.book.orders).reduce((sum, entry) => sum + entry.acked, 0);
}

/** What the server must know of us at each poll. Orders under way come first, should there ever be too many to list. */
export function buildPoll(
  deps: Pick<PollerDeps, 'ledger' | 'bootId' | 'now'> & { readonly knows?: readonly string[] },
): PollRequest {
  const knows = deps.knows ?? [];
  const open = openOrders(deps.ledger.book).reverse();
  const unsaid = Object.values(deps.ledger.book.orders).filter((entry) => sayable(entry, knows).length > 0);
  return {
    protocol: PROTOCOL_VERSION,
    journalSeq: deps.ledger.journalSeq,
    bootId: deps.bootId,
    clock: Math.round(deps.now()),
    open: open.slice(0, MAX_ORDERS).map(({ orderId, core }) => ({ orderId, state: core.state, seq: core.seq })),
    reports: [...unsaid.filter(isOpen), ...unsaid.filter((entry) => !isOpen(entry))]
      .slice(0, MAX_ORDERS)
      .map((entry) => ({ orderId: entry.orderId, events: [...sayable(entry, knows)].slice(0, MAX_EVENTS) })),
  };
}

/** Fields that differ from what the server heard last; `heard` remembers that it has them now. */
function changedOnly(
  told: Record<string, string>,
  fields: Record<string, Record<string, unknown>>,
  /** In another version of the protocol everything is said anew: the one before may have left it out. */
  protocol: number | undefined,
) {
  const digest = (value: unknown) =>
    createHash('sha256')
      .update(JSON.stringify([protocol, value]))
      .digest('hex');
  const changed = Object.entries(fields).filter(([name, value]) => told[name] !== digest(value));
  return {
    fields: Object.fromEntries(changed),
    heard: () => {
      for (const [name, value] of changed) told[name] = digest(value);
    },
  };
}
