import { waitBounded } from './pace.js';
import type { StageDeps } from './stage-deps.js';
import { loadForStage, paceOf } from './stage-deps.js';
import { survey } from './survey.js';

/** How many endpoints a record names before it only counts. */
const NAMED = 100;

/**
 * Asks endpoints whose inventory is old or incomplete for a fresh scan and waits for them, but only so long: an endpoint
 * that is away must not hold up the others. Who is still not fresh is on record.
 */
export async function discover(
  deps: StageDeps,
  { changeId }: { readonly changeId: string },
): Promise<{ endpoints: number; fresh: number; stale: number }> {
  const { db, pool } = deps;
  const loaded = await loadForStage(deps, changeId);
  const pace = paceOf(deps);
  pace.heartbeat(pace.left);
  await deps.refreshCatalogue?.();
  let last = await survey(deps, loaded, pool);
  await db.askForScans(
    pool,
    last.stale.map((endpoint) => endpoint.id),
  );
  await waitBounded({
    pace,
    clock: deps.clock,
    minutes: loaded.timing.discoverMinutes,
    look: async () => {
      last = await survey(deps, loaded, pool);
      return last.stale.length;
    },
  });
  const endpoints = last.included.length;
  const stale = last.stale.length;
  if (stale > 0) {
    await db.inTransaction(pool, (client) =>
      db.appendAudit(client, [
        {
          actor: 'worker',
          action: 'change.discoveredWithStale',
          subject: `change/${changeId}`,
          detail: { stale, names: last.stale.slice(0, NAMED).map((endpoint) => endpoint.name) },
        },
      ]),
    );
  }
  return { endpoints, fresh: endpoints - stale, stale };
}
