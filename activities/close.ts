import type { EndpointEnd } from '../db/change/summary.js';
import type { OutcomeCounts } from '../domain/change/outcome.js';
import { decideOutcome } from '../domain/change/outcome.js';
import type { ChangeOutcome } from '../domain/change/stage.js';
import { budgetClass } from '../domain/order/index.js';
import type { Proof } from './proof.js';
import { judgeProof } from './proof.js';
import type { LoadedChange, StageDeps } from './stage-deps.js';
import { hopeless, loadForStage } from './stage-deps.js';

/** How many endpoints a list in the summary names; the counts beside it are complete. */
const NAMED = 200;

/**
 * Ends a change: what is still open is given up, what came of each endpoint is counted, and the outcome is what the rows
 * say, not what the runbook hoped. Closed once; called again it answers as before.
 */
export async function closeChange(
  deps: StageDeps,
  args: { readonly changeId: string; readonly outcome: ChangeOutcome; readonly reason: string | null },
): Promise<{ outcome: ChangeOutcome }> {
  const { db, pool } = deps;
  const { changeId } = args;
  const row = await db.loadChange(pool, { changeId });
  if (row === null) throw hopeless('changeUnknown', `there is no change ${changeId}`);
  if (row.outcome !== null) return { outcome: row.outcome };
  // A change whose kind or parameters can't be read has to close as well; nothing of it can be proven.
  const loaded = await loadForStage(deps, changeId).catch(() => null);
  return db.inTransaction(pool, async (client) => {
    const now = deps.clock();
    const locked = await db.loadChange(client, { changeId, lock: true });
    if (locked !== null && locked.outcome !== null) return { outcome: locked.outcome };
    const given = await db.closeOrders(client, { changeId, now });
    const proof = loaded === null ? NO_PROOF : await judgeProof(deps, loaded, client);
    const ends = await db.loadEnds(client, changeId);
    const counts = outcomeCounts(ends, proof);
    const outcome = decideOutcome(args.outcome, counts);
    await db.recordOutcomes(client, { changeId, now });
    await db.noteWork(client, { works: unprovenWork(changeId, proof), now });
    const summary = {
      outcome,
      reason: args.reason,
      ...counts,
      confirmed: proof.claims.length - proof.missing.length - proof.unscanned.length,
      abandoned: given.abandoned,
      rings: ringSummaries(loaded, ends),
      ...lists(ends, proof),
      excluded: await db.countExcluded(client, changeId),
    };
    await db.closeChangeRow(client, { changeId, outcome, summary, now });
    await db.appendAudit(client, [
      {
        actor: 'worker',
        action: 'change.closed',
        subject: `change/${changeId}`,
        detail: { outcome, reason: args.reason, ...counts },
      },
    ]);
    return { outcome };
  });
}

/** A report is no proof: whoever reported success that no scan shows needs somebody to look at it, and so does what an endpoint left out. */
function unprovenWork(changeId: string, proof: Proof) {
  const of = (endpointId: string, reason: string, evidence = {}) => ({
    kind: 'failedEndpoint' as const,
    endpointId,
    changeId,
    reason,
    evidence,
  });
  // What ends work with `unproven` in its evidence confirms the change after all (db/read/closed-loop.ts).
  return [
    ...declinedByEndpoint(proof).map(([id, words]) => of(id, `not done there: ${words.join('; ')}`.slice(0, 1_900))),
    ...proof.missing.map((id) =>
      of(id, 'reported success, but the scan after it does not show it', { unproven: 'missing' }),
    ),
    ...proof.unscanned.map(({ endpointId }) =>
      of(endpointId, 'reported success, but has sent no scan since', { unproven: 'unscanned' }),
    ),
  ];
}

const NO_PROOF: Proof = { claims: [], unscanned: [], unproven: [], missing: [], declined: [] };

function declinedByEndpoint({ declined }: Proof): [string, string[]][] {
  const found = new Map<string, string[]>();
  for (const { name, reason, endpointIds } of declined)
    for (const id of endpointIds) found.set(id, [...(found.get(id) ?? []), `${name}: ${reason}`]);
  return [...found];
}

const isFailed = (end: EndpointEnd): boolean => end.state !== null && budgetClass('change', end.state) === 'failed';
const isUnsettled = (end: EndpointEnd): boolean =>
  end.skippedBy === null && (end.state === null || end.state === 'withdrawn' || end.state === 'pending');

function outcomeCounts(ends: readonly EndpointEnd[], proof: Proof): OutcomeCounts & { succeeded: number } {
  return {
    planned: ends.length,
    succeeded: ends.filter((end) => end.state === 'succeeded' && end.rollback !== 'reverted').length,
    failed: ends.filter(isFailed).length,
    expired: ends.filter((end) => end.state === 'expired').length,
    unsettled: ends.filter(isUnsettled).length,
    missing: proof.missing.length,
    unconfirmed: proof.unscanned.length,
    declinedOn: declinedByEndpoint(proof).length,
  };
}

function ringSummaries(loaded: LoadedChange | null, ends: readonly EndpointEnd[]) {
  return (loaded?.change.spec.rings ?? []).map(({ name }, ordinal) => {
    const mine = ends.filter((end) => end.ring === ordinal);
    const byState: Record<string, number> = {};
    for (const end of mine) {
      const state = end.rollback === 'reverted' ? 'rolledBack' : (end.state ?? 'notOrdered');
      byState[state] = (byState[state] ?? 0) + 1;
    }
    return { ordinal, name, planned: mine.length, failed: mine.filter(isFailed).length, byState };
  });
}

/** The endpoints a person has to look at, with the reason for each. */
function lists(ends: readonly EndpointEnd[], proof: Proof) {
  const named = (list: readonly EndpointEnd[], reason: (end: EndpointEnd) => string | null) =>
    list.slice(0, NAMED).map((end) => ({ endpoint: end.name, ring: end.ring, state: end.state, reason: reason(end) }));
  const names = new Map(proof.claims.map((claim) => [claim.endpointId, claim.name]));
  return {
    failures: named(ends.filter(isFailed), (end) => end.reason),
    rollbackFailures: named(
      ends.filter((end) => end.rollback !== null && end.rollback !== 'reverted'),
      (end) => `rollback: ${end.rollback}`,
    ),
    stragglers: named(
      ends.filter((end) => end.stragglerReason !== null),
      (end) => end.stragglerReason,
    ),
    skipped: named(
      ends.filter((end) => end.skippedBy !== null || end.state === 'skipped' || end.state === 'superseded'),
      (end) => end.reason,
    ),
    unproven: proof.unproven.slice(0, NAMED).map(({ name, arch, to, endpointIds, reason }) => ({
      package: `${name}:${arch}`,
      to,
      reason,
      endpoints: endpointIds.slice(0, NAMED).map((id) => names.get(id) ?? id),
    })),
    declined: proof.declined.slice(0, NAMED).map(({ name, to, endpointIds, reason }) => ({
      rule: name,
      to,
      reason,
      endpoints: endpointIds.length,
    })),
    notConfirmed: proof.unscanned
      .slice(0, NAMED)
      .map(({ name }) => ({ endpoint: name, reason: 'not confirmed: no scan since' })),
  };
}
