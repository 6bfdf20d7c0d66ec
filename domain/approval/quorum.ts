/** Counting decisions of one approval request. */

export interface Decision {
  readonly accountId: string;
  readonly decision: 'approve' | 'reject';
}

export interface Tally {
  /** Distinct people who approve. */
  readonly approvals: number;
  readonly rejected: boolean;
  readonly quorumMet: boolean;
}

/** Distinct people only, the requester never; one rejection rejects. A quorum below 1 is never met (fail closed). */
export function tally(args: {
  readonly decisions: readonly Decision[];
  readonly quorum: number;
  readonly requester: string;
}): Tally {
  const counted = args.decisions.filter((d) => d.accountId !== args.requester);
  const approvals = new Set(counted.filter((d) => d.decision === 'approve').map((d) => d.accountId)).size;
  const rejected = counted.some((d) => d.decision === 'reject');
  return {
    approvals,
    rejected,
    quorumMet: !rejected && Number.isInteger(args.quorum) && args.quorum >= 1 && approvals >= args.quorum,
  };
}
