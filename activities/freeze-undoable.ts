/** The plan as it would be now, with nothing in it that neither a snapshot nor a second person stands behind (design §5). */
import type { Queryable } from '../db/pool.js';
import { asksPeople, takesSnapshot } from '../domain/change/way-back.js';
import { type Draft, draftPlan } from './freeze-draft.js';
import type { KindPlan } from './kinds/change-kind.js';
import type { LoadedChange } from './stage-deps.js';
import type { Survey } from './survey.js';

/** Leaving an update out can move endpoints between rings that take shares; after so many rounds caution wins everywhere. */
const MOST_ROUNDS = 5;

/**
 * Plans, looks which endpoints would get what can't be undone although their policy takes no snapshot and their ring asks
 * nobody, and plans again without it for those. In rings that ask people it stays: there two of them are needed
 * (`quorumFor`).
 */
export async function draftUndoable(
  args: Omit<Parameters<typeof draftPlan>[0], 'kindPlan' | 'seen' | 'loaded'> & {
    readonly loaded: LoadedChange;
    readonly seen: Survey;
    readonly client: Queryable;
  },
): Promise<{ readonly kindPlan: KindPlan; readonly draft: Draft }> {
  const { loaded, seen } = args;
  const ids = seen.included.map(({ endpoint }) => endpoint.id);
  const unprotected = new Set(
    seen.included.flatMap(({ endpoint, policy }) => (takesSnapshot(policy.document) ? [] : [endpoint.id])),
  );
  const undoable = new Set<string>();
  for (let round = 1; ; round++) {
    const kindPlan = await loaded.kind.plan(loaded.context(args.client), ids, undoable);
    const draft = draftPlan({ ...args, kindPlan });
    const found = draft.rows.flatMap(({ endpointId, ring, work }) => {
      const lasting = work === null ? null : (kindPlan.works[work]?.noWayBack ?? null);
      const spec = ring === null ? undefined : loaded.change.spec.rings[ring];
      const bare = lasting !== null && unprotected.has(endpointId) && !undoable.has(endpointId);
      return bare && spec !== undefined && !asksPeople(spec) ? [endpointId] : [];
    });
    if (found.length === 0) return { kindPlan, draft };
    for (const id of round < MOST_ROUNDS ? found : unprotected) undoable.add(id);
  }
}
