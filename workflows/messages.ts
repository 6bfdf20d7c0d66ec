/** What workflows are sent and what they answer. Types and names only: the web tier reads this file, too. */
import type { ApprovalRule } from '../domain/approval/rule.js';
import type { RingCounts } from '../domain/change/counts.js';
import type { ChangeSpec, RingSpec } from '../domain/change/spec.js';
import type { ChangeOutcome, ChangeStage } from '../domain/change/stage.js';
import type { EpochMs } from '../domain/time.js';

export interface ChangeInput {
  readonly changeId: string;
  readonly spec: ChangeSpec;
  readonly deadline: EpochMs;
  /** Hurried: nothing is waited for that is there for people to read. Histories from before this was known have no such word. */
  readonly expedited?: boolean | undefined;
}

export interface ChangeResult {
  readonly outcome: ChangeOutcome;
  readonly reason: string | null;
}

export type Verb = 'pause' | 'resume' | 'abort' | 'rollback' | 'retryFailed' | 'skip' | 'replan';

/** A person's word on a running change. `commandId` is the Update id: a resend is recognised. */
export interface Command {
  readonly commandId: string;
  readonly verb: Verb;
  readonly by: string;
  readonly reason?: string | undefined;
  /** Which ring; for `rollback` none means the whole change. */
  readonly ring?: number | undefined;
  readonly endpointId?: string | undefined;
  /** A rollback obeys windows unless a person says otherwise. */
  readonly ignoreWindows?: boolean | undefined;
}

export interface CommandReply {
  readonly done: string;
}

export interface ChangeProgress {
  readonly stage: ChangeStage;
  readonly waitingFor: string | null;
  readonly paused: boolean;
  readonly rings: readonly { readonly ordinal: number; readonly name: string; readonly state: string }[];
}

/** What a run over a ring does: roll out, or only go on with orders that are there (retry), or undo. */
export type RingMode = 'rollout' | 'retry' | 'rollback';

export interface RingInput {
  readonly changeId: string;
  readonly ordinal: number;
  readonly of: number;
  readonly spec: RingSpec;
  readonly mode: RingMode;
  readonly approvedDigest: string;
  readonly approvals: readonly string[];
  readonly deadline: EpochMs;
  /** As in {@link ChangeInput}. */
  readonly expedited?: boolean | undefined;
  /** Set when the run goes on in a new history. */
  readonly carried?: RingCarried | undefined;
  readonly rollback?: RollbackOrder | undefined;
}

export interface RollbackOrder {
  readonly by: string;
  readonly reason: string;
  readonly ignoreWindows: boolean;
}

/** The little a ring's run remembers; all else is in rows. */
export interface RingCarried {
  readonly opened: boolean;
  readonly resumes: number;
  readonly lastCall: boolean;
  readonly abort: string | null;
  readonly rollback: RollbackOrder | null;
}

export interface RingResult {
  readonly kind: 'passed' | 'rolledBack' | 'aborted' | 'failed';
  readonly reason: string;
  readonly counts: RingCounts | null;
}

/** What a change tells the ring it runs. */
export type RingWord =
  | { readonly word: 'resume' }
  | { readonly word: 'abort'; readonly reason: string }
  | { readonly word: 'rollback'; readonly order: RollbackOrder }
  /** New orders are in the lane: look again. */
  | { readonly word: 'poke' }
  /** No more orders will come: end once drained. */
  | { readonly word: 'lastCall' };

/** What a workflow waits for, as lists in Temporal filter by it (`RmWaitingFor`). */
export type Wait =
  | 'worker'
  | 'inventories'
  | 'content'
  | 'approval'
  | 'hours'
  | 'stagingHours'
  | 'soak'
  | 'person'
  | 'windingUp'
  | 'rollback'
  | 'scans';

/** What a ring tells its change, for people to read. */
export interface RingWaits {
  readonly ordinal: number;
  readonly waitingFor: string | null;
  /** The same, for lists. Histories from before it was said have none. */
  readonly wait?: Wait | null | undefined;
  /** Endpoints just moved to the stragglers' lane, which should look at them now, not when the ring has soaked. */
  readonly stragglers?: number | undefined;
}

export interface ApprovalInput {
  readonly requestId: string;
  readonly changeId: string;
  readonly ring: number;
  readonly rule: ApprovalRule;
  readonly planDigest: string;
}

export interface ApprovalResult {
  readonly kind: 'approved' | 'rejected' | 'expired' | 'voided';
  readonly reason: string;
}

export interface DecisionMessage {
  readonly decisionId: string;
  readonly planDigest: string;
}

export interface DecisionReply {
  readonly verdict: 'counted' | 'refused';
  readonly reason: string | null;
}

export interface ScheduledCycleInput {
  readonly scheduleId: string;
}

export const COMMAND_UPDATE = 'command';
export const PROGRESS_QUERY = 'progress';
export const RING_WORD_SIGNAL = 'ringWord';
export const RING_WAITS_SIGNAL = 'ringWaits';
export const DECIDE_UPDATE = 'decide';
export const VOID_SIGNAL = 'void';
