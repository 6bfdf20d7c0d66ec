/** Groups of endpoints, and quorum groups with their members worked out. */
import { randomUUID } from 'node:crypto';
import type { PoolClient } from 'pg';
import { groupsNamed, matches, type Selector } from '../../domain/fleet/selector.js';
import { loadSelectables } from '../endpoints/selectable.js';
import { loadGroups } from '../policy/load.js';
import type { Queryable } from '../pool.js';

export interface GroupRow {
  readonly id: string;
  readonly name: string;
  readonly selector: Selector;
}

/** Makes the group, or gives it another selector. @returns its id */
export async function putGroup(client: PoolClient, group: { name: string; selector: Selector }): Promise<string> {
  const { rows } = await client.query<{ id: string }>(
    `INSERT INTO endpoint_group (id, name, selector) VALUES ($1, $2, $3)
     ON CONFLICT (name) DO UPDATE SET selector = excluded.selector RETURNING id`,
    [randomUUID(), group.name, JSON.stringify(group.selector)],
  );
  return rows[0]?.id ?? '';
}

export async function listGroups(db: Queryable, name: string | null = null): Promise<GroupRow[]> {
  const { rows } = await db.query<GroupRow>(
    'SELECT id, name, selector FROM endpoint_group WHERE $1::text IS NULL OR name = $1 ORDER BY name',
    [name],
  );
  return rows;
}

/** Which of the names no group has. */
export async function unknownGroups(db: Queryable, names: readonly string[]): Promise<string[]> {
  if (names.length === 0) return [];
  const { rows } = await db.query<{ name: string }>(
    'SELECT wanted AS name FROM unnest($1::text[]) AS wanted WHERE NOT EXISTS (SELECT FROM endpoint_group WHERE name = wanted)',
    [names],
  );
  return rows.map((row) => row.name);
}

/** Serialises whoever changes which group names which: two at once could close a loop neither of them sees. */
export async function lockGroups(client: PoolClient): Promise<void> {
  await client.query(`SELECT pg_advisory_xact_lock(hashtextextended('endpoint_group', 0))`);
}

/** Something stored that names a group. */
export interface GroupUser {
  readonly what:
    | 'group'
    | 'quorum group'
    | 'policy set'
    | 'schedule'
    | 'open change'
    | 'exception'
    | 'baseline assignment'
    | 'notice rule'
    | 'expedite policy'
    | 'zero-day';
  readonly name: string;
}

/** Everything in force that names the group: it would select less, or nothing, without it. */
export async function usersOfGroup(db: Queryable, name: string): Promise<GroupUser[]> {
  const { rows } = await db.query<{ what: GroupUser['what']; name: string; selectors: (Selector | null)[] }>(
    `SELECT 'group' AS what, name, jsonb_build_array(selector) AS selectors FROM endpoint_group
     UNION ALL SELECT 'quorum group', name, jsonb_build_array(selector) FROM quorum_group
     UNION ALL SELECT 'policy set', name, jsonb_build_array(document -> 'appliesTo') FROM policy_set WHERE retired_at IS NULL
     UNION ALL SELECT 'exception', reason, jsonb_build_array(selector) FROM exception
                WHERE revoked_at IS NULL AND expires_at > now()
     UNION ALL SELECT 'baseline assignment', name, jsonb_build_array(applies_to, trial -> 'appliesTo') || ${ringSelectors('enforcement')}
                 FROM baseline_assignment
     UNION ALL SELECT 'notice rule', name, jsonb_build_array(document -> 'appliesTo') FROM notice_rule
     UNION ALL SELECT 'schedule', name, jsonb_build_array(spec -> 'scope') || ${ringSelectors('spec')} FROM schedule WHERE retired_at IS NULL
     UNION ALL SELECT 'open change', name, jsonb_build_array(spec -> 'scope') || ${ringSelectors('spec')} FROM change WHERE closed_at IS NULL
     UNION ALL SELECT 'expedite policy', 'in force', ${ringSelectors('document')}
                 FROM expedite_policy WHERE version = (SELECT max(version) FROM expedite_policy)
     UNION ALL SELECT 'zero-day', name, jsonb_build_array(scope) FROM zero_day WHERE ended_at IS NULL
      ORDER BY 1, 2`,
  );
  return rows
    .filter(({ selectors }) =>
      selectors.some((one) => one !== null && groupsNamed(one).some((named) => named.name === name)),
    )
    .map(({ what, name: user }) => ({ what, name: user }));
}

/** SQL: every selector of the rings in a JSON column, as one list; an empty one where the column is null. */
const ringSelectors = (column: string): string =>
  `coalesce(jsonb_path_query_array(${column}, '$.rings[*].select') || jsonb_path_query_array(${column}, '$.rings[*].hostOrder[*]'), '[]')`;

/** @returns its id; null when there is none of that name */
export async function deleteGroup(client: PoolClient, name: string): Promise<string | null> {
  const { rows } = await client.query<{ id: string }>('DELETE FROM endpoint_group WHERE name = $1 RETURNING id', [
    name,
  ]);
  return rows[0]?.id ?? null;
}

export interface QuorumRow extends GroupRow {
  readonly maxUnavailable: number;
  readonly members: number;
}

export async function listQuorumGroups(db: Queryable, name: string | null = null): Promise<QuorumRow[]> {
  const { rows } = await db.query<QuorumRow>(
    `SELECT id, name, selector, max_unavailable AS "maxUnavailable",
            (SELECT count(*) FROM quorum_member m WHERE m.quorum_id = q.id) AS members
       FROM quorum_group q WHERE $1::text IS NULL OR name = $1 ORDER BY name`,
    [name],
  );
  return rows;
}

/** @returns its id; null when there is none of that name */
export async function deleteQuorumGroup(client: PoolClient, name: string): Promise<string | null> {
  const { rows } = await client.query<{ id: string }>('DELETE FROM quorum_group WHERE name = $1 RETURNING id', [name]);
  return rows[0]?.id ?? null;
}

/** Makes the quorum group, or changes it, and works out its members. @returns id and number of members */
export async function putQuorumGroup(
  client: PoolClient,
  group: { name: string; selector: Selector; maxUnavailable: number },
): Promise<{ id: string; members: number }> {
  const { rows } = await client.query<{ id: string }>(
    `INSERT INTO quorum_group (id, name, selector, max_unavailable) VALUES ($1, $2, $3, $4)
     ON CONFLICT (name) DO UPDATE SET selector = excluded.selector, max_unavailable = excluded.max_unavailable RETURNING id`,
    [randomUUID(), group.name, JSON.stringify(group.selector), group.maxUnavailable],
  );
  const id = rows[0]?.id ?? '';
  await refreshQuorumMembers(client);
  const { rows: counted } = await client.query<{ members: number }>(
    'SELECT count(*) AS members FROM quorum_member WHERE quorum_id = $1',
    [id],
  );
  return { id, members: counted[0]?.members ?? 0 };
}

/**
 * Works out who belongs to which quorum group, after selectors, groups or labels changed; of one endpoint, or of all. Does
 * nothing where there are no quorum groups. Call it in the transaction of the change.
 */
export async function refreshQuorumMembers(client: PoolClient, endpointId: string | null = null): Promise<void> {
  const { rows: quorums } = await client.query<{ id: string; selector: Selector }>(
    'SELECT id, selector FROM quorum_group ORDER BY id FOR SHARE',
  );
  if (quorums.length === 0) return;
  const groups = await loadGroups(client);
  const endpoints = await loadSelectables(client, endpointId === null ? {} : { endpointIds: [endpointId] });
  const pairs = quorums.flatMap(({ id, selector }) =>
    endpoints
      .filter((endpoint) => matches({ endpoint, selector, groups }))
      .map((endpoint) => [id, endpoint.id] as const),
  );
  await client.query(
    `WITH wanted AS (SELECT * FROM unnest($1::uuid[], $2::uuid[]) AS t(quorum_id, endpoint_id)),
     gone AS (DELETE FROM quorum_member m WHERE ($3::uuid IS NULL OR m.endpoint_id = $3)
                AND NOT EXISTS (SELECT FROM wanted w WHERE w.quorum_id = m.quorum_id AND w.endpoint_id = m.endpoint_id))
     INSERT INTO quorum_member (quorum_id, endpoint_id) SELECT * FROM wanted ON CONFLICT DO NOTHING`,
    [pairs.map(([quorum]) => quorum), pairs.map(([, endpoint]) => endpoint), endpointId],
  );
}
