import { DAY, type EpochMs } from '../time.js';
import { clipIntervals, mergeIntervals } from './intervals.js';
import type { Interval, NeverCode, NextWindow } from './model.js';
import {
  asWindow,
  longest,
  openIntervals,
  prepare,
  type ReadySpec,
  thaw,
  validRange,
  type WindowsQuery,
} from './openings.js';
import { formatInstant, formatSpan, shownZone } from './text.js';

/** How far ahead of `now` a window is looked for. */
export const LOOK_AHEAD_DAYS = 400;
/** How far back an opening is looked for: a window open for longer reports `now` less this as its opening. */
export const LOOK_BACK_DAYS = 32;

/** The span freezes must be known for, so that `nextWindow` at `now` can use its whole look-ahead. */
export function freezesNeeded(now: EpochMs): Interval {
  return { from: now - LOOK_BACK_DAYS * DAY, to: now + LOOK_AHEAD_DAYS * DAY };
}

/**
 * The opening to use for work that takes `needMs`: the one open now if `needMs` still fits before it closes (last start =
 * close − need), else the next in which it fits. `opens <= now` means open now. A window still open at the end of the
 * look-ahead (`now` + 400 days) reports that as its close.
 * @returns `never` with a sentence for people and a code, when none comes within the look-ahead or the input can't be evaluated
 */
export function nextWindow(query: WindowsQuery & { readonly now: EpochMs; readonly needMs: number }): NextWindow {
  const { now, needMs, freezes } = query;
  if (!(Number.isFinite(needMs) && needMs >= 0 && validRange({ from: now, to: now }))) {
    return never('badNeed', `the expected time (${needMs} ms) or the time now (${now}) is not a usable number`);
  }
  const ready = prepare(query);
  if (!ready.ok) return never(ready.code, ready.reason);
  const { windows } = ready;
  const back = windows.length === 0 ? 0 : Math.max(...windows.flat().map(longest)) + DAY;
  const needed = { windows, now, needMs };
  // Most windows recur within days: look near first, and further only when nothing fits or what fits may go on past the edge.
  for (const days of [10, 50]) {
    const range = { from: now - back, to: now + days * DAY };
    const open = openIntervals(windows, range);
    if (!open.ok) return never(open.code, open.reason);
    const found = thaw({ open: open.intervals, freezes }).find((w) => fits(w, needed));
    if (found && found.to < range.to) return asWindow(trueOpening({ found, range, windows, query }));
  }
  const range = { from: now - back, to: now + LOOK_AHEAD_DAYS * DAY };
  const open = openIntervals(windows, range);
  if (!open.ok) return never(open.code, open.reason);
  const found = thaw({ open: open.intervals, freezes }).find((w) => fits(w, needed));
  if (found) return asWindow(trueOpening({ found, range, windows, query }));
  return whyNever({ query, open: clipIntervals(open.intervals, { from: now, to: range.to }) });
}

function fits(window: Interval, { now, needMs }: { now: EpochMs; needMs: number }): boolean {
  return window.to > now && window.to - Math.max(window.from, now) >= needMs;
}

/** Adjacent openings may reach back past the range: then look again from further back. */
function trueOpening({
  found,
  range,
  windows,
  query,
}: {
  found: Interval;
  range: Interval;
  windows: ReadySpec;
  query: WindowsQuery & { now: EpochMs };
}): Interval {
  if (found.from > range.from) return found;
  const open = openIntervals(windows, { from: query.now - LOOK_BACK_DAYS * DAY, to: found.to });
  if (!open.ok) return found;
  return (
    thaw({ open: open.intervals, freezes: query.freezes }).findLast((w) => w.from <= query.now && w.to === found.to) ??
    found
  );
}

/** Names what is in the way: no window at all, all too short, or freezes. `open` is what the hours alone give from now on. */
function whyNever({
  query,
  open,
}: {
  query: WindowsQuery & { now: EpochMs; needMs: number };
  open: readonly Interval[];
}): NextWindow {
  const { needMs, freezes, communicate } = query;
  // Named only where it restricts: else the hours asked about alone are to blame.
  const window =
    communicate === undefined || 'always' in communicate ? 'window' : 'window within the hours of communication';
  if (open.length === 0) return never('noWindow', `no ${window} in the next ${LOOK_AHEAD_DAYS} days`);
  const need = formatSpan(needMs);
  const wouldFit = open.filter((w) => fits(w, query));
  if (wouldFit.length === 0) {
    const longestMs = Math.max(...open.map((w) => w.to - w.from));
    return never(
      'tooShort',
      `the longest ${window} in the next ${LOOK_AHEAD_DAYS} days is ${formatSpan(longestMs)}, shorter than the expected ${need}`,
    );
  }
  const left = thaw({ open, freezes });
  const lastWindow = wouldFit.at(-1) as Interval;
  const hole = mergeIntervals(freezes.freezes).findLast(
    (f) => f.from < lastWindow.to && wouldFit.some((w) => w.from < f.to && f.from < w.to),
  );
  const zone = shownZone(query);
  if (!hole)
    return never(
      'frozen',
      `freezes are known only until ${formatInstant({ at: clampTime(freezes.covers.to), zone })}, and nothing opens past that`,
    );
  const label = freezes.freezes.find((f) => f.from < hole.to && hole.from < f.to && f.label)?.label;
  const until = `frozen until ${formatInstant({ at: hole.to, zone })}${label ? ` ("${label}")` : ''}`;
  const rest =
    left.length > 0
      ? `what freezes leave of the windows is shorter than the expected ${need}`
      : `no window outside freezes`;
  return never('frozen', `${until}: ${rest} in the next ${LOOK_AHEAD_DAYS} days`);
}

const never = (code: NeverCode, reason: string): NextWindow => ({ never: reason, code });
const clampTime = (at: EpochMs): EpochMs => Math.min(Math.max(at, -4e15), 4e15);
