/** Milliseconds since 1970-01-01T00:00Z. Domain code takes `now` as an argument of this type and never reads a clock. */
export type EpochMs = number;

export const SECOND = 1_000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;
