/** Work groups divided by the exceptions of their endpoints. Costs one query where there are no exceptions. */
import type { WorkGroup } from '../../../db/plan/work-groups.js';
import type * as StageDb from '../../../db/stages.js';
import { type Exception, exceptionsByEndpoint, splitByExceptions } from '../../../domain/exception/exception.js';
import type { KindContext } from '../change-kind.js';

export interface ExceptedGroup {
  readonly group: WorkGroup;
  readonly exceptions: readonly Exception[];
}

export async function divideByExceptions(
  context: Pick<KindContext<unknown>, 'client' | 'now'> & { readonly db: typeof StageDb },
  groups: readonly WorkGroup[],
): Promise<ExceptedGroup[]> {
  const { db, client, now } = context;
  const exceptions = await db.loadExceptions(client, now);
  if (exceptions.length === 0) return groups.map((group) => ({ group, exceptions: [] }));
  const [endpoints, named] = await Promise.all([
    db.loadSelectables(client, { endpointIds: groups.flatMap((group) => group.endpointIds) }),
    db.loadGroups(client),
  ]);
  const byEndpoint = exceptionsByEndpoint({ exceptions, endpoints, groups: named, now });
  return groups.flatMap((group) =>
    splitByExceptions(group.endpointIds, byEndpoint).map((part) => ({
      group: { ...group, endpointIds: part.endpointIds },
      exceptions: part.exceptions,
    })),
  );
}
