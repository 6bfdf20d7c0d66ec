import { type EpochMs, MINUTE, SECOND } from '../../domain/time.js';

/** Older than this no scan may claim to be: else an agent whose clock went astray could never answer, and would scan for ever. */
const LONGEST_SCAN = 30 * MINUTE;
/** A signature that comes later than this was made by a clock that is behind, not only long under way. */
const UNDER_WAY = 5 * SECOND;

/**
 * When a scan began, on the server's clock. The agent says when it began and when it signed, both by its own reckoning of our
 * time; how far that is off shows in when the signature (whole seconds, rounded down) arrived. What that can't tell is decided
 * towards "earlier": then the endpoint scans once more than it would have to, which is harmless.
 */
export function scanBegan(args: {
  readonly startedAt: EpochMs;
  readonly signedAt: EpochMs;
  readonly arrivedAt: EpochMs;
}): EpochMs {
  const { startedAt, signedAt, arrivedAt } = args;
  const ahead = signedAt - arrivedAt;
  const off = ahead > 0 ? ahead + SECOND : ahead < -UNDER_WAY ? ahead + UNDER_WAY : 0;
  return Math.min(Math.max(startedAt - off, arrivedAt - LONGEST_SCAN), arrivedAt);
}
