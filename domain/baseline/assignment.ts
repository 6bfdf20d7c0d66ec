/**
 * Which baselines hold for an endpoint. Several may, each of another baseline; of assignments of one and the same baseline the one
 * with the highest precedence counts, and of equal ones the one whose name comes first. A rule that several of them have, and want different
 * things of, is decided by the highest that is not only observed (conflicts.ts): the others measure it and never put it right.
 */
import { type Group, matches, type Selectable, type Selector } from '../fleet/selector.js';

/** `observe`: only measured. `propose`: a change may remediate once people approve it. `enforce`: a change is made by itself. */
export type Mode = 'observe' | 'propose' | 'enforce';

export interface Assignment {
  readonly id: string;
  readonly name: string;
  readonly baseline: string;
  readonly checklistId: number;
  readonly appliesTo: Selector;
  readonly precedence: number;
  readonly mode: Mode;
  /** A subset that is a step ahead of (or behind) the rest. */
  readonly trial: { readonly mode: Mode; readonly appliesTo: Selector } | null;
}

export interface Held {
  readonly endpointId: string;
  readonly assignment: Assignment;
  readonly mode: Mode;
  readonly inTrial: boolean;
}

/** What holds for each endpoint, by precedence from the highest. */
export function resolveAssignments(args: {
  readonly assignments: readonly Assignment[];
  readonly endpoints: readonly Selectable[];
  readonly groups: ReadonlyMap<string, Group>;
}): Held[] {
  const byRank = [...args.assignments].sort(
    (a, b) => b.precedence - a.precedence || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0),
  );
  const { groups } = args;
  return args.endpoints.flatMap((endpoint) => {
    const taken = new Set<string>();
    return byRank.flatMap((assignment): Held[] => {
      if (taken.has(assignment.baseline)) return [];
      if (!matches({ endpoint, selector: assignment.appliesTo, groups })) return [];
      taken.add(assignment.baseline);
      const { trial } = assignment;
      const inTrial = trial !== null && matches({ endpoint, selector: trial.appliesTo, groups });
      return [{ endpointId: endpoint.id, assignment, mode: inTrial ? trial.mode : assignment.mode, inTrial }];
    });
  });
}
