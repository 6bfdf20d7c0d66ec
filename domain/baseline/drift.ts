/** How far endpoints are from what they were measured against. Pure: 10,000 endpoints × 400 rules are a few million characters. */
import { type RuleResult, resultOf } from './results.js';

/** Places where two texts of results differ; a text that is shorter differs in all that is missing. */
export function driftedPositions(gold: string, now: string): number[] {
  const found: number[] = [];
  for (let at = 0; at < gold.length; at++) if (gold.charCodeAt(at) !== now.charCodeAt(at)) found.push(at);
  return found;
}

export function countDrift(gold: string, now: string): number {
  let count = 0;
  for (let at = 0; at < gold.length; at++) if (gold.charCodeAt(at) !== now.charCodeAt(at)) count += 1;
  return count;
}

export interface RuleDrift {
  readonly rule: string;
  readonly gold: RuleResult | null;
  readonly now: RuleResult | null;
}

/** @param rules ids in the order of results */
export function ruleDrift(args: {
  readonly rules: readonly string[];
  readonly gold: string;
  readonly now: string;
}): RuleDrift[] {
  return driftedPositions(args.gold, args.now).flatMap((at) => {
    const rule = args.rules[at];
    return rule === undefined ? [] : [{ rule, gold: resultOf(args.gold[at] ?? ''), now: resultOf(args.now[at] ?? '') }];
  });
}

export interface SetDrift {
  readonly missing: readonly string[];
  readonly extra: readonly string[];
  readonly changed: readonly { readonly name: string; readonly gold: string; readonly now: string }[];
}

/** Differences of a set one by one, for people; `gold` null: it was not there. */
export const linesOfSet = ({
  missing,
  extra,
  changed,
}: SetDrift): { readonly name: string; readonly gold: string | null; readonly now: string }[] => [
  ...changed.map(({ name, gold, now }) => ({ name, gold, now })),
  ...missing.map((name) => ({ name, gold: 'there', now: 'missing' })),
  ...extra.map((name) => ({ name, gold: null, now: 'there' })),
];

/** Of packages by version, or of names alone (every version ''). */
export function setDrift(gold: Readonly<Record<string, string>>, now: Readonly<Record<string, string>>): SetDrift {
  const names = (some: Readonly<Record<string, string>>) => Object.keys(some).sort();
  return {
    missing: names(gold).filter((name) => !Object.hasOwn(now, name)),
    extra: names(now).filter((name) => !Object.hasOwn(gold, name)),
    changed: names(gold).flatMap((name) => {
      const version = Object.hasOwn(now, name) ? now[name] : undefined;
      return version === undefined || version === gold[name]
        ? []
        : [{ name, gold: gold[name] as string, now: version }];
    }),
  };
}
