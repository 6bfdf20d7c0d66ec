/** What an approver sees, frozen when asked: what, why, where, when, risk, test results, what is left out. */
import { commonOverride, type Override, overrideInWords, overridesAnything } from '../change/override.js';

export interface EvidenceUpdate {
  readonly source: string;
  readonly packages: readonly string[];
  readonly from: string;
  readonly to: string;
  /** Fixed between the two versions, by the packages' own changelogs. */
  readonly cves: readonly string[];
  readonly endpoints: number;
  /** Digests of the lists of what its packages may bring. Older evidence has none. */
  readonly lists?: readonly string[] | undefined;
}

export interface LeftOut {
  readonly what: string;
  readonly outcome: 'deferred' | 'declined';
  readonly reason: string;
  readonly endpoints: number;
}

export interface RingEvidence {
  readonly ordinal: number;
  readonly name: string;
  readonly state: string;
  readonly succeeded: number;
  readonly failed: number;
  readonly other: number;
  /** "web-1: postinst failed …", the first twenty. */
  readonly failures: readonly string[];
}

export interface Evidence {
  readonly change: {
    readonly id: string;
    readonly name: string;
    readonly reason: string;
    readonly requestedBy: string;
    readonly priority: number;
  };
  readonly ring: {
    readonly ordinal: number;
    readonly name: string;
    readonly endpoints: number;
    readonly limits: readonly string[];
  };
  readonly planDigest: string;
  /** How many there are in all, however few the lists name. */
  readonly totals: { readonly updates: number; readonly leftOut: number };
  readonly updates: readonly EvidenceUpdate[];
  readonly leftOut: readonly LeftOut[];
  readonly cves: readonly string[];
  readonly endpointNames: readonly string[];
  /** "Servers EU: Sat 22:00–04:00 …", one line per policy that applies. */
  readonly when: readonly string[];
  readonly risk: readonly string[];
  /** What is set aside if this is approved, in plain words; empty: nothing. Older evidence has none. */
  readonly overrides?: readonly string[] | undefined;
  readonly test: readonly RingEvidence[];
}

/** What an approver must know of hours and freezes that the plan wants set aside. @param mine what this very request allows */
export function overrideLines(args: {
  readonly plan: Override;
  readonly mine: Override;
  readonly endpoints: number;
}): string[] {
  const { plan, mine } = args;
  if (!overridesAnything(plan)) return [];
  const asked = commonOverride(plan, mine);
  const count = endpointsInWords(args.endpoints);
  if (!overridesAnything(asked)) {
    return [
      `The plan wants to change endpoints ${overrideInWords(plan)}. Another approval decides about that; this one does not allow it.`,
    ];
  }
  return [
    `By approving you allow exactly this: ${count} may be changed, and rebooted where that is needed, ${overrideInWords(asked)}, at once.`,
    'What owners of endpoints forbid on their own machines still holds.',
  ];
}

/** "1 endpoint", "3 endpoints". */
export const endpointsInWords = (n: number): string => `${n} ${n === 1 ? 'endpoint' : 'endpoints'}`;

/** Lists in mail and page stop here; the totals beside them never do. */
export const EVIDENCE_LIST_LIMIT = 100;
