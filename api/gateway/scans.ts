/** Inventories: those that come together are stored together. */
import type { Pool } from 'pg';
import { readPollViews } from '../../db/endpoints/presence.js';
import { storeScans } from '../../db/inventory/store-scan.js';
import type { EpochMs } from '../../domain/time.js';
import type { InventoryRequest } from '../../protocol/messages.js';
import { invalidField } from '../http/problem.js';
import { inactive } from './active.js';
import { createGatherer, type Gatherer } from './gather.js';
import { scanBegan } from './scan-begun.js';
import type { Signer } from './signed.js';

/** Inventories in one transaction; each may be big. */
const SCANS_TOGETHER = 50;

/** Stores inventories that come together in one go. `run` throws Problem 401 or 403 for an endpoint that is not active. */
export function createScans(deps: {
  readonly pool: Pool;
  readonly clock: () => EpochMs;
}): Gatherer<{ readonly signer: Signer; readonly scan: InventoryRequest; readonly arrivedAt: EpochMs }, void> {
  return createGatherer({
    work: async (scans) => {
      const views = await readPollViews(
        deps.pool,
        scans.map(({ signer }) => signer.endpointId),
      );
      const objections = scans.map(({ signer }) => inactive(signer, views.get(signer.endpointId)));
      await storeScans(deps.pool, {
        scans: scans.flatMap(({ signer, scan, arrivedAt }, i) => {
          if (objections[i] !== null) return [];
          const begunAt = scanBegan({ startedAt: scan.startedAt, signedAt: signer.signedAt, arrivedAt });
          return [{ endpointId: signer.endpointId, scan, begunAt }];
        }),
        now: deps.clock(),
      });
      return objections.map((error) => (error === null ? { ok: true, value: undefined } : { ok: false, error }));
    },
    key: ({ signer }) => signer.endpointId,
    atOnce: 2,
    patienceMs: 200,
    most: SCANS_TOGETHER,
  });
}

/** A package is installed once per architecture; a list that says otherwise is no inventory. */
export function refuseDoubles(scan: InventoryRequest): void {
  for (const part of ['packages', 'updates'] as const) {
    const seen = new Set<string>();
    for (const [i, { name, arch }] of scan[part].entries()) {
      const key = `${name} ${arch}`;
      if (seen.has(key)) throw invalidField(`${part}[${i}]`, `${name} (${arch}) is listed twice`);
      seen.add(key);
    }
  }
}
