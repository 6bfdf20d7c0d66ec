import type { RingCounts } from './counts.js';

export interface GateVerdict {
  readonly kind: 'promote' | 'hold';
  /** One sentence with the numbers and their denominators. */
  readonly reason: string;
}

/**
 * Whether a drained ring carries the next one (design §3): succeeded / (succeeded + failed) of at least the threshold, over
 * at least the minimum sample or the whole ring. Offline and windowless endpoints don't count against it but are named.
 * A threshold that can't be read holds the ring, and so does a ring in which nothing was proven.
 */
export function judgeGate(args: { readonly spec: unknown; readonly counts: RingCounts }): GateVerdict {
  const { counts } = args;
  const spec = (typeof args.spec === 'object' && args.spec !== null ? args.spec : {}) as Readonly<
    Record<string, unknown>
  >;
  const { successThresholdPercent: threshold, minSample } = spec;
  if (typeof threshold !== 'number' || !(threshold >= 0 && threshold <= 100)) {
    return hold('successThresholdPercent is missing or not a number from 0 to 100');
  }
  if (typeof minSample !== 'number' || !Number.isSafeInteger(minSample) || minSample < 0) {
    return hold('minSample is missing or not a whole number from 0');
  }
  const outcomes = counts.succeeded + counts.failed;
  const said = `${counts.succeeded} of ${outcomes} outcomes succeeded${itemised(counts)}`;
  const waiting = counts.inFlight;
  if (waiting > 0) return hold(`${said}; ${waiting} still under way`);
  if (outcomes === 0) return hold(`${said}: nothing was proven`);
  if (outcomes < minSample && outcomes < counts.planned) {
    return hold(`${said}; ${Math.min(minSample, counts.planned)} outcomes are needed`);
  }
  // Compared as products: a share like 2/3 has no exact decimal form.
  if (counts.succeeded * 100 < threshold * outcomes) return hold(`${said}; ${threshold} % are needed`);
  return { kind: 'promote', reason: `${said}; ${threshold} % were needed` };
}

/** What is in neither denominator, so that nobody is lost in a percentage. */
function itemised(counts: RingCounts): string {
  const parts = (
    [
      [counts.offline, 'offline'],
      [counts.windowless, 'without a window'],
      [counts.stragglers, 'moved to the stragglers'],
      [counts.none, 'skipped, withdrawn, superseded or expired'],
    ] as const
  )
    .filter(([n]) => n > 0)
    .map(([n, what]) => `${n} ${what}`);
  return parts.length === 0
    ? ` (${counts.planned} planned)`
    : ` (${counts.planned} planned; not counted: ${parts.join(', ')})`;
}

function hold(reason: string): GateVerdict {
  return { kind: 'hold', reason };
}
