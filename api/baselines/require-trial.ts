/** A mode is raised for more than a trial only where one is over, or an administrator says why not. */
import type { PoolClient } from 'pg';
import { type AssignmentRow, findAssignment, listAssignments } from '../../db/baseline/assignments.js';
import { compareTrial, type TrialComparison } from '../../db/baseline/trial.js';
import { loadSelectables } from '../../db/endpoints/selectable.js';
import { lockGroups } from '../../db/groups/groups.js';
import { loadGroups } from '../../db/policy/load.js';
import { type Modes, type Step, whyNotWidened, widens } from '../../domain/baseline/widening.js';
import { type Group, leadsTo } from '../../domain/fleet/selector.js';
import { PERMISSIONS } from '../../domain/identity/permissions.js';
import type { Person } from '../auth/person.js';
import { conflict, forbidden } from '../http/problem.js';

type Override = { readonly reason: string } | null;

/** What the audit log has to say beside the assignment, or the group, itself. */
interface Recorded {
  readonly action: 'baseline.widened' | 'baseline.trialOverridden';
  readonly detail: Readonly<Record<string, unknown>>;
}

/**
 * Locks groups and the assignment's row, so that what it was is what is replaced.
 * @returns what to record of it: the figures of the trial that was over, or the override
 * @throws Problem 409 with what to do first; 403 for an override by somebody who is no administrator with a name
 */
export async function requireTrial(
  client: PoolClient,
  args: { readonly name: string; readonly after: Modes; readonly override: Override; readonly person: Person },
): Promise<readonly Recorded[]> {
  const { after, override } = args;
  requireRight(args);
  await lockGroups(client);
  const before = await findAssignment(client, args.name, { lock: true });
  if (onlyObserves(after)) return [];
  const [sides, endpoints, groups] = await Promise.all([
    sidesOf(client, before),
    loadSelectables(client, {}),
    loadGroups(client),
  ]);
  const { wrong, recorded } = judge({ before, after, endpoints, groups }, { sides, override });
  if (wrong !== null && override === null) throw refused(wrong);
  return recorded;
}

/**
 * The same of a group's new selector, as stored in the caller's transaction, which holds the lock of groups: of every assignment that leads to the group.
 * @param args.groupsBefore as they were before
 * @returns what to record of each assignment
 * @throws Problem as {@link requireTrial}
 */
export async function requireTrialsOfGroup(
  client: PoolClient,
  args: {
    readonly group: string;
    readonly groupsBefore: ReadonlyMap<string, Group>;
    readonly override: Override;
    readonly person: Person;
  },
): Promise<readonly (Recorded & { readonly subject: string })[]> {
  const { group, groupsBefore, override } = args;
  requireRight(args);
  const groups = await loadGroups(client);
  const leads = ({ appliesTo, trial }: AssignmentRow) =>
    leadsTo(appliesTo, group, groups) || (trial !== null && leadsTo(trial.appliesTo, group, groups));
  const meant = (await listAssignments(client)).filter((one) => !onlyObserves(one) && leads(one));
  if (meant.length === 0) return [];
  const endpoints = await loadSelectables(client, {});
  const judged = [];
  for (const one of meant) {
    const step = { before: one, after: one, endpoints, groups, groupsBefore };
    judged.push({ name: one.name, ...judge(step, { sides: await sidesOf(client, one), override }) });
  }
  const wrong = judged.flatMap((one) => (one.wrong === null ? [] : [`baseline assignment ${one.name}: ${one.wrong}`]));
  if (wrong.length > 0 && override === null) throw refused(wrong.join('; '));
  return judged.flatMap(({ name, recorded }) =>
    recorded.map(({ action, detail }) => ({
      ...{ action, subject: `baseline-assignment/${name}` },
      detail: { ...detail, group },
    })),
  );
}

const onlyObserves = ({ mode, trial }: Pick<Modes, 'mode' | 'trial'>): boolean =>
  mode === 'observe' && (trial === null || trial.mode === 'observe');

const sidesOf = async (client: PoolClient, of: AssignmentRow | null): Promise<TrialComparison | null> =>
  of === null || of.trial === null ? null : compareTrial(client, of.id);

function requireRight({ override, person }: { readonly override: Override; readonly person: Person }): void {
  if (override !== null && (person.accountId === null || !person.permissions.has('baseline.override')))
    throw forbidden(
      `an override needs a person with the role ${PERMISSIONS['baseline.override']}: a token that belongs to nobody has no name to put to it`,
    );
}

const refused = (wrong: string) =>
  conflict(
    `${wrong}. An administrator may set it all the same: "override": {"reason": "…"}, which goes into the audit log`,
  );

/** Why the step can't be made without an override (null: it can), and what to record of it if it is made. */
function judge(
  step: Step,
  { sides, override }: { readonly sides: TrialComparison | null; readonly override: Override },
): { readonly wrong: string | null; readonly recorded: readonly Recorded[] } {
  const { before, after } = step;
  const wrong = whyNotWidened({ ...step, record: sides });
  const detail = { from: before?.mode ?? null, to: after.mode, trial: before?.trial ?? null, ...sides };
  if (wrong === null) return { wrong, recorded: widens(step) ? [{ action: 'baseline.widened', detail }] : [] };
  if (override === null) return { wrong, recorded: [] };
  return {
    wrong,
    recorded: [
      { action: 'baseline.trialOverridden', detail: { ...detail, reason: override.reason, insteadOf: wrong } },
    ],
  };
}
