import { type PatchInputs, versionsToLookUp } from '../../domain/patch/plan.js';
import { loadSourceFixes } from '../catalogue/fixes.js';
import { lookUpPackages } from '../catalogue/lookup.js';
import type { Queryable } from '../pool.js';
import { loadWorkGroups } from './work-groups.js';

/** What planning patches for these endpoints has to read: four queries, whatever their number. */
export async function loadPatchInputs(db: Queryable, endpointIds: readonly string[]): Promise<PatchInputs> {
  const groups = await loadWorkGroups(db, endpointIds);
  const catalogue = await lookUpPackages(db, versionsToLookUp(groups));
  const sources = [...new Set([...catalogue.values()].map((found) => found.source))];
  return { groups, catalogue, fixes: await loadSourceFixes(db, sources) };
}
