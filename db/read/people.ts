import type { Queryable } from '../pool.js';

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** Names of the accounts among these actors; whoever is no account (`token:ci`, `worker`) keeps its own. */
export async function actorNames(
  db: Queryable,
  actors: readonly (string | null)[],
): Promise<ReadonlyMap<string, string>> {
  const wanted = [...new Set(actors.filter((actor) => actor !== null))];
  const ids = wanted.filter((actor) => UUID.test(actor));
  const names = new Map(wanted.map((actor) => [actor, actor]));
  if (ids.length === 0) return names;
  const { rows } = await db.query<{ id: string; name: string }>(
    'SELECT id, name FROM account WHERE id = ANY($1::uuid[])',
    [ids],
  );
  for (const { id, name } of rows) names.set(id, name);
  return names;
}

/** The zone somebody wants times in. */
export async function zoneOf(db: Queryable, accountId: string): Promise<string> {
  const { rows } = await db.query<{ zone: string }>('SELECT zone FROM account WHERE id = $1', [accountId]);
  return rows[0]?.zone ?? 'UTC';
}
