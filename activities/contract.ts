/**
 * What workflows may ask of the world, one interface per owner. Implementations are factories over injected
 * dependencies; workflows see these types only. Every activity is idempotent, takes one object and returns plain JSON.
 */
import type { ApprovalRule } from '../domain/approval/rule.js';
import type { RingCounts } from '../domain/change/counts.js';
import type { ChangeOutcome, ChangeStage } from '../domain/change/stage.js';
import type { EpochMs } from '../domain/time.js';

interface OfChange {
  readonly changeId: string;
}
interface OfRing extends OfChange {
  readonly ring: number;
}

export interface PlannedRing {
  readonly ordinal: number;
  readonly name: string;
  readonly endpoints: number;
}

export interface FrozenPlanResult {
  readonly digest: string;
  readonly revision: number;
  readonly rings: readonly PlannedRing[];
  /** Endpoints in scope that no ring holds, each with its reason in `plan_endpoint`. */
  readonly excluded: number;
  /** The plan asks for more than the one before: approvals given to that one are void. */
  readonly widened: boolean;
  readonly empty: boolean;
}

export interface StageActivities {
  project(
    args: OfChange & { readonly version: number; readonly stage: ChangeStage; readonly waitingFor: string | null },
  ): Promise<void>;
  discover(args: OfChange): Promise<{ readonly endpoints: number; readonly fresh: number; readonly stale: number }>;
  freezePlan(args: OfChange & { readonly reason: string }): Promise<FrozenPlanResult>;
  obtainContent(args: OfChange): Promise<{ readonly files: number; readonly bytes: number }>;
  /** Both in one look at the fleet. Heartbeats. */
  obtainAndFreeze(args: OfChange & { readonly reason: string }): Promise<FrozenPlanResult>;
  planStaging(args: OfChange): Promise<{ readonly orders: number }>;
  confirm(
    args: OfChange,
  ): Promise<{ readonly confirmed: number; readonly missing: number; readonly unscanned: number }>;
  closeChange(
    args: OfChange & { readonly outcome: ChangeOutcome; readonly reason: string | null },
  ): Promise<{ readonly outcome: ChangeOutcome }>;
  /** Inserts the intent of one occurrence of a schedule (change row and outbox entry), once per occurrence. */
  startScheduledChange(args: {
    readonly scheduleId: string;
    readonly occurrence: string;
  }): Promise<{ readonly changeId: string }>;
}

export type OrderTarget = 'stage' | 'change' | 'revert';

export interface PumpResult {
  readonly kind: 'drained' | 'windowsClosed' | 'halted' | 'deadline';
  readonly counts: RingCounts;
  readonly nextOpen: EpochMs | null;
  readonly haltReason: string | null;
  /** `budget` when the ring's own budget halted it, else the person or verb. */
  readonly haltedBy: string | null;
}

export interface RingActivities {
  openRing(
    args: OfRing & { readonly approvedDigest: string; readonly approvals: readonly string[] },
  ): Promise<{ readonly orders: number }>;
  resolveWindows(args: OfRing & { readonly target: OrderTarget; readonly ignoreWindows: boolean }): Promise<{
    readonly openNow: number;
    readonly nextOpen: EpochMs | null;
    readonly never: number;
    /** "412 endpoints, opens Sat 22:00 Europe/Berlin": for people, made where zones are known. */
    readonly sentence: string;
  }>;
  /** @param args.until only for `stage`: the lane is left then, whatever it still waits for. Left out by histories from before. */
  pump(args: OfRing & { readonly target: OrderTarget; readonly until?: EpochMs }): Promise<PumpResult>;
  evaluateRing(
    args: OfRing,
  ): Promise<{ readonly kind: 'promote' | 'hold'; readonly reason: string; readonly counts: RingCounts }>;
  moveStragglers(args: OfRing): Promise<{ readonly moved: number }>;
  haltRing(args: OfRing & { readonly by: string; readonly reason: string }): Promise<void>;
  clearHalt(args: OfChange & { readonly ring: number | null; readonly by: string }): Promise<void>;
  withdrawOpen(args: OfChange & { readonly ring: number | null; readonly reason: string }): Promise<{
    readonly withdrawn: number;
    readonly outstanding: number;
    readonly mayStillStartUntil: EpochMs | null;
  }>;
  /** Withdraws, again and again, what has not begun, releases nothing, and returns once nothing is under way. Heartbeats. */
  settleRing(args: OfRing & { readonly reason: string }): Promise<{ readonly withdrawn: number }>;
  startRollback(
    args: OfRing & { readonly by: string; readonly reason: string; readonly ignoreWindows: boolean },
  ): Promise<{ readonly orders: number }>;
  retryFailed(args: OfRing & { readonly by: string }): Promise<{ readonly orders: number }>;
  skipEndpoint(
    args: OfChange & { readonly endpointId: string; readonly by: string; readonly reason: string },
  ): Promise<{ readonly skipped: boolean; readonly reason: string | null }>;
  finishRing(
    args: OfRing & { readonly state: 'soaking' | 'passed' | 'halted' | 'rolledBack' | 'failed' | 'aborted' },
  ): Promise<void>;
}

export interface ApprovalActivities {
  openApproval(
    args: OfRing & { readonly requestId: string; readonly rule: ApprovalRule; readonly planDigest: string },
  ): Promise<{
    readonly expiresAt: EpochMs;
    readonly remindAt: readonly EpochMs[];
    readonly escalateAt: EpochMs;
    /** Who was asked, by name; empty when nobody may approve: the request then waits for its escalation. */
    readonly people: readonly string[];
    /** How many must approve: the rule's number, or more where what is asked for can't be undone. */
    readonly quorum?: number;
  }>;
  judgeDecision(args: { readonly requestId: string; readonly decisionId: string }): Promise<{
    readonly verdict: 'counted' | 'refused';
    readonly decision: 'approve' | 'reject';
    readonly reason: string | null;
    readonly by: string;
    readonly approvals: number;
    readonly quorumMet: boolean;
  }>;
  remindApproval(args: { readonly requestId: string; readonly reminder: number }): Promise<void>;
  escalateApproval(args: { readonly requestId: string }): Promise<{ readonly people: readonly string[] }>;
  closeApproval(args: {
    readonly requestId: string;
    readonly state: 'approved' | 'rejected' | 'expired' | 'voided';
  }): Promise<void>;
}

export type Activities = StageActivities & RingActivities & ApprovalActivities;
