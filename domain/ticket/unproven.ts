/** What is left of a change that nobody works on any more, and that scans have not proven. */

export interface Ended {
  /** Endpoints that somebody had to look at, and of these the ones that a scan proved. */
  readonly endpoints: number;
  readonly proven: number;
  readonly otherwise: readonly { readonly reason: string; readonly count: number }[];
  /** Endpoints that reported success, which no scan has shown and nobody has been asked to look at. */
  readonly unseen: number;
}

/** Said in the change's ticket; null: scans have proven all of it. */
export function unproven(ended: Ended): string | null {
  const { endpoints, proven, otherwise, unseen } = ended;
  if (proven === endpoints && unseen === 0) return null;
  const rest = [
    ...otherwise.slice(0, 10).map(({ reason, count }) => `- ${count}: ${reason}`),
    ...(otherwise.length > 10 ? [`- and ${otherwise.length - 10} more reasons`] : []),
    ...(unseen > 0 ? [`- ${unseen}: reported success, and no scan has shown it`] : []),
  ];
  return [
    `Nothing of it is open any more, but scans have proven ${proven} of ${endpoints + unseen} endpoints that somebody had to look at. The others:`,
    ...rest,
    'This ticket stays open: somebody must say whether that will do.',
  ].join('\n');
}
