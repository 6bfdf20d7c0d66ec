/** The openings of a window spec within a range, before and after freezes. */
import { DAY, type EpochMs } from '../time.js';
import { type Clock, dayOf, ianaClock } from './clock.js';
import { type CompiledWindow, compileWindow } from './compile.js';
import { clipIntervals, intersectIntervals, mergeIntervals, subtractIntervals } from './intervals.js';
import type { FreezeSet, Interval, NeverCode, Window, WindowSpec } from './model.js';
import { occurrenceDays } from './rule.js';

/** Widest range that is evaluated at once. */
export const MAX_RANGE_DAYS = 3_700;

/** The freeze set of a fleet without freeze calendars. */
export const NO_FREEZES: FreezeSet = {
  covers: { from: Number.MIN_SAFE_INTEGER, to: Number.MAX_SAFE_INTEGER },
  freezes: [],
};

export type WindowsQuery = {
  readonly spec: WindowSpec;
  /** The hours of communication, outside which nothing else is open either; left out: always. */
  readonly communicate?: WindowSpec | undefined;
  /** Known freezes; outside what they cover nothing is open. */
  readonly freezes: FreezeSet;
  /** The endpoint's IANA zone, which `zone: "endpoint"` stands for. */
  readonly zone: string;
};

export type Failure = { readonly ok: false; readonly code: NeverCode; readonly reason: string };
export type WindowsResult = { readonly ok: true; readonly windows: readonly Window[] } | Failure;

/** The openings inside `[from, to)`, clipped to it, ascending, merged where they touch, freezes cut out. At most 3,700 days. */
export function windowsBetween(query: WindowsQuery & Interval): WindowsResult {
  const { from, to } = query;
  if (!validRange({ from, to }))
    return { ok: false, code: 'badSpec', reason: `the range asked for is not within ${MAX_RANGE_DAYS} days` };
  const ready = prepare(query);
  if (!ready.ok) return ready;
  const open = openIntervals(ready.windows, { from, to });
  if (!open.ok) return open;
  return { ok: true, windows: thaw({ open: open.intervals, freezes: query.freezes }).map(asWindow) };
}

/** Whether work may be started at this instant, as far as the hours are concerned. What can't be evaluated is closed. */
export function isOpen(query: WindowsQuery & { readonly at: EpochMs }): boolean {
  const result = windowsBetween({ ...query, from: query.at, to: query.at + 1 });
  return result.ok && result.windows.length > 0;
}

export type ReadyWindow = CompiledWindow & { readonly clock: Clock };
/** One list of windows for each spec that restricts: open where every list has a window open. None: always. */
export type ReadySpec = readonly (readonly ReadyWindow[])[];

/** Compiles the spec, and the hours of communication it lies within, and puts the endpoint's clock where it is asked for. */
export function prepare({
  spec,
  communicate,
  zone,
}: Pick<WindowsQuery, 'spec' | 'communicate' | 'zone'>): { readonly ok: true; readonly windows: ReadySpec } | Failure {
  const endpoint = ianaClock(zone);
  if (!endpoint) return { ok: false, code: 'badZone', reason: `the endpoint's zone "${zone}" is not known` };
  const own = compiled(spec, endpoint);
  if (!own.ok) return own;
  if (communicate === undefined) return own;
  const talk = compiled(communicate, endpoint);
  if (!talk.ok) return { ...talk, reason: `communicate: ${talk.reason}` };
  return { ok: true, windows: [...own.windows, ...talk.windows] };
}

function compiled(spec: WindowSpec, endpoint: Clock): { readonly ok: true; readonly windows: ReadySpec } | Failure {
  if ('always' in spec) {
    return spec.always === true
      ? { ok: true, windows: [] }
      : { ok: false, code: 'badSpec', reason: 'always: must be true' };
  }
  if (spec.windows.length === 0)
    return { ok: false, code: 'empty', reason: 'the list of windows is empty, so it never opens' };
  const windows: ReadyWindow[] = [];
  for (const [index, window] of spec.windows.entries()) {
    const read = compileWindow(window);
    if (!read.ok) {
      const reason = read.problems.map((p) => `windows[${index}].${p.path}: ${p.reason}`).join('; ');
      return { ok: false, code: 'badSpec', reason };
    }
    windows.push({ ...read.value, clock: read.value.clock ?? endpoint });
  }
  return { ok: true, windows: [windows] };
}

/** Openings as the hours alone give them, merged and clipped to the range. */
export function openIntervals(
  windows: ReadySpec,
  range: Interval,
): { readonly ok: true; readonly intervals: readonly Interval[] } | Failure {
  let open = mergeIntervals([range]);
  for (const union of windows) {
    const one = unionOf(union, range);
    if (!one.ok) return one;
    open = intersectIntervals(open, one.intervals);
  }
  return { ok: true, intervals: open };
}

function unionOf(
  windows: readonly ReadyWindow[],
  range: Interval,
): { readonly ok: true; readonly intervals: readonly Interval[] } | Failure {
  const intervals: Interval[] = [];
  for (const window of windows) {
    const { rule, start, plusDays, opens, closes, clock } = window;
    // Two days of slack: a local day can be shifted by a whole day where a zone crosses the date line.
    const days = occurrenceDays({
      rule,
      start,
      from: dayOf(clock.toWall(range.from) - longest(window)) - plusDays - 2,
      to: dayOf(clock.toWall(range.to)) - plusDays + 3,
    });
    if (!days.ok) return { ok: false, code: 'badSpec', reason: days.reason };
    for (const day of days.days) {
      const midnight = (day + plusDays) * DAY;
      const from = clock.toEpoch(midnight + opens);
      // A gap can swallow a window whole; merging drops what is then empty.
      intervals.push({ from, to: closes.kind === 'wall' ? clock.toEpoch(midnight + closes.ms) : from + closes.ms });
    }
  }
  return { ok: true, intervals: mergeIntervals(intervals) };
}

/** What freezes leave of the openings; outside what the freeze set covers, nothing. */
export function thaw({ open, freezes }: { open: readonly Interval[]; freezes: FreezeSet }): Interval[] {
  const [first, last] = [open[0], open.at(-1)];
  if (!first || !last) return [];
  const holes = freezes.freezes.filter((f) => f.to > first.from && f.from < last.to);
  return subtractIntervals(clipIntervals(open, freezes.covers), mergeIntervals(holes));
}

export const asWindow = ({ from, to }: Interval): Window => ({ opens: from, closes: to });

/** The longest a window is meant to stay open, in milliseconds; clock changes may stretch it. */
export const longest = ({ opens, closes }: CompiledWindow): number =>
  closes.kind === 'wall' ? closes.ms - opens : closes.ms;

export const validRange = ({ from, to }: Interval): boolean =>
  Math.abs(from) < 4e15 && to >= from && to - from <= MAX_RANGE_DAYS * DAY;
