/** What a kind of change decides for endpoints, before rings and windows come in. */
import type { Brings, Reversibility, TriageDecision, UpdateSet } from '../content/index.js';
import type { EpochMs } from '../time.js';

/** A file to go back to. */
export interface OldPackage {
  readonly name: string;
  readonly arch: string;
  readonly version: string;
  readonly sha256: string;
  readonly size: number;
}

/** What is decided for endpoints that are alike. */
export interface PlanWork {
  readonly set: UpdateSet;
  readonly previous: readonly OldPackage[];
  readonly provider: string;
  readonly reversibility: Reversibility;
  /** Deferred and declined updates, and included ones that are not plainly reversible. */
  readonly triage: readonly TriageNote[];
}

/** One line of `plan_endpoint.triage`: why an update is not in the plan, or what is special about one that is. */
export type TriageNote = Omit<TriageDecision, 'pocket'> & {
  readonly pocket: string | null;
  /** Set for included updates that can't plainly be undone. */
  readonly reversibility?: Reversibility;
};

export interface PlanRow {
  readonly endpointId: string;
  /** Null: in no ring, and `reason` says why. */
  readonly ring: number | null;
  readonly wave: number;
  /** Index into the works; null: nothing was decided for it. */
  readonly work: number | null;
  readonly policyId: string | null;
  readonly policyVersion: number | null;
  readonly policyReason: string | null;
  readonly reason: string | null;
  readonly skippedBy: string | null;
}

/** Endpoints that get the same, decided once. */
export interface KindWork extends PlanWork {
  readonly endpointIds: readonly string[];
  /** Why `set` can never be taken back by its own means (a kernel), for endpoints with no snapshot; null or left out: it can. */
  readonly noWayBack?: string | null;
  /** Why these endpoints get nothing; null when they get `set`. */
  readonly idle: string | null;
}

/** What reports will need to know of one update (design §12). */
export interface UpdateFacts {
  readonly name: string;
  readonly arch: string;
  readonly version: string;
  readonly source: string;
  readonly vendor: string | null;
  readonly severity: string | null;
  readonly cves: readonly string[];
  readonly publishedAt: EpochMs | null;
}

export interface KindPlan {
  /** Endpoints in none of these have nothing to do. */
  readonly works: readonly KindWork[];
  readonly facts: readonly UpdateFacts[];
  /** Lists of packages that the works name by digest. Left out: none. */
  readonly lists?: readonly Extract<Brings, { ok: true }>[];
}
