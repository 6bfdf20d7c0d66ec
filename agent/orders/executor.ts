/**
 * Works through the orders in the journal, one step at a time, each announced on disk before it begins. After a crash at
 * any point the journal says where each order is, and the step begun there is begun again (design §4).
 */

import { isMutating } from '../../domain/order/index.js';
import { rebootObjection } from './admission.js';
import { notNow, ownObjection, stepApplying, stepStaged } from './applying.js';
import { type OrderEntry, openOrders } from './book.js';
import {
  afterHooks,
  type ExecutorDeps,
  GO,
  noteOnce,
  STEP,
  type StepDeps,
  type StepResult,
  waitFor,
} from './context.js';
import { bootedSince, stepAwaitingReboot, stepRebooting, stepReverting, stepVerifying } from './finishing.js';
import { JournalFailed } from './ledger.js';
import { stepAccepted } from './staging.js';

export interface Executor {
  /** Goes on as far as anything can go on. Resolves when every order is done or waits. Rejects only with JournalFailed. */
  work(): Promise<void>;
  /** Whether an order is being worked on now. */
  readonly busy: boolean;
  /** Why each open order stands still, by id: for `status`. */
  readonly waiting: ReadonlyMap<string, string>;
  /** Epoch-free ms until an order that failed for a passing reason should be tried again; null: none. */
  retryInMs(): number | null;
}

/** Begun work goes first: a host is not left half done for the sake of another order. */
const URGENCY: readonly string[] = [
  'reverting',
  'verifying',
  'rebooting',
  'applying',
  'awaitingReboot',
  'staged',
  'offered',
  'accepted',
];
/**
 * Below zero: `a` first. An order that prefetches gives way to one that changes; of two alike the newer goes first,
 * because the server lets out one changing order at a time, so the older one has been taken back.
 */
function byUrgency(a: OrderEntry, b: OrderEntry): number {
  const rank = (entry: OrderEntry) => URGENCY.indexOf(entry.core.state) + (isMutating(entry.kind) ? 0 : 0.5);
  return rank(a) - rank(b) || (b.doc?.issuedAt ?? 0) - (a.doc?.issuedAt ?? 0);
}
const MAX_TRIES = 8;
const FIRST_BACKOFF_MS = 2_000;
const MAX_BACKOFF_MS = 5 * 60_000;

/** Of an order in one state. Counted apart: however often it had to wait for others, it has not failed for that. */
interface Retry {
  readonly state: string;
  readonly waits: number;
  readonly failures: number;
  /** Monotonic ms; not before that. */
  readonly at: number;
}

export function createExecutor(deps: ExecutorDeps): Executor {
  const waiting = new Map<string, string>();
  const retries = new Map<string, Retry>();
  let running: Promise<void> | null = null;
  let again = false;

  /** Whether the server, and the endpoint itself, let it go on now. */
  const covered = (entry: OrderEntry): boolean => {
    if (entry.core.state === 'staged') return entry.permit !== null && notNow(deps, entry.orderId) === null;
    if (entry.core.state === 'awaitingReboot')
      return bootedSince(deps, entry.orderId) || rebootObjection({ permit: entry.permit, clock: deps.clock }) === null;
    return true;
  };
  const mayMove = (entry: OrderEntry): boolean => {
    const retry = retries.get(entry.orderId);
    if (retry !== undefined && retry.state === entry.core.state && deps.mono() < retry.at) return false;
    return covered(entry);
  };
  const next = (done: ReadonlySet<string>): OrderEntry | undefined =>
    openOrders(deps.ledger.book)
      .filter((entry) => !done.has(entry.orderId) && mayMove(entry))
      .sort(byUrgency)[0];

  const givesWay = (orderId: string): boolean => {
    const mine = deps.ledger.entry(orderId);
    return openOrders(deps.ledger.book).some(
      (other) => other.orderId !== orderId && byUrgency(other, mine) < 0 && mayMove(other),
    );
  };
  const stepDeps: StepDeps = { ...deps, givesWay };

  const stepOnce = async (entry: OrderEntry): Promise<StepResult> => {
    const { orderId } = entry;
    try {
      const named = deps.providers?.get(entry.doc?.provider ?? '') ?? stepDeps.provider;
      const provider = entry.doc === null ? named : (named.forOrder?.(entry.doc) ?? named);
      const result = await step({ ...stepDeps, provider }, entry);
      const told = ['staged', 'awaitingReboot', 'rebooting'].includes(entry.core.state);
      if (result.kind === 'wait' && (!told || result.lookAgain === true)) backOff(entry, 'waits', result.reason);
      else retries.delete(orderId);
      return result;
    } catch (error) {
      if (error instanceof JournalFailed) throw error;
      deps.log('a step failed', {
        order: orderId,
        state: entry.core.state,
        error: String((error as Error).stack ?? error),
      });
      return onError(entry, (error as Error).message);
    }
  };
  /** @returns how often that was by now */
  const backOff = (entry: OrderEntry, why: 'waits' | 'failures', reason: string): number => {
    const { state } = entry.core;
    const before = retries.get(entry.orderId);
    const { waits, failures } = before?.state === state ? before : { waits: 0, failures: 0 };
    const counted = { waits, failures, [why]: (why === 'waits' ? waits : failures) + 1 };
    const tries = counted[why];
    const at = deps.mono() + Math.min(MAX_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** (tries - 1));
    retries.set(entry.orderId, { ...counted, at, state });
    deps.log('an order waits', { order: entry.orderId, state, reason, tries });
    return tries;
  };
  /** What a step did not expect: tried again for a while, then the order ends in a way the server can see. */
  const onError = (entry: OrderEntry, reason: string): StepResult => {
    if (backOff(entry, 'failures', reason) < MAX_TRIES) return waitFor(reason);
    retries.delete(entry.orderId);
    const { state } = deps.ledger.entry(entry.orderId).core;
    if (state === 'accepted' || state === 'staged')
      deps.ledger.report(entry.orderId, { type: 'failed', cause: reason });
    else if (state === 'rebooting') {
      // What was applied is in order; only the host does not go down. It waits, and is tried again as long as it is permitted.
      deps.ledger.report(entry.orderId, { type: 'notRebooted', reason });
      retries.set(entry.orderId, {
        state: 'awaitingReboot',
        waits: 0,
        failures: 1,
        at: deps.mono() + MAX_BACKOFF_MS,
      });
    } else if (state === 'reverting') deps.ledger.report(entry.orderId, { type: 'revertFailed', cause: reason });
    else if (entry.kind === 'change') deps.ledger.report(entry.orderId, { type: 'revertBegun', cause: reason });
    return GO;
  };

  /** Hooks that made the host ready for a start that did not come (killed in between, permit ended) are undone. */
  const undoHooks = async (): Promise<void> => {
    for (const { orderId, core, steps, dropped, doc } of Object.values(deps.ledger.book.orders)) {
      if (core.state !== 'staged' || steps[STEP.hooked] !== true || doc === null) continue;
      if (dropped === null && notNow(deps, orderId) === null) continue;
      await afterHooks(deps, orderId, 'notStarted');
      deps.ledger.step(orderId, STEP.hooked, false);
    }
  };

  /** What this endpoint itself has against a start that is permitted, its server should hear. */
  const sayWhyNot = (orderId: string): void => {
    const { core, permit, dropped } = deps.ledger.entry(orderId);
    if (core.state !== 'staged' || permit === null || dropped !== null) return;
    const reason = notNow(deps, orderId);
    if (reason === null) return;
    waiting.set(orderId, reason);
    if (ownObjection(deps) !== null) noteOnce(deps, orderId, `not started: ${ownObjection(deps)}`);
  };

  const loop = async (): Promise<void> => {
    const stuck = new Set<string>();
    for (let entry = next(stuck); entry !== undefined; entry = next(stuck)) {
      dropIfLate(deps, entry);
      if (deps.ledger.entry(entry.orderId).dropped !== null) continue;
      const result = await stepOnce(entry);
      if (result.kind === 'wait') {
        waiting.set(entry.orderId, result.reason);
        stuck.add(entry.orderId);
      } else waiting.delete(entry.orderId);
    }
    for (const entry of openOrders(deps.ledger.book)) {
      dropIfLate(deps, entry);
      sayWhyNot(entry.orderId);
    }
    await undoHooks();
    deps.settled();
  };

  // What arrives while a round ends gets a round of its own.
  const rounds = async (): Promise<void> => {
    while (again) {
      again = false;
      await loop();
    }
  };

  return {
    get busy() {
      return running !== null;
    },
    waiting,
    retryInMs() {
      // What is not covered any more is not looked at again by the clock, but when the server has been heard.
      const open = new Map(openOrders(deps.ledger.book).map((entry) => [entry.orderId, entry]));
      const times = [...retries].flatMap(([orderId, retry]) => {
        const entry = open.get(orderId);
        return entry?.core.state === retry.state && covered(entry) ? [retry.at - deps.mono()] : [];
      });
      return times.length === 0 ? null : Math.max(100, Math.min(...times));
    },
    work() {
      again = true;
      running ??= rounds().finally(() => {
        running = null;
      });
      return running;
    },
  };
}

/** One step of one order. What state it is in is all that decides. */
async function step(deps: StepDeps, entry: OrderEntry): Promise<StepResult> {
  const { orderId, core } = entry;
  switch (core.state) {
    case 'offered':
      deps.ledger.report(orderId, { type: 'accept' });
      return GO;
    case 'accepted':
      return entry.kind === 'scan' ? stepScan(deps, orderId) : stepAccepted(deps, orderId);
    case 'staged':
      return stepStaged(deps, orderId);
    case 'applying':
      return stepApplying(deps, orderId);
    case 'awaitingReboot':
      return stepAwaitingReboot(deps, orderId);
    case 'rebooting':
      return stepRebooting(deps, orderId);
    case 'verifying':
      return stepVerifying(deps, orderId);
    case 'reverting':
      return stepReverting(deps, orderId);
    default:
      return waitFor(`nothing to do in ${core.state}`);
  }
}

async function stepScan(deps: ExecutorDeps, orderId: string): Promise<StepResult> {
  const { baseline } = deps.ledger.doc(orderId);
  if (baseline !== undefined) {
    if (deps.assess === undefined) throw new Error('this agent measures no baselines');
    const detail = await deps.assess({ orderId, baseline, bytesPerSecond: deps.ledger.doc(orderId).rateLimit });
    deps.ledger.report(orderId, { type: 'scanned', detail: { ...detail } });
    return GO;
  }
  // The same id on every try: a scan whose acknowledgement was lost is not counted twice.
  const noted = deps.ledger.entry(orderId).steps[STEP.scanId];
  const scanId = typeof noted === 'string' ? noted : deps.newId();
  if (noted === undefined) deps.ledger.step(orderId, STEP.scanId, scanId);
  const { complete, reason } = await deps.scan({ scanId, orderId });
  deps.ledger.report(orderId, {
    type: 'scanned',
    detail: { scanId, complete, ...(reason === null ? {} : { reason }) },
  });
  return GO;
}

/** An order that has not begun by its deadline never will: the server expires it by its own clock, so nothing is reported. */
function dropIfLate(deps: ExecutorDeps, entry: OrderEntry): void {
  const latest = deps.clock.latest();
  const { state } = deps.ledger.entry(entry.orderId).core;
  const waitingToBegin = state === 'offered' || state === 'accepted' || state === 'staged';
  if (waitingToBegin && entry.doc !== null && latest !== null && latest >= entry.doc.expiresAt) {
    deps.ledger.drop(entry.orderId, 'its deadline passed before it began');
  }
}
