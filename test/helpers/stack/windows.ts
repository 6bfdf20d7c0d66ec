/** Hours of operation that end soon, at whole minutes as policies know them. */
import { MINUTE, SECOND } from '../../../domain/time.js';

export interface ClosingHours {
  /** The latest start: the close less the minute an order is expected to take. */
  readonly lastStart: number;
  readonly closes: number;
  /** When they open again. */
  readonly reopens: number;
  /** For a policy document. */
  readonly hours: Record<string, unknown>;
}

/** Open now; nothing starts after the first whole minute that is at least `leadSeconds` away; open again a minute after the close. */
export function closingSoon(leadSeconds: number, now = Date.now()): ClosingHours {
  const lastStart = Math.ceil((now + leadSeconds * SECOND) / MINUTE) * MINUTE;
  const closes = lastStart + MINUTE;
  const reopens = closes + MINUTE;
  const daily = (from: number, to: number) => ({
    rrule: 'FREQ=DAILY',
    from: wallTime(from),
    to: wallTime(to),
    zone: 'Etc/UTC',
  });
  const apply = { windows: [daily(closes - 60 * MINUTE, closes), daily(reopens, reopens + 120 * MINUTE)] };
  return { lastStart, closes, reopens, hours: { communicate: { always: true }, stage: { always: true }, apply } };
}

const wallTime = (at: number): string => new Date(at).toISOString().slice(11, 16);
