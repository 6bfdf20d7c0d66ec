import type { RingCounts } from '../../domain/change/counts.js';
import type { EpochMs } from '../../domain/time.js';
import type { Envelope } from '../../protocol/envelope.js';
import type { OrderDocument, PermitDocument } from '../../protocol/messages.js';
import type { Queryable } from '../pool.js';

/** What a pump lets out; the kind of the orders it moves. */
export type OrderTarget = 'stage' | 'change' | 'revert';

/** Signs what agents act on; only the worker can make one. */
export interface OrderSigner {
  signOrder(document: OrderDocument): Envelope;
  signPermit(document: PermitDocument): Envelope;
}

/**
 * Says, for a batch, what is in each order (`db/plan/documents.ts`). It runs inside the release's transaction and under the
 * ring's lock, so it uses the connection given and few statements. An order left out of the answer is not let out.
 */
export type DocumentsFor = (
  db: Queryable,
  orderIds: readonly string[],
  now: EpochMs,
) => Promise<ReadonlyMap<string, OrderDocument>>;

/** One step of a pump, as the rows stood when its transaction committed. */
export interface TickResult {
  readonly released: number;
  readonly counts: RingCounts;
  readonly halted: boolean;
  readonly haltReason: string | null;
  /** `budget`, or who or what halted the ring. */
  readonly haltedBy: string | null;
  /** No order is pending (stragglers aside) and none is one the ring waits for. */
  readonly drained: boolean;
  /** Something may still happen before any window opens: an order may be let out now, or one is under way. */
  readonly active: boolean;
  /** More could be let out at once: the batch was full. */
  readonly more: boolean;
  /** Earliest opening, after now, that an order waits for. */
  readonly nextOpen: EpochMs | null;
  /** Open orders whose resolved window is over: their windows need to be resolved again. */
  readonly staleWindows: number;
  /** The ring's deadline has passed and something was left undone by it. */
  readonly deadlineMissed: boolean;
}

/** The pump's epoch is not the ring's: a newer attempt of the pump has taken over. Nothing was released. */
export class PumpFenced extends Error {
  override readonly name = 'PumpFenced';
  constructor(
    readonly epoch: number,
    readonly current: number,
  ) {
    super(`this pump has epoch ${epoch}, the ring is at ${current}: a newer attempt has taken over`);
  }
}

/** There is no such ring, change or endpoint; the request can't succeed later either. */
export class NoSuchRow extends Error {
  override readonly name = 'NoSuchRow';
}

/** The plan is not the one that was approved: nothing may open or be let out under it. */
export class PlanNotApproved extends Error {
  override readonly name = 'PlanNotApproved';
}
