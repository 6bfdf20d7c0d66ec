/**
 * A baseline moves from one mode to the next on a subset first (issue 5): whoever raises the mode for more than a trial needs one that is over,
 * with its failures, reverts and findings marked as wrong there to be compared. Decided here, by what each endpoint's mode was and would be.
 */
import { canonicalJson, type JsonValue } from '../content/canonical.js';
import { type Group, matches, type Selectable, type Selector } from '../fleet/selector.js';
import type { Assignment, Mode } from './assignment.js';

const RANK: Readonly<Record<Mode, number>> = { observe: 0, propose: 1, enforce: 2 };

/** What an assignment says of modes. */
export type Modes = Pick<Assignment, 'appliesTo' | 'mode' | 'trial'> & {
  readonly baseline: string;
  readonly checklistId: number;
};

/** What is known of the endpoints of one side, the trial or the rest, since the trial began. */
export interface SideRecord {
  readonly endpoints: number;
  readonly measured: number;
  /** Could be measured and never were. */
  readonly waiting: number;
  /** Remediations that have begun there and not ended. */
  readonly atWork: number;
  readonly succeeded: number;
  readonly reverted: number;
  readonly failed: number;
  /** A rule fails there that could be put right. */
  readonly fixable: boolean;
}

export interface TrialRecord {
  readonly trial: SideRecord;
  readonly rest: SideRecord;
}

/** Why a trial in this mode is not over yet, with what to do; null: it is. */
export function whyUnfinished({ trial, rest }: TrialRecord, mode: Mode): string | null {
  if (trial.endpoints === 0)
    return 'nobody is on trial: choose a subset that the baseline holds for (who is in it is looked up within a minute)';
  if (trial.waiting > 0 || trial.measured === 0)
    return `${trial.endpoints - trial.measured} of ${trial.endpoints} endpoints on trial are not measured yet: wait for them, or take them out of the trial`;
  if (mode === 'observe') return null;
  if (trial.atWork > 0)
    return `remediations are still at work on the trial (${trial.atWork}): wait until they have ended`;
  const ended = trial.succeeded + trial.reverted + trial.failed;
  if (ended === 0 && trial.fixable)
    return 'no remediation has ended on the trial yet: put its failing rules right first';
  if (ended === 0 && rest.fixable)
    return 'nothing fails on the trial, so it shows nothing: try it where a rule fails that has a fix';
  if (ended > 0 && trial.succeeded === 0)
    return `none of the ${ended} remediations on the trial stayed: look at why, and put a rule right there`;
  return null;
}

/** A step from one assignment of modes to another. */
export interface Step {
  /** Null: there is no such assignment yet. */
  readonly before: Modes | null;
  readonly after: Modes;
  readonly endpoints: readonly Selectable[];
  readonly groups: ReadonlyMap<string, Group>;
  /** As they were before the step, where it is an edit of groups. Left out: as they are. */
  readonly groupsBefore?: ReadonlyMap<string, Group>;
}

interface Raised {
  readonly before: Modes | null;
  /** Endpoints in a higher mode than before. */
  readonly all: readonly Selectable[];
  /** Of them those that are not on trial afterwards. */
  readonly outside: readonly Selectable[];
  /** The trial afterwards is everybody, in a mode that not everybody had. */
  readonly trialIsAll: boolean;
  readonly modeRaised: boolean;
}

function raisedBy({ after, endpoints, groups, ...step }: Step): Raised {
  // Another baseline under the same name begins anew.
  const before = step.before?.baseline === after.baseline ? step.before : null;
  const modeOn = (endpoint: Selectable, modes: Modes | null, known: ReadonlyMap<string, Group>): Mode => {
    const is = (selector: Selector) => matches({ endpoint, selector, groups: known });
    if (modes === null || !is(modes.appliesTo)) return 'observe';
    return modes.trial !== null && is(modes.trial.appliesTo) ? modes.trial.mode : modes.mode;
  };
  const held = endpoints.filter((endpoint) => matches({ endpoint, selector: after.appliesTo, groups }));
  const { trial } = after;
  const onTrial = (endpoint: Selectable) => trial !== null && matches({ endpoint, selector: trial.appliesTo, groups });
  const all = held.filter(
    (one) => RANK[modeOn(one, after, groups)] > RANK[modeOn(one, before, step.groupsBefore ?? groups)],
  );
  const everybody = held.length > 0 && held.every(onTrial);
  return {
    before,
    all,
    outside: all.filter((endpoint) => !onTrial(endpoint)),
    trialIsAll:
      trial !== null &&
      RANK[trial.mode] > RANK[before?.mode ?? 'observe'] &&
      coversAll(trial.appliesTo, after.appliesTo, everybody) &&
      (all.length > 0 || held.length === 0),
    modeRaised: RANK[after.mode] > RANK[before?.mode ?? 'observe'],
  };
}

/** Whether the step gives a higher mode to anybody who is not on trial: where nothing is against it ({@link whyNotWidened}) that is on record. */
export function widens(step: Step): boolean {
  const { outside, modeRaised } = raisedBy(step);
  return outside.length > 0 || modeRaised;
}

/**
 * Why these modes can't be set without an override, with what to do; null: they can. Lowering is always free, and so is a trial on a real subset.
 * @param args.record of the trial there is now
 */
export function whyNotWidened(args: Step & { readonly record: TrialRecord | null }): string | null {
  const { after, record } = args;
  const { before, outside, trialIsAll, modeRaised } = raisedBy(args);
  if (trialIsAll)
    return `the trial is every endpoint that the baseline holds for: choose a subset of them for mode ${after.trial?.mode}`;
  if (outside.length === 0 && !modeRaised) return null;
  const { mode } = after;
  const how = modeRaised
    ? `assign mode ${before?.mode ?? 'observe'} with a trial of mode ${mode} on a subset first`
    : `assign mode observe first, with those that are in mode ${mode} already as its trial`;
  if (before === null) return `mode ${mode} for all has not been tried on a subset: ${how}`;
  if (before.trial === null || RANK[before.trial.mode] < RANK[mode])
    return `mode ${mode} has not been tried on a subset: ${how}`;
  if (before.checklistId !== after.checklistId)
    return `the trial measures by another version, profile or tailoring: try mode ${mode} with the one it is to be widened to`;
  const groups = args.groupsBefore ?? args.groups;
  const strangers = outside.filter((endpoint) => !matches({ endpoint, selector: before.appliesTo, groups }));
  if (strangers.length > 0)
    return `endpoints come to it that the trial was not a subset of (${strangers.length}): assign it to them in mode observe first, with those before as its trial`;
  const missing = record === null ? 'nothing is known of it' : whyUnfinished(record, mode);
  return missing === null ? null : `the trial is not over: ${missing}`;
}

/** Also where nobody is held now, who would come later. */
const coversAll = (trial: Selector, all: Selector, everybody: boolean): boolean =>
  everybody || 'all' in trial || canonicalJson(trial as JsonValue) === canonicalJson(all as JsonValue);
