/**
 * The frozen plan: which endpoint gets which update set in which ring, under which policies, budgets and halt actions. Its digest is
 * what approvers approve (design §5, §7). Narrowing a plan keeps approvals; anything else voids them.
 */
import type { EpochMs } from '../time.js';
import { canonicalJson, isSha256, type JsonValue, sha256Hex } from './canonical.js';
import { merkleRoot } from './merkle.js';
import { asJson, isGenuine, type UpdateSet, updateKey } from './update-set.js';

export type HaltAction = 'pause' | 'rollback' | 'ask';

/** The terms a ring runs under; all of them are part of the digest. */
export interface PlanRing {
  /** Counted from 0, the test ring. */
  readonly ordinal: number;
  readonly name: string;
  readonly haltAction: HaltAction;
  /** Budgets and everything else agreed for the ring: selectors, thresholds, soak, approvals, host order. Whole numbers only. */
  readonly terms: { readonly [key: string]: JsonValue };
}

export interface PlanHeader {
  readonly changeId: string;
  readonly kind: string;
  readonly deadline: EpochMs;
  /** Sorted by ordinal once frozen. */
  readonly rings: readonly PlanRing[];
  /** Budgets that hold for the whole change. */
  readonly budgets: { readonly [key: string]: JsonValue };
}

export interface PlanEntry {
  readonly endpointId: string;
  /** The ring's ordinal. */
  readonly ring: number;
  readonly updateSetDigest: string;
  /** The policy set and its version, such as `<uuid>@3`. */
  readonly policyVersion: string;
}

export interface FrozenPlan {
  readonly header: PlanHeader;
  /** Sorted by endpoint id. */
  readonly entries: readonly PlanEntry[];
  /** Every set that entries name, by its digest. */
  readonly updateSets: ReadonlyMap<string, UpdateSet>;
  readonly digest: string;
}

export interface PlanInput {
  readonly header: PlanHeader;
  readonly entries: readonly PlanEntry[];
  readonly updateSets: Iterable<UpdateSet>;
}

export type PlanResult = { ok: true; plan: FrozenPlan } | { ok: false; reason: string };

const HALT_ACTIONS: readonly string[] = ['pause', 'rollback', 'ask'];

/**
 * Freezes a plan and computes its digest. Refused by name: an endpoint named twice, without policy version, or in no ring of the
 * header; an update set that is missing or is not what its digest says; terms that have no one text form.
 */
export function freezePlan(input: PlanInput): PlanResult {
  const refuse = (reason: string): PlanResult => ({ ok: false, reason });
  const rings = [...input.header.rings].sort((a, b) => a.ordinal - b.ordinal);
  const ordinals = new Set(rings.map((ring) => ring.ordinal));
  if (ordinals.size !== rings.length) return refuse('two rings have the same ordinal');
  for (const ring of rings) {
    if (!HALT_ACTIONS.includes(ring.haltAction))
      return refuse(`ring ${ring.name}: haltAction ${ring.haltAction} is not known`);
  }
  const given = new Map<string, UpdateSet>();
  for (const set of input.updateSets) {
    if (!isGenuine(set)) return refuse(`update set ${set.digest} is not what its digest says`);
    given.set(set.digest, set);
  }
  const updateSets = new Map<string, UpdateSet>();
  const seen = new Set<string>();
  for (const entry of input.entries) {
    const set = given.get(entry.updateSetDigest);
    if (entry.endpointId === '') return refuse('an endpoint has no id');
    if (seen.has(entry.endpointId)) return refuse(`endpoint ${entry.endpointId} is planned twice`);
    if (!ordinals.has(entry.ring)) return refuse(`endpoint ${entry.endpointId}: ring ${entry.ring} is not in the plan`);
    if (entry.policyVersion === '') return refuse(`endpoint ${entry.endpointId}: has no policy version`);
    if (set === undefined)
      return refuse(`endpoint ${entry.endpointId}: update set ${entry.updateSetDigest} is missing`);
    seen.add(entry.endpointId);
    updateSets.set(set.digest, set);
  }
  const entries = [...input.entries].sort(byEndpoint).map(({ endpointId, ring, updateSetDigest, policyVersion }) => ({
    endpointId,
    ring,
    updateSetDigest,
    policyVersion,
  }));
  const header = { ...input.header, rings };
  try {
    return { ok: true, plan: { header, entries, updateSets, digest: planDigest({ header, entries }) } };
  } catch (error) {
    return refuse(`header: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/**
 * The digest of a plan: SHA-256 over the header's digest and the Merkle root of its entries, whatever order they come in.
 * @throws TypeError when the header holds a value without one text form (a fraction, undefined).
 */
export function planDigest(plan: { readonly header: PlanHeader; readonly entries: readonly PlanEntry[] }): string {
  return sha256Hex('ringmaster-plan-v1\n', headerDigest(plan.header), '\n', planRoot(plan.entries), '\n');
}

/** Merkle root over the sorted entries. */
export function planRoot(entries: readonly PlanEntry[]): string {
  return merkleRoot([...entries].sort(byEndpoint).map(leafOf));
}

function headerDigest(header: PlanHeader): string {
  const { changeId, kind, deadline, budgets } = header;
  const rings = [...header.rings]
    .sort((a, b) => a.ordinal - b.ordinal)
    .map(({ ordinal, name, haltAction, terms }) => ({ ordinal, name, haltAction, terms }));
  return sha256Hex('ringmaster-plan-header-v1\n', canonicalJson({ changeId, kind, deadline, budgets, rings }));
}

/** An array, so that no field can lend characters to its neighbour. */
function leafOf(entry: PlanEntry): string {
  if (!isSha256(entry.updateSetDigest)) throw new TypeError(`${entry.updateSetDigest} is not a digest`);
  return canonicalJson([entry.endpointId, entry.ring, entry.updateSetDigest, entry.policyVersion]);
}

export type Narrowing =
  | { narrowing: true; endpointsRemoved: number; updatesRemoved: number }
  | { narrowing: false; reasons: readonly string[] };

/** How many reasons are listed; a widened plan may differ for every endpoint. */
const MAX_REASONS = 20;

/**
 * Whether a new plan asks for nothing that the old one did not: only endpoints or updates fell away (skip, decommission, exception,
 * or a version at least as new is there already). Anything added or changed, also a budget made stricter, is widening: it was not what
 * approvers saw.
 */
export function isNarrowing(before: FrozenPlan, after: FrozenPlan): Narrowing {
  const reasons: string[] = [];
  if (headerDigest(before.header) !== headerDigest(after.header))
    reasons.push('the terms of the change or of a ring differ');
  const planned = new Map(before.entries.map((entry) => [entry.endpointId, entry]));
  const fewer = new Map<string, number | string>();
  let updatesRemoved = 0;
  for (const entry of after.entries) {
    if (reasons.length >= MAX_REASONS) break;
    const old = planned.get(entry.endpointId);
    if (old === undefined) {
      reasons.push(`endpoint ${entry.endpointId} is added`);
      continue;
    }
    if (old.ring !== entry.ring)
      reasons.push(`endpoint ${entry.endpointId} moves from ring ${old.ring} to ${entry.ring}`);
    if (old.policyVersion !== entry.policyVersion)
      reasons.push(`endpoint ${entry.endpointId} is under another policy version`);
    if (old.updateSetDigest === entry.updateSetDigest) continue;
    const pair = `${old.updateSetDigest} ${entry.updateSetDigest}`;
    const difference =
      fewer.get(pair) ??
      compareSets(before.updateSets.get(old.updateSetDigest), after.updateSets.get(entry.updateSetDigest));
    fewer.set(pair, difference);
    if (typeof difference === 'number') updatesRemoved += difference;
    else reasons.push(`endpoint ${entry.endpointId}: ${difference}`);
  }
  if (reasons.length > 0) return { narrowing: false, reasons };
  return { narrowing: true, endpointsRemoved: before.entries.length - after.entries.length, updatesRemoved };
}

/** How many updates fell away, or what was added or changed. */
function compareSets(before: UpdateSet | undefined, after: UpdateSet | undefined): number | string {
  if (before === undefined || after === undefined) return 'its update set is missing';
  const old = new Map(before.updates.map((update) => [updateKey(update), canonicalJson(asJson(update))]));
  for (const update of after.updates) {
    const known = old.get(updateKey(update));
    if (known === undefined) return `${updateKey(update)} is added`;
    if (known !== canonicalJson(asJson(update))) return `${updateKey(update)} is changed`;
  }
  return before.updates.length - after.updates.length;
}

function byEndpoint(a: PlanEntry, b: PlanEntry): number {
  return a.endpointId < b.endpointId ? -1 : a.endpointId > b.endpointId ? 1 : 0;
}
