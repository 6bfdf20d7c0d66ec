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

/**
 * Why these modes can't be set without an override, with what to do; null: they can. Lowering is always free, and so is a trial on a real subset.
 * @param args.before null: there is no such assignment yet
 * @param args.record of the trial there is now
 */
export function whyNotWidened(args: {
  readonly before: Modes | null;
  readonly after: Modes;
  readonly record: TrialRecord | null;
  readonly endpoints: readonly Selectable[];
  readonly groups: ReadonlyMap<string, Group>;
}): string | null {
  const { after, groups, record } = args;
  // Another baseline under the same name begins anew.
  const before = args.before?.baseline === after.baseline ? args.before : null;
  const is = (endpoint: Selectable, selector: Selector) => matches({ endpoint, selector, groups });
  const modeOn = (endpoint: Selectable, modes: Modes | null): Mode => {
    if (modes === null || !is(endpoint, modes.appliesTo)) return 'observe';
    return modes.trial !== null && is(endpoint, modes.trial.appliesTo) ? modes.trial.mode : modes.mode;
  };
  const held = args.endpoints.filter((endpoint) => is(endpoint, after.appliesTo));
  const { trial } = after;
  const onTrial = (endpoint: Selectable) => trial !== null && is(endpoint, trial.appliesTo);
  const raised = held.filter((endpoint) => RANK[modeOn(endpoint, after)] > RANK[modeOn(endpoint, before)]);
  const forAll = trial !== null && coversAll(trial.appliesTo, after.appliesTo, held.length > 0 && held.every(onTrial));
  if (forAll && RANK[trial.mode] > RANK[before?.mode ?? 'observe'] && (raised.length > 0 || held.length === 0))
    return `the trial is every endpoint that the baseline holds for: choose a subset of them for mode ${trial.mode}`;
  const outside = raised.filter((endpoint) => !onTrial(endpoint));
  if (outside.length === 0 && RANK[after.mode] <= RANK[before?.mode ?? 'observe']) return null;
  const { mode } = after;
  const how = `assign mode ${before?.mode ?? 'observe'} with a trial of mode ${mode} on a subset first`;
  if (before === null) return `mode ${mode} for all has not been tried on a subset: ${how}`;
  if (before.trial === null || RANK[before.trial.mode] < RANK[mode])
    return `mode ${mode} has not been tried on a subset: ${how}`;
  if (before.checklistId !== after.checklistId)
    return `the trial measures by another version, profile or tailoring: try mode ${mode} with the one it is to be widened to`;
  const strangers = outside.filter((endpoint) => !is(endpoint, before.appliesTo));
  if (strangers.length > 0)
    return `endpoints come to it that the trial was not a subset of (${strangers.length}): assign it to them in mode observe first, with those before as its trial`;
  const missing = record === null ? 'nothing is known of it' : whyUnfinished(record, mode);
  return missing === null ? null : `the trial is not over: ${missing}`;
}

/** Also where nobody is held now, who would come later. */
const coversAll = (trial: Selector, all: Selector, everybody: boolean): boolean =>
  everybody || 'all' in trial || canonicalJson(trial as JsonValue) === canonicalJson(all as JsonValue);
