/** A change's row of the closed loop as people read it. */
import type { LoopRow } from '../../db/read/closed-loop.js';
import { asAuthorised, authorised, confirmed, type LoopEvidence } from '../../domain/loop/verdict.js';
import { MINUTE } from '../../domain/time.js';

export function loopView(row: LoopRow) {
  const { facts, approvals, requestedAt, closedAt } = row;
  const evidence: LoopEvidence = { ...row, ...facts };
  const approvedAt = latest(approvals.filter((one) => one.state === 'approved').map((one) => one.closedAt));
  const lastScanAt = facts.lastScan?.at ?? null;
  const minutes = (at: string | Date | null): number | null =>
    at === null ? null : Math.round((new Date(at).getTime() - requestedAt.getTime()) / MINUTE);
  const { begun, notPlanned, otherContent, outsideWindow, succeeded, scanned, firstScan, lastScan } = facts;
  return {
    ...{ id: row.id, kind: row.kind, name: row.name, requestedBy: row.requestedBy, stage: row.stage },
    outcome: row.outcome,
    planDigest: row.planDigest,
    authorised: { ...authorised(evidence), approvals },
    asAuthorised: { ...asAuthorised(evidence), begun, notPlanned, otherContent, outsideWindow },
    times: {
      requestedAt,
      approvedAt,
      firstStartedAt: facts.firstStartedAt,
      lastSettledAt: facts.lastSettledAt,
      lastScanAt,
      closedAt,
      minutesToApproved: minutes(approvedAt),
      minutesToStarted: minutes(facts.firstStartedAt),
      minutesToConfirmed: minutes(lastScanAt),
      minutesToClosed: minutes(closedAt),
    },
    confirmed: {
      ...confirmed(evidence),
      succeeded,
      scanned,
      missing: row.missing,
      declined: row.declined,
      firstScan,
      lastScan,
    },
    openWork: row.openWork,
    tickets: row.tickets,
  };
}

export type LoopView = ReturnType<typeof loopView>;

const latest = (times: readonly (string | null)[]): string | null =>
  times.reduce<string | null>((last, at) => (at !== null && (last === null || at > last) ? at : last), null);
