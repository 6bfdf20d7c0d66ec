/** What a selector's schema can't see: whether the groups it names are there, and how they nest. */
import { listQuorumGroups, unknownGroups } from '../../db/groups/groups.js';
import { loadGroups } from '../../db/policy/load.js';
import type { Queryable } from '../../db/pool.js';
import { nestingFault } from '../../domain/fleet/group-loops.js';
import { changesWithTime, groupsNamed, type Selector } from '../../domain/fleet/selector.js';
import { conflict, invalid, invalidField } from '../http/problem.js';

/** @throws Problem 400 naming every group that does not exist, by the field that names it */
export async function requireGroups(db: Queryable, selector: Selector, field: string): Promise<void> {
  const named = groupsNamed(selector);
  const unknown = new Set(await unknownGroups(db, [...new Set(named.map(({ name }) => name))]));
  const errors = named.flatMap((one) =>
    unknown.has(one.name)
      ? [{ field: `${field}.${one.field}`, in: 'body' as const, reason: `no such group: ${one.name}` }]
      : [],
  );
  if (errors.length > 0) throw invalid(errors);
}

/**
 * Whether groups still nest well with one of them as stored now, in its transaction.
 * @throws Problem 400 for a loop, named, or too deep a nesting; 409 when a quorum group would change with time
 */
export async function requireSoundGroups(db: Queryable, name: string): Promise<void> {
  const groups = await loadGroups(db);
  const fault = nestingFault(groups, name);
  if (fault !== null) throw invalidField('selector', fault);
  for (const quorum of await listQuorumGroups(db)) {
    if (changesWithTime(quorum.selector, groups)) {
      throw conflict(
        `the quorum group ${quorum.name} uses this group, and may not change with time: leave out lastSeen`,
      );
    }
  }
}

/** Members of a quorum group are worked out when something changes; nothing does when only time passes. */
export async function refuseTime(db: Queryable, selector: Selector, field: string): Promise<void> {
  if (!changesWithTime(selector, await loadGroups(db))) return;
  throw invalidField(field, 'a quorum group may not change with time: leave out lastSeen, also in the groups it names');
}
