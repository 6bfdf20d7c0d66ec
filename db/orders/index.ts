/** Everything that moves `order_state` on the server, and the rings it moves in. Lock order: change, rings, quorum groups, orders. */
export { haltSpentRings, lockRings } from './budget-halt.js';
export { countLane } from './counts.js';
export type { ViolationKind } from './fold-reports.js';
export { claimGates, endMoment, type GateWork, recordHookRun, renewLeases, stoppedByHook } from './gate-work.js';
export { anyGate, GATES_OPEN, turnBack } from './gates.js';
export type { PollReports, PollTaken, Violation } from './judge-polls.js';
export { UNSTAMPED_POLL_AGE_MS } from './judge-polls.js';
export { beginPump } from './lane.js';
export { type Offer, type PollOpen, takeOfferBatch, takeOffers } from './offers.js';
export { permitRebootsOf } from './permits.js';
export { RELEASE_BATCH, type ReleaseDeps, releaseTick } from './release.js';
export { takeReportBatch, takeReports } from './reports.js';
export { evaluateRing, finishRing, openRing, type RingState, retryFailed, ringCounts } from './rings.js';
export { queueReverts, startRollback } from './rollback.js';
export { clearHalt, type Halted, type HaltVerb, haltAll, haltChange, haltRing, outstandingPermits } from './stop.js';
export { moveStragglers } from './stragglers.js';
export type { DocumentsFor, OrderSigner, OrderTarget, TickResult } from './types.js';
export { NoSuchRow, PlanNotApproved, PumpFenced } from './types.js';
export { loadFreezeTexts, loadWindowGroups, type ResolvedWindow, type WindowGroup, writeWindows } from './windows.js';
export {
  closeOrders,
  retireEndpoint,
  type Settling,
  type Skipped,
  settleStep,
  skipEndpoint,
  withdrawOpen,
} from './withdraw.js';
