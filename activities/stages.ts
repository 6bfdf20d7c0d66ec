import { closeChange } from './close.js';
import { confirm } from './confirm.js';
import type { StageActivities } from './contract.js';
import { discover } from './discover.js';
import { freezeChangePlan, obtainAndFreeze } from './freeze.js';
import { obtainContent } from './obtain.js';
import { planStaging } from './prepare.js';
import { startScheduledChange } from './schedule.js';
import type { StageDeps } from './stage-deps.js';

/**
 * The stages of a change as activities: from who takes part to what is proven. Each is idempotent, and each may be
 * killed at any moment: what it has not committed the next attempt does again.
 */
export function createStageActivities(deps: StageDeps): StageActivities {
  return {
    project: async (args) => {
      await deps.db.projectChange(deps.pool, args);
    },
    discover: (args) => discover(deps, args),
    freezePlan: (args) => freezeChangePlan(deps, args),
    obtainContent: (args) => obtainContent(deps, args),
    obtainAndFreeze: (args) => obtainAndFreeze(deps, args),
    planStaging: (args) => planStaging(deps, args),
    confirm: (args) => confirm(deps, args),
    closeChange: (args) => closeChange(deps, args),
    startScheduledChange: (args) => startScheduledChange(deps, args),
  };
}
