import type { EpochMs } from '../time.js';
import { DAY } from '../time.js';
import { LOOK_AHEAD_DAYS, nextWindow } from './next-window.js';
import { isOpen, type WindowsQuery } from './openings.js';
import { formatInstant, formatSpan, shownZone } from './text.js';

/**
 * One English sentence for "why not now?": whether it is open, until when and until when work of `needMs` may start; or what
 * holds it and when it opens. Times are shown in the zone all windows share, else in the endpoint's, and name it.
 */
export function explainWindow(query: WindowsQuery & { readonly now: EpochMs; readonly needMs: number }): string {
  const { now, needMs, freezes } = query;
  const next = nextWindow(query);
  if ('never' in next) return `Never opens: ${next.never}.`;
  const zone = shownZone(query);
  const show = (at: EpochMs) => formatInstant({ at, zone });
  const need = formatSpan(needMs);
  const endless = next.closes >= now + LOOK_AHEAD_DAYS * DAY;
  const closing = endless
    ? `does not close within ${LOOK_AHEAD_DAYS} days`
    : `closes ${show(next.closes)}; work of ${need} may start until ${show(next.closes - needMs)}`;
  if (next.opens <= now) return `Open now; ${closing}.`;
  const opening = `opens ${show(next.opens)} and ${closing}`;
  const freeze = freezes.freezes.find((f) => f.from <= now && now < f.to);
  if (freeze) return `Frozen until ${show(freeze.to)}${freeze.label ? ` ("${freeze.label}")` : ''}; ${opening}.`;
  if (isOpen({ ...query, at: now })) return `Open now, but too short for the expected ${need}; next ${opening}.`;
  return `Closed now; ${opening}.`;
}
