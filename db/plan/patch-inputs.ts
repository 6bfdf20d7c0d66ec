import { exceptionsByEndpoint, splitByExceptions } from '../../domain/exception/exception.js';
import type { WorkGroup } from '../../domain/patch/model.js';
import { type ExceptedGroup, type PatchInputs, versionsToLookUp } from '../../domain/patch/plan.js';
import type { EpochMs } from '../../domain/time.js';
import { loadSourceFixes } from '../catalogue/fixes.js';
import { lookUpPackages } from '../catalogue/lookup.js';
import { loadSelectables } from '../endpoints/selectable.js';
import { loadExceptions } from '../exceptions/exceptions.js';
import { loadGroups } from '../policy/load.js';
import type { Queryable } from '../pool.js';

/** What planning patches for these groups has to read: a handful of queries, whatever their number. */
export async function loadPatchInputs(
  db: Queryable,
  args: { readonly groups: readonly WorkGroup[]; readonly now: EpochMs },
): Promise<PatchInputs> {
  const { groups } = args;
  const catalogue = await lookUpPackages(db, versionsToLookUp(groups));
  const sources = [...new Set([...catalogue.values()].map((found) => found.source))];
  const [fixes, divided] = await Promise.all([
    loadSourceFixes(db, sources),
    divideByExceptions(db, { groups, now: args.now }),
  ]);
  return { groups: divided, catalogue, fixes };
}

/** Work groups divided by the exceptions of their endpoints. Costs one query where there are no exceptions. */
async function divideByExceptions(
  db: Queryable,
  args: { readonly groups: readonly WorkGroup[]; readonly now: EpochMs },
): Promise<ExceptedGroup[]> {
  const { groups, now } = args;
  const exceptions = await loadExceptions(db, now);
  if (exceptions.length === 0) return groups.map((group) => ({ group, exceptions: [] }));
  const [endpoints, named] = await Promise.all([
    loadSelectables(db, { endpointIds: groups.flatMap((group) => group.endpointIds) }),
    loadGroups(db),
  ]);
  const byEndpoint = exceptionsByEndpoint({ exceptions, endpoints, groups: named, now });
  return groups.flatMap((group) =>
    splitByExceptions(group.endpointIds, byEndpoint).map((part) => ({
      group: { ...group, endpointIds: part.endpointIds },
      exceptions: part.exceptions,
    })),
  );
}
