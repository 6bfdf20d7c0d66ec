/** When the server may talk with an endpoint: ask it for something, hand it something, wake it. */
import { NO_FREEZES, nextWindow, parseHours, type Window } from '../schedule/index.js';
import { type EpochMs, MINUTE, SECOND } from '../time.js';
import type { PolicyDocument } from './policy-set.js';

export type Communication =
  | {
      /** The window open now, else the next. */
      readonly window: Window;
      /** The one after it; null: none within the look-ahead. */
      readonly later: Window | null;
    }
  | { readonly never: string };

/**
 * The hours of communication of endpoints in one zone; null: always. Freezes keep orders away, not questions: what is
 * exposed has to be known during a freeze, too.
 *
 * @param args.policy null: none is in force, so nothing restricts (and nothing is changed there)
 */
export function communicationOf(args: {
  readonly policy: Pick<PolicyDocument, 'hours'> | null;
  readonly zone: string;
  readonly now: EpochMs;
}): Communication | null {
  const { policy, zone, now } = args;
  if (policy === null) return null;
  const hours = parseHours(policy.hours);
  if (!hours.ok)
    return { never: `hours of operation: ${hours.problems.map((p) => `${p.path}: ${p.reason}`).join('; ')}` };
  const spec = hours.value.communicate;
  if ('always' in spec) return null;
  const asked = { spec, freezes: NO_FREEZES, zone, needMs: 0 };
  const next = nextWindow({ ...asked, now });
  if ('never' in next) return { never: next.never };
  const later = nextWindow({ ...asked, now: next.closes });
  return { window: next, later: 'never' in later ? null : later };
}

/** Whether the endpoint may be talked with. A window that is over with none known after it is shut. */
export function mayTalk(communication: Communication | null, at: EpochMs): boolean {
  return communication === null || windowsOf(communication).some(({ opens, closes }) => opens <= at && at < closes);
}

/** When the endpoint may be talked with again; null: it may at this time, or nothing is known to open. */
export function silentUntil(communication: Communication | null, at: EpochMs): EpochMs | null {
  if (communication === null || mayTalk(communication, at)) return null;
  return windowsOf(communication).find(({ opens }) => opens > at)?.opens ?? null;
}

/** Whoever has no window to come in says once an hour that it is there. */
const HEARTBEAT_MS = 60 * MINUTE;
/** Those that wait for the same opening come within this. */
const ARRIVE_WITHIN_MS = 5 * MINUTE;

/**
 * When to poll next, moved into the hours of communication.
 * @param args.seconds when it would be without them
 * @param args.random 0 ≤ x < 1
 * @returns seconds
 */
export function pollWithinHours(args: {
  readonly seconds: number;
  readonly communication: Communication | null;
  readonly now: EpochMs;
  readonly random: number;
}): number {
  const { seconds, communication, now, random } = args;
  const due = now + seconds * SECOND;
  if (mayTalk(communication, due) || communication === null) return seconds;
  const next = windowsOf(communication).find(({ opens }) => opens > due);
  if (next === undefined) return Math.max(seconds, HEARTBEAT_MS / SECOND);
  const within = Math.min(ARRIVE_WITHIN_MS, (next.closes - next.opens) / 2);
  return Math.round((next.opens - now + random * within) / (SECOND / 10)) / 10;
}

function windowsOf(communication: Communication): readonly Window[] {
  if ('never' in communication) return [];
  return [communication.window, ...(communication.later === null ? [] : [communication.later])];
}
