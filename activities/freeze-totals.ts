import type { Draft } from './freeze-draft.js';
import type { KindPlan } from './kinds/change-kind.js';
import type { Survey } from './survey.js';

/** How many endpoints a list names before it only counts. */
const NAMED = 100;

/** What approvers read first; kept with the plan, and not part of its digest. */
export function planTotals(args: {
  readonly seen: Survey;
  readonly kindPlan: KindPlan;
  readonly draft: Draft;
}): Record<string, unknown> {
  const { seen, kindPlan, draft } = args;
  const inPlan = new Set(draft.frozen.entries.map((entry) => entry.endpointId));
  const outcomes = { included: 0, deferred: 0, declined: 0 };
  const reversibility = { reversible: 0, reversibleButData: 0, irreversible: 0 };
  for (const work of kindPlan.works) {
    const endpoints = work.endpointIds.filter((id) => inPlan.has(id)).length;
    outcomes.included += endpoints * work.set.updates.length;
    reversibility[work.reversibility] += endpoints;
    for (const note of work.triage) {
      if (note.outcome !== 'included') outcomes[note.outcome] += work.endpointIds.length;
    }
  }
  const reasons: Record<string, number> = {};
  for (const { reason, ring } of draft.rows) {
    if (ring === null && reason !== null) reasons[reason] = (reasons[reason] ?? 0) + 1;
  }
  const files = new Map(
    [...draft.frozen.updateSets.values()].flatMap((set) => set.updates.map((update) => [update.sha256, update.size])),
  );
  return {
    endpoints: inPlan.size,
    perRing: draft.planned,
    updates: outcomes,
    reversibility,
    cves: [...new Set(kindPlan.facts.flatMap((fact) => fact.cves))].sort(),
    files: files.size,
    bytes: [...files.values()].reduce((sum, size) => sum + size, 0),
    excluded: reasons,
    staleInventories: {
      count: seen.stale.length,
      names: seen.stale.slice(0, NAMED).map((endpoint) => endpoint.name),
    },
  };
}
