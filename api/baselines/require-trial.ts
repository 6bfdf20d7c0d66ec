/** A mode is raised for more than a trial only where one is over, or an administrator says why not. */
import type { PoolClient } from 'pg';
import { findAssignment } from '../../db/baseline/assignments.js';
import { compareTrial } from '../../db/baseline/trial.js';
import { loadSelectables } from '../../db/endpoints/selectable.js';
import { loadGroups } from '../../db/policy/load.js';
import { type Modes, whyNotWidened } from '../../domain/baseline/widening.js';
import { PERMISSIONS } from '../../domain/identity/permissions.js';
import type { Person } from '../auth/person.js';
import { conflict, forbidden } from '../http/problem.js';

/** What the audit log has to say beside the assignment itself. */
interface Recorded {
  readonly action: 'baseline.widened' | 'baseline.trialOverridden';
  readonly detail: Readonly<Record<string, unknown>>;
}

/**
 * Locks the assignment's row, so that what it was is what is replaced.
 * @returns what to record of it: the figures of the trial that was over, or the override
 * @throws Problem 409 with what to do first; 403 for an override by somebody who is no administrator with a name
 */
export async function requireTrial(
  client: PoolClient,
  args: {
    readonly name: string;
    readonly after: Modes;
    readonly override: { readonly reason: string } | null;
    readonly person: Person;
  },
): Promise<readonly Recorded[]> {
  const { after, override, person } = args;
  if (override !== null && (person.accountId === null || !person.permissions.has('baseline.override')))
    throw forbidden(
      `an override needs a person with the role ${PERMISSIONS['baseline.override']}: a token that belongs to nobody has no name to put to it`,
    );
  const before = await findAssignment(client, args.name, { lock: true });
  if (after.mode === 'observe' && (after.trial === null || after.trial.mode === 'observe')) return [];
  const [sides, endpoints, groups] = await Promise.all([
    before?.trial == null ? null : compareTrial(client, before.id),
    loadSelectables(client, {}),
    loadGroups(client),
  ]);
  const wrong = whyNotWidened({ before, after, record: sides, endpoints, groups });
  const step = { from: before?.mode ?? null, to: after.mode, trial: before?.trial ?? null, ...sides };
  if (wrong === null)
    return before?.trial != null && after.trial === null && after.mode === before.trial.mode
      ? [{ action: 'baseline.widened', detail: step }]
      : [];
  if (override === null)
    throw conflict(
      `${wrong}. An administrator may set it all the same: "override": {"reason": "…"}, which goes into the audit log`,
    );
  return [{ action: 'baseline.trialOverridden', detail: { ...step, reason: override.reason, insteadOf: wrong } }];
}
