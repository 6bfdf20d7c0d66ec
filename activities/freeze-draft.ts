/** The plan as it would be now, without writing anything. */
import type { PlannedEndpoint } from '../db/plan/load.js';
import type { PlanRow } from '../db/plan/write.js';
import { draftRows } from '../domain/change/draft.js';
import { planHeader } from '../domain/change/plan-terms.js';
import type { FrozenPlan, PlanEntry, UpdateSet } from '../domain/content/index.js';
import { freezePlan } from '../domain/content/index.js';
import type { KindPlan } from './kinds/change-kind.js';
import type { LoadedChange } from './stage-deps.js';
import { hopeless } from './stage-deps.js';
import type { Survey } from './survey.js';

export interface Draft {
  readonly frozen: FrozenPlan;
  readonly rows: readonly PlanRow[];
  /** Endpoints per ring, by ordinal. */
  readonly planned: readonly number[];
}

/**
 * Puts survey, the kind's decisions and what an earlier plan fixed together. Endpoints in rings that have opened stay as
 * they were frozen: their orders are out.
 * @throws ApplicationFailure, not to be retried, when a ring's terms are malformed.
 */
export function draftPlan(args: {
  readonly loaded: LoadedChange;
  readonly seen: Survey;
  readonly kindPlan: KindPlan;
  readonly before: readonly PlannedEndpoint[];
  readonly openedRings: ReadonlySet<number>;
  /** Update sets of the rows that stay. */
  readonly keptSets: ReadonlyMap<string, UpdateSet>;
}): Draft {
  const { loaded, seen, kindPlan, openedRings } = args;
  const { spec } = loaded.change;
  const drafted = draftRows({
    changeId: loaded.change.id,
    rings: spec.rings,
    included: seen.included,
    excluded: seen.excluded,
    groups: seen.groups,
    kindPlan,
    before: args.before,
    openedRings,
  });
  if (drafted.kind === 'malformed') throw hopeless('specMalformed', drafted.reason);
  const kept = args.before.filter((row) => row.ring !== null && openedRings.has(row.ring));
  const entries: PlanEntry[] = [
    ...kept.flatMap(keptEntry),
    ...drafted.placed.map(({ one, work, ring }) => ({
      endpointId: one.endpoint.id,
      ring,
      updateSetDigest: kindPlan.works[work]?.set.digest as string,
      policyVersion: `${one.policy.id}@${one.policy.version}`,
    })),
  ];

  const result = freezePlan({
    header: planHeader({ changeId: loaded.change.id, spec, deadline: loaded.change.deadline }),
    entries,
    updateSets: [...args.keptSets.values(), ...kindPlan.works.map((work) => work.set)],
  });
  if (!result.ok) throw hopeless('planRefused', result.reason);
  const planned = spec.rings.map((_, ordinal) => entries.filter((entry) => entry.ring === ordinal).length);
  return { frozen: result.plan, rows: drafted.rows, planned };
}

function keptEntry(row: PlannedEndpoint): PlanEntry[] {
  const { endpointId, ring, updateSetDigest, policyVersion } = row;
  if (ring === null || updateSetDigest === null || policyVersion === null) return [];
  return [{ endpointId, ring, updateSetDigest, policyVersion }];
}
