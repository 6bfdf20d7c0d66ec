/** An order that may be let out as far as its window, its ring and its endpoint go. */
export interface Candidate {
  readonly orderId: string;
  readonly endpointId: string;
  /** Quorum groups that would lose this endpoint: those it belongs to and in which it does not count as away already. */
  readonly groups: readonly string[];
}

/**
 * Which candidates to let out, in their order: at most `quota` of them, at most one per endpoint, and from each quorum
 * group no more than it can still do without. A group whose room is not known has none (fail closed).
 *
 * @param room endpoints each group can still do without.
 */
export function admit(args: {
  readonly quota: number;
  readonly candidates: readonly Candidate[];
  readonly room: ReadonlyMap<string, number>;
}): readonly string[] {
  const left = new Map(args.room);
  const endpoints = new Set<string>();
  const admitted: string[] = [];
  for (const { orderId, endpointId, groups } of args.candidates) {
    if (admitted.length >= args.quota) break;
    if (endpoints.has(endpointId) || groups.some((group) => (left.get(group) ?? 0) < 1)) continue;
    for (const group of new Set(groups)) left.set(group, (left.get(group) ?? 0) - 1);
    endpoints.add(endpointId);
    admitted.push(orderId);
  }
  return admitted;
}
