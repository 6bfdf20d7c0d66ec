/** The plan as it would be now, with nothing in it that neither a snapshot nor a second person stands behind (design §5). */
import type { Queryable } from '../db/pool.js';
import { planUndoable } from '../domain/change/undoable.js';
import { type Draft, draftPlan } from './freeze-draft.js';
import type { KindPlan } from './kinds/change-kind.js';
import type { LoadedChange } from './stage-deps.js';
import type { Survey } from './survey.js';

export async function draftUndoable(
  args: Omit<Parameters<typeof draftPlan>[0], 'kindPlan' | 'seen' | 'loaded'> & {
    readonly loaded: LoadedChange;
    readonly seen: Survey;
    readonly client: Queryable;
  },
): Promise<{ readonly kindPlan: KindPlan; readonly draft: Draft }> {
  const { loaded, seen } = args;
  const { planned } = await planUndoable({
    included: seen.included,
    rings: loaded.change.spec.rings,
    plan: async (careful) => {
      const kindPlan = await loaded.kind.plan(loaded.context(args.client), seen.ids, careful);
      const draft = draftPlan({ ...args, kindPlan });
      return { kindPlan, draft, rows: draft.rows };
    },
  });
  return planned;
}
