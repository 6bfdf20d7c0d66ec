import type { Queryable } from '../db/pool.js';
import { waitBounded } from './pace.js';
import type { LoadedChange, StageDeps } from './stage-deps.js';
import { loadForStage, paceOf } from './stage-deps.js';
import { type Survey, survey } from './survey.js';

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
  let unproven = await refreshEvidence(loaded, last, pool);
  await waitBounded({
    pace,
    clock: deps.clock,
    minutes: loaded.timing.discoverMinutes,
    look: async () => {
      last = await survey(deps, loaded, pool);
      unproven = last.stale.length > 0 ? unproven : await refreshEvidence(loaded, last, pool);
      return last.stale.length + unproven;
    },
  });
  const endpoints = last.included.length;
  const stale = Math.max(last.stale.length, unproven);
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

/** Asks for evidence of the kind's own where it is old. @returns how many endpoints lack it */
async function refreshEvidence(loaded: LoadedChange, seen: Survey, client: Queryable): Promise<number> {
  const { kind, timing } = loaded;
  return (await kind.evidence?.refresh(loaded.context(client), seen.ids, timing.scanMaxAgeMs))?.length ?? 0;
}
