import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { DAY, MINUTE } from '../../domain/time.js';

/** What the agent notes once the server has taken its inventory; `at` is when, epoch milliseconds. */
const lastScanSchema = z.object({
  at: z.number(),
  complete: z.boolean(),
  reason: z.string().nullable(),
  updates: z.int().nonnegative(),
});

const LONGEST_WAIT_MS = 3 * MINUTE;
const LOOK_EVERY_MS = 500;

/**
 * Waits until this machine's inventory has arrived, but keeps no process alive for it.
 * @param context.givenUp tells that nobody waits any more.
 * @returns what it says, in words; undefined when none arrived in time.
 */
export async function firstInventory(
  context: Readonly<{ agentDir: string; givenUp: () => boolean }>,
): Promise<string | undefined> {
  const file = join(context.agentDir, 'state', 'last-scan.json');
  const deadline = performance.now() + LONGEST_WAIT_MS;
  // One from an earlier start counts for as long as the agent itself goes by it.
  const oldest = Date.now() - DAY;
  while (!context.givenUp() && performance.now() < deadline) {
    const scan = readLastScan(file);
    if (scan !== undefined && scan.at >= oldest) {
      return scan.complete
        ? `${scan.updates} ${scan.updates === 1 ? 'update' : 'updates'} pending (GET /v1/endpoints)`
        : `its inventory is not complete: ${scan.reason}`;
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS).unref());
  }
  return undefined;
}

/** Undefined while there is none that can be read; the agent replaces it whole. */
function readLastScan(file: string): z.infer<typeof lastScanSchema> | undefined {
  try {
    return lastScanSchema.parse(JSON.parse(readFileSync(file, 'utf8')));
  } catch {
    return undefined;
  }
}
