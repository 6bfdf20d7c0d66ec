/** Results of a checklist, one character per rule, in the checklist's order. */

/** As XCCDF 1.2 §6.6.4.2 has them, less the ones that mean "not in the checklist". */
export const RULE_RESULTS = [
  'pass',
  'fail',
  'error',
  'unknown',
  'notapplicable',
  'notchecked',
  'informational',
  'fixed',
] as const;
export type RuleResult = (typeof RULE_RESULTS)[number];

const CODES: Readonly<Record<RuleResult, string>> = {
  pass: 'p',
  fail: 'f',
  error: 'e',
  unknown: 'u',
  notapplicable: 'n',
  notchecked: 'c',
  informational: 'i',
  fixed: 'x',
};
const NAMES = new Map(Object.entries(CODES).map(([name, code]) => [code, name as RuleResult]));
export const codeOf = (result: RuleResult): string => CODES[result];
/** Null for a character that means nothing. */
export const resultOf = (code: string): RuleResult | null => NAMES.get(code) ?? null;

/** Of full results (ARF) that an endpoint hands over, bytes: below what the gateway takes of any request. */
export const LARGEST_ARF = 15 * 1024 * 1024;

export interface ResultCounts {
  readonly pass: number;
  readonly fail: number;
  /** error, unknown: the scanner could not tell. */
  readonly error: number;
  readonly notApplicable: number;
  /** notchecked, informational: nothing that could pass or fail. */
  readonly notChecked: number;
}

export function countResults(codes: string): ResultCounts {
  const counts = { pass: 0, fail: 0, error: 0, notApplicable: 0, notChecked: 0 };
  for (const code of codes) {
    if (code === 'p' || code === 'x') counts.pass += 1;
    else if (code === 'f') counts.fail += 1;
    else if (code === 'e' || code === 'u') counts.error += 1;
    else if (code === 'n') counts.notApplicable += 1;
    else if (code === 'c' || code === 'i') counts.notChecked += 1;
  }
  return counts;
}

/**
 * Why these results are no answer; null when they are. A baseline made for another system finds nothing applicable and would look
 * like a host without failures.
 */
export function whyNoAnswer(counts: ResultCounts): string | null {
  const { pass, fail, error, notApplicable } = counts;
  if (pass + fail > 0) return null;
  if (error > 0) return `none of the rules could be tested: ${error} ended in an error`;
  return notApplicable > 0
    ? `none of the ${notApplicable} rules applies here: the baseline is for another system, or its profile is`
    : 'no rule was tested';
}

/** Whether somebody has to look at a rule with this result: it fails, or the scanner could not tell. */
export const isFinding = (result: unknown): boolean => result === 'fail' || result === 'error' || result === 'unknown';

/** Whether a critical rule with this result has drifted. What can't be told, or does not apply any more, has not. */
export const isDrift = (result: unknown): boolean => result === 'fail' || result === 'error';

/** Why the scanner's word does not prove a rule, or null: it does. @param found its result, or why there is none */
export const whyNotProven = (found: string | null): string | null =>
  found === 'pass' || found === 'fixed' ? null : `the scanner says ${found ?? 'nothing of it'}`;
