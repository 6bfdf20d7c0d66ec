import type { Group } from '../../domain/fleet/selector.js';
import type { PolicyDocument, PolicySet } from '../../domain/policy/policy-set.js';
import type { Queryable } from '../pool.js';

/** Every policy set in force, in its current version. */
export async function loadPolicies(db: Queryable): Promise<PolicySet[]> {
  const { rows } = await db.query<{
    id: string;
    version: number;
    name: string;
    precedence: number;
    document: PolicyDocument;
  }>(
    `SELECT DISTINCT ON (id) id, version, name, precedence, document
       FROM policy_set WHERE retired_at IS NULL ORDER BY id, version DESC`,
  );
  return rows;
}

/** Every group by its name, as selectors refer to it. */
export async function loadGroups(db: Queryable): Promise<Map<string, Group>> {
  const { rows } = await db.query<Group>('SELECT name, selector FROM endpoint_group');
  return new Map(rows.map((group) => [group.name, group]));
}
