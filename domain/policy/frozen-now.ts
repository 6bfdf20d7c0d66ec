import { freezesBetween } from '../schedule/index.js';
import { DAY, type EpochMs } from '../time.js';
import type { Calendars } from './next-opening.js';
import type { PolicyDocument } from './policy-set.js';

/** How far ahead the end of a freeze is looked for. */
const LOOK_AHEAD_MS = 400 * DAY;

/** The freeze that is on now for endpoints in this zone: until when, what its event is called, and in which calendars. */
export function frozenNow(args: {
  readonly policy: PolicyDocument;
  readonly zone: string;
  readonly calendars: Calendars;
  readonly now: EpochMs;
}): { readonly until: EpochMs; readonly label: string | null; readonly calendars: readonly string[] } | null {
  const { zone, now } = args;
  let until = now;
  let label: string | null = null;
  const names: string[] = [];
  for (const name of args.policy.freezeCalendars) {
    const calendar = args.calendars.get(name);
    if (calendar === undefined || 'problem' in calendar) continue;
    const found = freezesBetween({ calendars: [calendar.calendar], zone, from: now, to: now + LOOK_AHEAD_MS });
    const on = found.ok ? found.freezes.freezes.filter((freeze) => freeze.from <= now && now < freeze.to) : [];
    if (on.length === 0) continue;
    names.push(name);
    for (const freeze of on) {
      if (freeze.to <= until) continue;
      until = freeze.to;
      label = freeze.label ?? null;
    }
  }
  return names.length === 0 ? null : { until, label, calendars: names };
}
