/** When a policy lets orders of endpoints in one zone begin. */
import { NO_OVERRIDE, type Override } from '../change/override.js';
import type { FreezeCalendar } from '../schedule/index.js';
import { freezesBetween, freezesNeeded, nextWindow, parseFreezeCalendar, parseHours } from '../schedule/index.js';
import { type EpochMs, MINUTE } from '../time.js';
import type { PolicyDocument } from './policy-set.js';

/** What sending content ahead is expected to take at least. */
const STAGE_NEEDS_MS = MINUTE;
const ALWAYS = { always: true } as const;

/** When orders may be let out next, or why never. */
export type Opening =
  | {
      readonly opens: EpochMs;
      /** The close less the time an order is expected to take. */
      readonly lastStart: EpochMs;
      readonly closes: EpochMs;
    }
  | { readonly never: string };

/** Freeze calendars by name, parsed. */
export type Calendars = ReadonlyMap<string, { readonly calendar: FreezeCalendar } | { readonly problem: string }>;

/** Parses calendars as imported; one that can't be read keeps its problem, and so keeps its policies shut. */
export function readCalendars(texts: ReadonlyMap<string, string>): Calendars {
  return new Map(
    [...texts].map(([name, text]) => {
      const parsed = parseFreezeCalendar(text);
      return [
        name,
        parsed.ok
          ? { calendar: parsed.calendar }
          : { problem: `line ${parsed.problem.line}: ${parsed.problem.reason}` },
      ];
    }),
  );
}

/**
 * The next opening at or after `now`, or why it never comes. It lies within the hours of communication, which no override sets
 * aside: an order begins and ends while the endpoint may be talked with.
 */
export function nextOpening(args: {
  /** Null: none applies. */
  readonly policy: PolicyDocument | null;
  /** The endpoint's. */
  readonly zone: string;
  readonly target: 'stage' | 'change' | 'revert';
  readonly calendars: Calendars;
  /** What an approval allows to set aside; of the endpoint's own limits it sets nothing aside. */
  readonly override?: Override | undefined;
  readonly now: EpochMs;
}): Opening {
  const { policy, zone, override = NO_OVERRIDE } = args;
  if (policy === null) return { never: 'no policy set applies to the endpoint' };
  const hours = parseHours(policy.hours);
  if (!hours.ok)
    return { never: `hours of operation: ${hours.problems.map((p) => `${p.path}: ${p.reason}`).join('; ')}` };
  if (!(policy.expectedMinutes > 0)) return { never: 'expectedMinutes: is not a number of minutes' };
  const calendars: FreezeCalendar[] = [];
  for (const name of override.freezes ? [] : policy.freezeCalendars) {
    const calendar = args.calendars.get(name);
    if (calendar === undefined) return { never: `freeze calendar ${name}: is missing` };
    if ('problem' in calendar) return { never: `freeze calendar ${name}: ${calendar.problem}` };
    calendars.push(calendar.calendar);
  }
  const freezes = freezesBetween({ calendars, zone, ...freezesNeeded(args.now) });
  if (!freezes.ok) return { never: `${freezes.problem.place}: ${freezes.problem.reason}` };
  const staging = args.target === 'stage';
  const needMs = staging ? STAGE_NEEDS_MS : policy.expectedMinutes * MINUTE;
  const spec = staging ? hours.value.stage : override.hours ? ALWAYS : hours.value.apply;
  const { communicate } = hours.value;
  const next = nextWindow({ spec, communicate, freezes: freezes.freezes, zone, now: args.now, needMs });
  if ('never' in next) return { never: next.never };
  return { opens: next.opens, lastStart: next.closes - needMs, closes: next.closes };
}
