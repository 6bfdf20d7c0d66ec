import type { PatchParameters } from '../../../domain/change/patch-parameters.js';
import { parsePatchParameters } from '../../../domain/change/patch-parameters.js';
import { compareDebVersionTexts } from '../../../domain/content/index.js';
import { planPatches } from '../../../domain/patch/plan.js';
import { MINUTE } from '../../../domain/time.js';
import type { ChangeKind, KindContext, KindPlan } from '../change-kind.js';
import { studyChangelogs } from './study-changelogs.js';

/** Package updates: what each endpoint would upgrade itself, less what is triaged away, by verified digest. */
export const patchKind: ChangeKind<PatchParameters> = {
  name: 'patch',
  parse: parsePatchParameters,
  timing: ({ scanMaxAgeMs, discoverMinutes, confirmMinutes }) => ({
    scanMaxAgeMs: Math.max(scanMaxAgeMs, MINUTE),
    discoverMinutes,
    confirmMinutes,
  }),
  plan: readAndPlan,
  study: studyChangelogs,
  judge(update, installed) {
    if (installed === null) return 'is not installed';
    const order = compareDebVersionTexts(installed, update.to);
    if (!order.ok) return order.reason;
    // Newer than planned proves it as well: somebody went further.
    return order.order >= 0 ? null : `${installed} is installed, older than ${update.to}`;
  },
};

async function readAndPlan(
  context: KindContext<PatchParameters>,
  endpointIds: readonly string[],
  undoable?: ReadonlySet<string>,
): Promise<KindPlan> {
  const { db, client, parameters, now } = context;
  const groups = await context.once(endpointIds, () => db.loadWorkGroups(client, endpointIds));
  return planPatches({ ...(await db.loadPatchInputs(client, { groups, now })), parameters, now, undoable });
}
