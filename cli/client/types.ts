/** What the API answers, as far as the command line reads it. Times are ISO 8601 in UTC. */

export interface EndpointSummary {
  readonly id: string;
  readonly name: string;
  readonly state: string;
  readonly stateReason: string | null;
  readonly scanOnly: boolean;
  readonly simulated: boolean;
  readonly zone: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly lastSeen: string | null;
  readonly lastScan: string | null;
  readonly holdUntil: string | null;
  readonly holdReason: string | null;
  readonly wantsScan: boolean;
  readonly availableUpdates: number;
}

export interface EndpointDetail extends EndpointSummary {
  readonly facts: Readonly<Record<string, unknown>>;
  readonly packages: readonly { readonly name: string; readonly arch: string; readonly version: string }[];
  readonly updates: readonly {
    readonly name: string;
    readonly arch: string;
    readonly installed: string | null;
    readonly candidate: string;
  }[];
}

export interface ChangeSummary {
  readonly id: string;
  readonly kind: string;
  readonly name: string;
  readonly priority: number;
  readonly requestedBy: string;
  readonly requestedAt: string;
  readonly deadline: string;
  readonly stage: string;
  readonly outcome: string | null;
  readonly waitingFor: string | null;
  readonly halted: boolean;
  readonly haltVerb: string | null;
  readonly haltedBy: string | null;
  readonly closedAt: string | null;
}

export interface OrderCounts {
  readonly total: number;
  readonly pending: number;
  readonly inFlight: number;
  readonly succeeded: number;
  readonly failed: number;
  readonly none: number;
}

export interface RingState {
  readonly ordinal: number;
  readonly name: string;
  readonly state: string;
  readonly halted: boolean;
  readonly haltReason: string | null;
  readonly endpoints: number;
  readonly counts: { readonly stage: OrderCounts; readonly change: OrderCounts; readonly revert: OrderCounts };
}

export interface ChangeDetail extends ChangeSummary {
  readonly spec: Readonly<Record<string, unknown>>;
  readonly summary: Readonly<Record<string, unknown>> | null;
  readonly planDigest: string | null;
  readonly planRevision: number;
  readonly rings: readonly RingState[];
}

export interface OrderSummary {
  readonly id: string;
  readonly ring: number;
  readonly endpointId: string;
  readonly endpointName: string;
  readonly kind: string;
  readonly state: string;
  readonly outcome: string | null;
  readonly reason: string | null;
}

export interface CommandReply {
  readonly commandId: string;
  /** Of stops: orders that hold a permit and may still start, and until when. */
  readonly outstanding?: number;
  readonly mayStillStartUntil?: string | null;
}

export interface StopAllReply {
  readonly changes: readonly { readonly changeId: string; readonly commandId: string }[];
  readonly outstanding: number;
  readonly mayStillStartUntil: string | null;
}

export interface AuditEntry {
  readonly id: number;
  readonly at: string;
  readonly actor: string;
  readonly action: string;
  readonly subject: string;
  readonly detail: Readonly<Record<string, unknown>>;
  readonly sealed: number | null;
}

export interface TicketEntry {
  readonly system: string;
  readonly ref: string | null;
  readonly url: string | null;
  readonly state: string;
  readonly about: string | null;
  readonly endpoint: string | null;
  readonly attention: string | null;
  readonly attentionBy: string | null;
  readonly openedAt: string | null;
  readonly waiting: number;
}

export interface WorkEntry {
  readonly kind: string;
  readonly endpoint: string;
  readonly reason: string;
  readonly state: string;
  readonly openedAt: string;
  readonly claimedBy: string | null;
  readonly closedReason: string | null;
  readonly tickets: readonly { readonly system: string; readonly ref: string | null }[];
}

export interface TicketSystemEntry {
  readonly name: string;
  readonly provider: string;
  readonly active: boolean;
  readonly works: boolean | null;
  readonly problem: string | null;
  readonly failingSince: string | null;
  readonly lastError: string | null;
  readonly waiting: number;
}
