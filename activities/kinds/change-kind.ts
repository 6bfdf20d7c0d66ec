/**
 * The seam between the runbook and what is being changed. A kind decides what each endpoint gets and what proves it;
 * rings, windows, approvals, orders and budgets are the same for all. Whatever a kind does is written down as update
 * sets (files by digest), so orders, their documents and the way back need nothing of their own.
 */

import type { DeclinedFinding } from '../../db/baseline/declined-rules.js';
import type { Claim, Finding } from '../../db/plan/proof.js';
import type { Queryable } from '../../db/pool.js';
import type * as StageDb from '../../db/stages.js';
import type { Judgeable } from '../../db/tickets/work.js';
import type { KindPlan, KindWork, UpdateFacts } from '../../domain/change/kind-plan.js';
import type { PackageUpdate } from '../../domain/content/index.js';
import type { Parsed } from '../../domain/schedule/model.js';
import type { EpochMs } from '../../domain/time.js';

export interface KindContext<P> {
  readonly db: typeof StageDb;
  readonly client: Queryable;
  readonly changeId: string;
  readonly parameters: P;
  readonly now: EpochMs;
  /**
   * What is read about these endpoints once and holds for a whole activity, however often it plans: inventories do not change
   * with what is fetched. The list itself is the key.
   */
  once<T>(about: readonly string[], read: () => Promise<T>): Promise<T>;
}

export type { KindPlan, KindWork, UpdateFacts };

export interface KindTiming {
  /** An inventory older than this is asked for again before planning. */
  readonly scanMaxAgeMs: number;
  readonly discoverMinutes: number;
  readonly confirmMinutes: number;
}

/** What proves a kind's work where that is not the inventory of packages. */
export interface KindEvidence<P> {
  /** Of these endpoints, the ones whose evidence is missing or older than the timing allows; they are asked for it. */
  refresh(context: KindContext<P>, endpointIds: readonly string[], maxAgeMs: number): Promise<readonly string[]>;
  /** Endpoints that claim success; `scanned`: there is proof from after it. */
  claims(context: KindContext<P>): Promise<Claim[]>;
  /** Asks these endpoints for that proof. */
  prove(context: KindContext<P>, endpointIds: readonly string[]): Promise<void>;
  /** What the proof says, for `judge`. */
  findings(context: KindContext<P>): Promise<Finding[]>;
  /** What endpoints left out of their orders, and why. Left out: a kind whose orders are done whole or not at all. */
  declined?(context: KindContext<P>): Promise<DeclinedFinding[]>;
  /** How work for people that came out of changes of this kind is settled. */
  readonly work: WorkEvidence;
}

export type WorkContext = Pick<KindContext<unknown>, 'db' | 'client' | 'now'>;

/** Evidence for open work, over all changes of a kind at once. */
export interface WorkEvidence {
  /** Asks for what claims wait for and is not on its way. Called every few seconds. */
  ask(context: WorkContext): Promise<void>;
  /** Work that there is evidence about which is newer than the work and the claim, and has not judged it yet. */
  judgeable(context: WorkContext, limit: number): Promise<readonly Judgeable[]>;
  /** Claims that no evidence will ever come for. */
  unprovable(context: WorkContext): Promise<readonly string[]>;
}

export interface ChangeKind<P = unknown> {
  /** As in `change.kind`. */
  readonly name: string;
  /** Reads `spec.parameters` strictly. Never throws. */
  parse(parameters: unknown): Parsed<P>;
  timing(parameters: P): KindTiming;
  /**
   * Decides what each endpoint gets. Reads only; set-based, for tens of thousands of endpoints at once.
   * @param undoable endpoints that get nothing that can't be taken back: neither a snapshot nor a second person stands behind it
   */
  plan(context: KindContext<P>, endpointIds: readonly string[], undoable?: ReadonlySet<string>): Promise<KindPlan>;
  readonly evidence?: KindEvidence<P>;
  /** Files that no repository has, because the kind makes them itself; by digest. */
  bytes?(context: KindContext<P>, digests: readonly string[]): Promise<ReadonlyMap<string, Uint8Array>>;
  /** Reads what the fetched content says of itself, and keeps it for the plan and the approvers. */
  study(
    context: KindContext<P>,
    args: {
      readonly plan: KindPlan;
      /** The changelog inside a stored file; null when it has none. */
      readonly readChangelog: (file: { readonly sha256: string; readonly name: string }) => Promise<string | null>;
    },
  ): Promise<void>;
  /** Whether what a fresh scan found proves the update; null when it does, else why not. */
  judge(update: Pick<PackageUpdate, 'name' | 'arch' | 'to'>, installed: string | null): string | null;
  /** The same of an update that is to be gone again. Left out: what was there before must be there. */
  judgeBack?(update: Pick<PackageUpdate, 'name' | 'arch' | 'from'>, installed: string | null): string | null;
}

/** Kinds by name; the composition root fills it. */
export type ChangeKinds = ReadonlyMap<string, ChangeKind>;

/** What a kind's `parse` made only ever goes back to the same kind, so the registry need not know its type. */
export function changeKinds(kinds: readonly ChangeKind[]): ChangeKinds {
  return new Map(kinds.map((kind) => [kind.name, kind]));
}
