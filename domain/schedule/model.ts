/**
 * Hours of operation and freezes, as plain data (JSON in a policy). No behaviour and no dependency, so that anything may
 * import the types. Text fields keep the author's spelling; `schema.ts` refuses what can't be read.
 */
import type { EpochMs } from '../time.js';

/** Half-open span of exact time: `from` belongs to it, `to` does not. */
export type Interval = { readonly from: EpochMs; readonly to: EpochMs };

/** One opening of a window: work may start at `opens`, nothing may start at or after `closes`. */
export type Window = { readonly opens: EpochMs; readonly closes: EpochMs };

/**
 * One recurring window: on each local date of `rrule` (moved by `plusDays`) it opens at `from`, and closes either at the
 * wall time `to` (of the next day when `to` is not after `from`) or after exactly `duration`.
 */
export type RecurringWindow = {
  /** RFC 5545 recurrence over local dates: FREQ DAILY to YEARLY, no BYHOUR/BYMINUTE/BYSECOND; UNTIL is a date. */
  readonly rrule: string;
  /** Local date `YYYY-MM-DD` that anchors INTERVAL and COUNT; needed when the rule alone doesn't say which dates. */
  readonly dtstart?: string | undefined;
  /** Days added to each date of the rule, -31..31: "second Tuesday + 3 days" is `BYDAY=2TU` with 3. */
  readonly plusDays?: number | undefined;
  /** Wall time `HH:MM` of the opening. */
  readonly from: string;
  /** Wall time `HH:MM` (or `24:00`) of the closing. Exactly one of `to` and `duration`. */
  readonly to?: string | undefined;
  /** ISO 8601 duration in weeks, days, hours, minutes (`PT30H`, `P2D`), as elapsed time: a day is 24 hours. 1 minute to 31 days. */
  readonly duration?: string | undefined;
  /** IANA zone name, or `endpoint` for the zone the endpoint itself is in. */
  readonly zone: string;
};

/** When something is allowed. An empty list never opens: forgetting the hours closes, it doesn't open. */
export type WindowSpec = { readonly always: true } | { readonly windows: readonly RecurringWindow[] };

/** The three hours of operation of a policy set. */
export type Hours = {
  /** When the agent may talk to the server beyond its heartbeat. */
  readonly communicate: WindowSpec;
  /** When content may be fetched ahead of the change (rate-limited). */
  readonly stage: WindowSpec;
  /** When the machine may be changed. */
  readonly apply: WindowSpec;
};

/** When a scheduled cycle starts: "second Tuesday + 3 days, 22:00 Europe/Berlin". The zone is always a named one. */
export type Cadence = {
  readonly rrule: string;
  readonly dtstart?: string | undefined;
  readonly plusDays?: number | undefined;
  /** Wall time `HH:MM`. */
  readonly at: string;
  readonly zone: string;
};

/** A freeze, with the event's summary for people. */
export type Freeze = Interval & { readonly label?: string | undefined };

/** Known freezes. Nothing is known outside `covers`, so nothing opens there. */
export type FreezeSet = { readonly covers: Interval; readonly freezes: readonly Freeze[] };

/** One reason input was refused: where (`apply.windows[0].rrule`) and why. */
export type Problem = { readonly path: string; readonly reason: string };

export type Parsed<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly problems: readonly Problem[] };

/** Why a window never comes, for programs; the sentence for people travels beside it. */
export type NeverCode = 'empty' | 'noWindow' | 'tooShort' | 'frozen' | 'badZone' | 'badSpec' | 'badNeed';

export type NextWindow = Window | { readonly never: string; readonly code: NeverCode };
