import type { OrderState } from '../order/index.js';
import type { EpochMs } from '../time.js';

/** A ring at one moment, counted from its order rows; the typed denominators of design §3. */
export interface RingCounts {
  /** Endpoints the plan puts in the ring. */
  readonly planned: number;
  readonly pending: number;
  readonly inFlight: number;
  readonly succeeded: number;
  readonly failed: number;
  /** Neither success nor failure: skipped, withdrawn, superseded, expired. */
  readonly none: number;
  readonly byState: Readonly<Partial<Record<OrderState, number>>>;
  /** Of the pending ones: silent for longer than the change allows. */
  readonly offline: number;
  /** Of the pending ones: no window before the ring's deadline. */
  readonly windowless: number;
  /** Moved on to the stragglers' lane. */
  readonly stragglers: number;
  /** Orders holding a permit that has not ended may still start until then; null when none does. */
  readonly mayStillStartUntil: EpochMs | null;
}
