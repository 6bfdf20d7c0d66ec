import type { Interval } from './model.js';

/** Sorted union; touching intervals become one, empty ones disappear. */
export function mergeIntervals(intervals: readonly Interval[]): Interval[] {
  const sorted = intervals.filter((i) => i.to > i.from).sort((a, b) => a.from - b.from);
  const merged: { from: number; to: number }[] = [];
  for (const { from, to } of sorted) {
    const last = merged.at(-1);
    if (last && from <= last.to) last.to = Math.max(last.to, to);
    else merged.push({ from, to });
  }
  return merged;
}

/** What is left of `intervals` without `holes`. Both must be merged (sorted, disjoint). */
export function subtractIntervals(intervals: readonly Interval[], holes: readonly Interval[]): Interval[] {
  const left: Interval[] = [];
  let first = 0;
  for (const { from, to } of intervals) {
    while (first < holes.length && (holes[first] as Interval).to <= from) first += 1;
    let cursor = from;
    for (let i = first; i < holes.length; i += 1) {
      const hole = holes[i] as Interval;
      if (hole.from >= to) break;
      if (hole.from > cursor) left.push({ from: cursor, to: hole.from });
      cursor = Math.max(cursor, hole.to);
    }
    if (cursor < to) left.push({ from: cursor, to });
  }
  return left;
}

/** The parts of `intervals` inside `[from, to)`. */
export function clipIntervals(intervals: readonly Interval[], { from, to }: Interval): Interval[] {
  return intervals.map((i) => ({ from: Math.max(i.from, from), to: Math.min(i.to, to) })).filter((i) => i.to > i.from);
}

/** What both have in common. Both must be merged (sorted, disjoint). */
export function intersectIntervals(a: readonly Interval[], b: readonly Interval[]): Interval[] {
  const common: Interval[] = [];
  for (let i = 0, j = 0; i < a.length && j < b.length; ) {
    const [one, other] = [a[i] as Interval, b[j] as Interval];
    const from = Math.max(one.from, other.from);
    const to = Math.min(one.to, other.to);
    if (from < to) common.push({ from, to });
    if (one.to < other.to) i += 1;
    else j += 1;
  }
  return common;
}
