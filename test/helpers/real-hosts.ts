// Tests on real hosts run where the lab can, and are reported as skipped, by name and with the reason, where it can't.
import { describe } from '@jest/globals';
import { labUnavailableReason } from '../../lab/index.js';

/** Time limit for a `beforeAll` that makes a lab: building the base comes on top when nobody has yet. Milliseconds. */
export const labStartLimit = 480_000;

/** As `describe`, for tests that need the lab; the suite's name tells why when they can't run. */
export function describeRealHosts(name: string, tests: () => void): void {
  const reason = labUnavailableReason();
  if (reason === undefined) describe(name, tests);
  else describe.skip(`${name} (real hosts: ${reason})`, tests);
}
