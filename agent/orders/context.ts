/** What the executor's steps work with. Everything that touches the world is injected. */
import type { OrderDocument } from '../../protocol/messages.js';
import type { RunChecks } from '../health/checks.js';
import type { HookContext, HookResult } from '../hooks/hooks.js';
import type { LocalLimits } from '../limits/limits.js';
import type { Provider, Transaction } from '../providers/provider.js';
import type { ServerClock } from '../transport/clock.js';
import type { ContentCache } from '../transport/content.js';
import type { Ledger } from './ledger.js';

export interface ExecutorDeps {
  readonly ledger: Ledger;
  readonly provider: Provider;
  /** Further ones by name, for orders that name them. */
  readonly providers?: ReadonlyMap<string, Provider>;
  readonly content: ContentCache;
  readonly clock: Pick<ServerClock, 'latest' | 'skewMs'>;
  readonly limits: () => LocalLimits;
  /** Whether the owner's own windows are open now, in local wall-clock time. */
  readonly ownWindowOpen: () => boolean;
  readonly runChecks: RunChecks;
  readonly runHooks: (
    hooks: OrderDocument['hooks'],
    when: 'before' | 'after',
    context: HookContext,
  ) => Promise<readonly HookResult[]>;
  /** Takes a fresh inventory and hands it to the server. @throws when the server can't be reached. */
  readonly scan: (args: {
    readonly scanId: string;
    readonly orderId: string;
  }) => Promise<{ readonly complete: boolean; readonly reason: string | null }>;
  /** Measures the host by a baseline and tells the server. @throws when the server can't be reached. @returns what people see of it */
  readonly assess?: (args: {
    readonly orderId: string;
    readonly baseline: NonNullable<OrderDocument['baseline']>;
    readonly bytesPerSecond: number | null;
  }) => Promise<Readonly<Record<string, unknown>>>;
  readonly newId: () => string;
  readonly bootId: string;
  /** Tells the server what it has not heard yet, as far as that works within seconds. Never rejects. */
  readonly tellServer: () => Promise<void>;
  /** Restarts the host: returns when it is going down, or not at all. @throws Error when it refuses to. */
  readonly reboot: () => Promise<void>;
  readonly scanOnly: boolean;
  /** The folder of one order; the id has been checked to be a UUID. */
  readonly orderDir: (orderId: string) => string;
  readonly sleep: (ms: number) => Promise<void>;
  /** Monotonic ms. */
  readonly mono: () => number;
  /** How long services get to come up before a failing check counts, ms. */
  readonly healthGraceMs: number;
  readonly log: (message: string, fields?: Readonly<Record<string, unknown>>) => void;
  /** Nothing can go on without the server, which should hear about it now. */
  readonly settled: () => void;
}

/** What the steps see: the same, and whether more urgent work has come up. */
export interface StepDeps extends ExecutorDeps {
  readonly givesWay: (orderId: string) => boolean;
}

export interface Wait {
  readonly kind: 'wait';
  readonly reason: string;
  /** Nobody will tell us when it is over: we look again after a while. */
  readonly lookAgain?: true;
}

/** A step ends in one of these ways; `wait` keeps the order from being picked again until something happens. */
export type StepResult =
  | { readonly kind: 'go' }
  | Wait
  /** Something more urgent came up; this order is picked again after it. */
  | { readonly kind: 'yield' };
export const GO: StepResult = { kind: 'go' };
export const waitFor = (reason: string): StepResult => ({ kind: 'wait', reason });

/** The journal's names of what steps note down. */
export const STEP = {
  transaction: 'transaction',
  baseline: 'baseline',
  bootId: 'bootId',
  scanId: 'scanId',
  runs: 'runs',
  hooked: 'hooked',
  /** A repair before an ordered revert is under way: nothing of that has begun, but packages are being touched. */
  repairing: 'repairing',
  waiting: 'waiting',
} as const;

/** The transaction of an order that has begun. @throws Error when the journal has none: it can't have begun. */
export function transactionOf(deps: ExecutorDeps, orderId: string): Transaction {
  const noted = deps.ledger.entry(orderId).steps[STEP.transaction] as Pick<Transaction, 'changes'> | undefined;
  if (noted === undefined) throw new Error(`order ${orderId} has begun without a transaction`);
  return { orderId, dir: deps.orderDir(orderId), changes: noted.changes };
}

/** Says once, not at every poll, why an order stands still. */
export function noteOnce(deps: ExecutorDeps, orderId: string, text: string): void {
  if (deps.ledger.entry(orderId).steps[STEP.waiting] === text) return;
  deps.ledger.step(orderId, STEP.waiting, text);
  deps.ledger.report(orderId, { type: 'note', text });
}

/**
 * While others are at work on the packages nothing is announced: the start would have to wait for them, past its permit it may be, and
 * what is seen meanwhile (half installed packages) is their doing. Null: nobody is.
 */
export async function waitForOthers(deps: ExecutorDeps, tx: Transaction): Promise<Wait | null> {
  const reason = (await deps.provider.othersAtWork?.(tx)) ?? null;
  if (reason === null) return null;
  noteOnce(deps, tx.orderId, `waits: ${reason}`);
  return { kind: 'wait', reason, lookAgain: true };
}

/** Runs the hooks that undo what `before` hooks did; their failure is said but decides nothing. */
export async function afterHooks(deps: ExecutorDeps, orderId: string, outcome: string): Promise<readonly HookResult[]> {
  if (deps.ledger.entry(orderId).steps[STEP.hooked] !== true) return [];
  return deps.runHooks(deps.ledger.doc(orderId).hooks, 'after', { orderId, outcome });
}

export function problemsOf(results: readonly HookResult[]): string {
  return results
    .filter((result) => !result.ok)
    .map((result) => `hook ${result.name} ${result.problem}`)
    .join('; ');
}
