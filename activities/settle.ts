import { type EpochMs, SECOND } from '../domain/time.js';
import { resolveWindows } from './resolve-windows.js';
import { type RingDeps, wakeFor } from './ring-deps.js';

const BEAT_MS = 5 * SECOND;
const LOOK_EVERY_MS = 2 * SECOND;
/** How often orders that wait for a reboot are given another chance to find their window. */
const REBOOTS_EVERY_MS = 30 * SECOND;

/**
 * Winds a ring up: takes back, again and again, what has not begun, and waits for what has. Releases nothing. Ends once
 * nothing of the ring is under way: reported, timed out, or never heard of since its permit ended.
 */
export async function settleRing(
  deps: RingDeps,
  args: { readonly changeId: string; readonly ring: number; readonly reason: string },
): Promise<{ readonly withdrawn: number }> {
  const { orders, pool, clock, signer } = deps;
  const pace = deps.pace();
  const wake = wakeFor(deps, args.changeId);
  let said: unknown = {};
  const beat = setInterval(() => pace.heartbeat(said), BEAT_MS);
  let rebootsAt: EpochMs | null = null;
  let withdrawn = 0;
  try {
    for (;;) {
      const now = clock();
      const step = await orders.settleStep(pool, { ...args, now });
      withdrawn += step.withdrawn;
      said = { ...step, withdrawn };
      pace.heartbeat(said);
      if (step.underWay === 0) return { withdrawn };
      if (rebootsAt === null || now - rebootsAt >= REBOOTS_EVERY_MS) {
        rebootsAt = now;
        await resolveWindows(deps, { ...args, target: 'change', ignoreWindows: false });
        await orders.permitRebootsOf(pool, { ...args, signer, now });
      }
      await wake.wait(pace, LOOK_EVERY_MS);
    }
  } finally {
    clearInterval(beat);
    wake.close();
  }
}
