/** How endpoints and rules stand, as pages show it: every colour with a number in words. */
import type { RuleTally } from '../../db/baseline/tally.js';
import type { Standing } from '../../db/read/compliance.js';

export interface StandingPart {
  readonly kind: 'ok' | 'bad' | 'work' | 'none';
  readonly word: string;
  readonly count: number;
  /** In percent of all endpoints: where the part begins in a bar, and how wide it is. */
  readonly x: number;
  readonly width: number;
}

/** The four ways to stand, in the order of a bar. */
export function standingParts(standing: Standing): readonly StandingPart[] {
  const parts = [
    ['ok', 'pass', standing.passing],
    ['bad', 'fail', standing.failing],
    ['work', 'ended in an error', standing.erring],
    ['none', 'not measured yet', standing.unmeasured],
  ] as const;
  let x = 0;
  return parts.map(([kind, word, count]) => {
    const width = standing.endpoints === 0 ? 0 : (count * 100) / standing.endpoints;
    const part = { kind, word, count, x, width };
    x += width;
    return part;
  });
}

export const SEVERITIES = ['high', 'medium', 'low', 'info', 'unknown'] as const;

export interface PlacedRule extends RuleTally {
  /** In the checklist. */
  readonly position: number;
}

/** Rules that a search found, those that fail on most endpoints first; of equal ones the more severe. */
export function searchRules(
  rules: readonly RuleTally[],
  search: { readonly text: string; readonly severity: string; readonly all: boolean },
): PlacedRule[] {
  const text = search.text.toLowerCase();
  const rank = (rule: RuleTally): number => {
    const place = (SEVERITIES as readonly string[]).indexOf(rule.severity);
    return place < 0 ? SEVERITIES.length : place;
  };
  return rules
    .map((rule, position) => ({ ...rule, position }))
    .filter((rule) => search.all || rule.fail > 0 || rule.error > 0)
    .filter((rule) => search.severity === '' || rule.severity === search.severity)
    .filter((rule) => text === '' || `${rule.id}\n${rule.name}\n${rule.title}`.toLowerCase().includes(text))
    .sort((a, b) => b.fail - a.fail || b.error - a.error || rank(a) - rank(b) || a.position - b.position);
}
