/** OpenSCAP's scanner: what it is asked, and what its answer is worth. Its exit status alone proves nothing (0 also when nothing applies). */
import { existsSync } from 'node:fs';
import type { AssessmentRequest } from '../../../protocol/messages.js';
import { type Run, tail } from '../../system/run.js';

export type RuleResults = AssessmentRequest['results'];

const PROGRAM = '/usr/bin/oscap';
const TIMEOUT_MS = 30 * 60_000;
/** A scanner that was killed is started again so often. */
const TRIES = 3;
const RESULTS = ['pass', 'fail', 'error', 'unknown', 'notapplicable', 'notchecked', 'informational', 'fixed'] as const;

export interface Evaluation {
  readonly dataStream: string;
  readonly tailoring: string | null;
  readonly profile: string;
  /** Rule ids; empty: all of the profile. */
  readonly rules: readonly string[];
  /** Where the full results go; null: nowhere. */
  readonly arf: string | null;
}

export type Evaluated =
  | { readonly ok: true; readonly results: RuleResults }
  | { readonly ok: false; readonly reason: string };

export const hasScanner = (): boolean => existsSync(PROGRAM);

/** Tests the rules. Fails, with the reason, rather than answer for a rule it did not test. */
export async function evaluate(run: Run, args: Evaluation): Promise<Evaluated> {
  for (let tries = 1; ; tries++) {
    const result = await run(commandOf(args), { timeoutMs: TIMEOUT_MS, maxOutput: 8 * 1024 * 1024 });
    if (result.timedOut) return { ok: false, reason: `the scanner did not end within ${TIMEOUT_MS / 60_000} minutes` };
    // 0: all passed or nothing applied; 2: some rule failed. Anything else is no answer.
    if (result.code === 0 || result.code === 2) return answered(args, parseProgress(result.stdout));
    const killed = result.code > 128;
    if (killed && tries < TRIES) continue;
    const why = tail(result.stderr, 500) || tail(result.stdout, 300);
    return {
      ok: false,
      reason: killed ? `the scanner was killed ${tries} times` : `the scanner ended with ${result.code}: ${why}`,
    };
  }
}

function answered(args: Evaluation, results: RuleResults): Evaluated {
  const missing = args.rules.filter((rule) => results[rule] === undefined);
  if (missing.length > 0)
    return { ok: false, reason: `the scanner gave no result for ${missing.slice(0, 5).join(', ')}` };
  return Object.keys(results).length === 0
    ? { ok: false, reason: 'the scanner gave no results' }
    : { ok: true, results };
}

function commandOf({ dataStream, tailoring, profile, rules, arf }: Evaluation): string[] {
  return [
    PROGRAM,
    'xccdf',
    'eval',
    '--progress',
    '--profile',
    profile,
    ...(tailoring === null ? [] : ['--tailoring-file', tailoring]),
    ...rules.flatMap((rule) => ['--rule', rule]),
    ...(arf === null ? [] : ['--results-arf', arf]),
    dataStream,
  ];
}

/** Lines `rule-id:result`; whatever else it prints is no result. */
export function parseProgress(text: string): RuleResults {
  const results: RuleResults = {};
  for (const line of text.split('\n')) {
    const match = /^(xccdf_[A-Za-z0-9.-]+_rule_[A-Za-z0-9._-]+):([a-z]+)\s*$/.exec(line);
    const result = RESULTS.find((name) => name === match?.[2]);
    if (match?.[1] !== undefined && result !== undefined) results[match[1]] = result;
  }
  return results;
}
