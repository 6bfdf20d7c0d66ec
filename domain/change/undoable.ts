/** A plan with nothing in it that neither a snapshot nor a second person stands behind (design §5); the freeze and the dry run share it. */
import type { KindPlan, PlanRow } from './kind-plan.js';
import type { InScope } from './scope.js';
import type { RingSpec } from './spec.js';
import { asksPeople, takesSnapshot } from './way-back.js';

/** Leaving an update out can move endpoints between rings that take shares; after so many rounds caution wins everywhere. */
const MOST_ROUNDS = 5;

export interface Undoable<Planned> {
  readonly planned: Planned;
  /** Endpoints that get nothing that can't be taken back: nobody is asked about them, and no snapshot is taken. */
  readonly careful: ReadonlySet<string>;
  /** Endpoints by ring that get such updates without a snapshot, because two people are asked there. */
  readonly bare: ReadonlyMap<number, number>;
}

/**
 * Plans, looks which endpoints would get what can't be undone although their policy takes no snapshot and their ring asks
 * nobody, and plans again without it for those. In rings that ask people it stays: there two of them are needed
 * (`quorumFor`).
 */
export async function planUndoable<
  Planned extends { readonly kindPlan: KindPlan; readonly rows: readonly PlanRow[] },
>(args: {
  readonly included: readonly InScope[];
  readonly rings: readonly RingSpec[];
  readonly plan: (careful: ReadonlySet<string>) => Planned | Promise<Planned>;
}): Promise<Undoable<Planned>> {
  const unprotected = new Set(
    args.included.flatMap(({ endpoint, policy }) => (takesSnapshot(policy.document) ? [] : [endpoint.id])),
  );
  const careful = new Set<string>();
  for (let round = 1; ; round++) {
    const planned = await args.plan(careful);
    const found: string[] = [];
    const bare = new Map<number, number>();
    for (const { endpointId, ring, work } of planned.rows) {
      const lasting = work === null ? null : (planned.kindPlan.works[work]?.noWayBack ?? null);
      const spec = ring === null ? undefined : args.rings[ring];
      if (lasting === null || ring === null || spec === undefined) continue;
      if (!unprotected.has(endpointId) || careful.has(endpointId)) continue;
      if (asksPeople(spec)) bare.set(ring, (bare.get(ring) ?? 0) + 1);
      else found.push(endpointId);
    }
    if (found.length === 0) return { planned, careful, bare };
    for (const id of round < MOST_ROUNDS ? found : unprotected) careful.add(id);
  }
}
