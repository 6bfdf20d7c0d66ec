/** What is known of one endpoint when somebody asks why it is not patched yet. Read by `db/read/why.ts`, judged by `decide.ts`. */
import type { OrderState } from '../order/index.js';
import type { Opening } from '../policy/next-opening.js';
import type { EpochMs } from '../time.js';

export interface WhyEndpoint {
  readonly id: string;
  readonly name: string;
  /** IANA; the zone times are told in where no window has one of its own. */
  readonly zone: string;
  readonly state: 'active' | 'quarantined' | 'retired';
  readonly stateReason: string | null;
  readonly scanOnly: boolean;
  readonly holdUntil: EpochMs | null;
  readonly holdReason: string | null;
  readonly lastSeen: EpochMs | null;
  /** When it was told to ask again; later than now: it is not expected to say anything before. */
  readonly nextPollAt: EpochMs | null;
  readonly clockSkewMs: number;
  readonly scannedAt: EpochMs | null;
  readonly incompleteReason: string | null;
  /** Its owner's own file, as the agent last told it. */
  readonly limits: WhyLimits;
}

export interface WhyLimits {
  readonly hold: string | null;
  /** "sat 22:00–04:00", in the machine's own time; null: none. */
  readonly windows: string | null;
  readonly malformed: string | null;
}

export interface WhyUpdate {
  readonly name: string;
  readonly arch: string;
  readonly installed: string | null;
  readonly candidate: string;
  /** Why it is left out of the change at hand; null: it is not. */
  readonly leftOut: {
    readonly how: 'excepted' | 'deferred' | 'declined';
    readonly reason: string;
    /** Of an exception: when it ends, and who answers for it. */
    readonly until?: EpochMs;
    readonly by?: string;
  } | null;
}

export type WhyPolicy =
  | { readonly kind: 'none'; readonly reason: string }
  | {
      readonly kind: 'policy';
      readonly name: string;
      readonly opening: Opening;
      /** As stored: who is asked before a change to this endpoint alone. */
      readonly patchApprovals: unknown;
      /** The zone to tell its times in. */
      readonly zone: string;
      /** It may not be talked with before then; null: it may now, or never (then `opening` says so). */
      readonly silentUntil: EpochMs | null;
      /** The freeze that is on now. */
      readonly frozen: {
        readonly until: EpochMs;
        readonly label: string | null;
        readonly calendars: readonly string[];
      } | null;
    };

export interface WhyApproval {
  readonly people: readonly string[];
  readonly since: EpochMs;
  readonly expiresAt: EpochMs;
}

export interface WhyRing {
  readonly ordinal: number;
  readonly name: string;
  readonly state: string;
  readonly halted: boolean;
  readonly haltReason: string | null;
  readonly haltedBy: string | null;
  /** Endpoints it lets out at once now. */
  readonly concurrency: number;
  readonly approvals: readonly WhyApproval[];
  /** The first ring before it that has not passed. */
  readonly earlier: {
    readonly ordinal: number;
    readonly name: string;
    readonly state: string;
    readonly halted: boolean;
  } | null;
}

export interface WhyChange {
  readonly id: string;
  readonly name: string;
  readonly priority: number;
  readonly stage: string;
  readonly outcome: string | null;
  readonly waitingFor: string | null;
  readonly halted: boolean;
  readonly haltVerb: string | null;
  readonly haltedBy: string | null;
  /** Why its plan holds the endpoint in no ring; null: it is in one, or no reason was given. */
  readonly planReason: string | null;
  readonly skippedBy: string | null;
  readonly ring: WhyRing | null;
}

export interface WhyOrder {
  readonly id: string;
  readonly state: OrderState;
  readonly reason: string | null;
  /** When its window opens, as last resolved; null: not resolved, or never. */
  readonly nextOpen: EpochMs | null;
  /** The last start in it. */
  readonly nextClose: EpochMs | null;
  readonly windowReason: string | null;
  readonly permitUntil: EpochMs | null;
  readonly stragglerReason: string | null;
  readonly startedAt: EpochMs | null;
  readonly settledAt: EpochMs | null;
}

export interface WhyFacts {
  readonly now: EpochMs;
  readonly endpoint: WhyEndpoint;
  readonly policy: WhyPolicy;
  /** Updates it would make, of those asked about. */
  readonly updates: readonly WhyUpdate[];
  /** Something vulnerable is known to be there, whatever is on offer: that nothing is offered does not end the matter. */
  readonly vulnerable?: boolean;
  /** What was asked about, in words; null: everything. */
  readonly about: string | null;
  /** The change at hand: the one asked about, else the most urgent open one that has it, else the last. */
  readonly change: WhyChange | null;
  /** The endpoint's last order in it. */
  readonly order: WhyOrder | null;
  /** What else holds the endpoint: a mutating order of another change. */
  readonly holder: {
    readonly changeId: string;
    readonly change: string;
    readonly priority: number;
    readonly state: OrderState;
  } | null;
}
