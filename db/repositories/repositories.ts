import { randomUUID } from 'node:crypto';
import type { PoolClient } from 'pg';
import type { EpochMs } from '../../domain/time.js';
import type { Queryable } from '../pool.js';

/** Makes the repository, or changes its configuration; what was learnt under another configuration is asked for anew. */
export async function putRepository(
  client: PoolClient,
  args: { name: string; kind: 'apt'; config: object; now: EpochMs },
): Promise<string> {
  const { rows } = await client.query<{ id: string }>(
    `INSERT INTO repository AS r (id, name, kind, config, state) VALUES ($1, $2, $3, $4, jsonb_build_object('syncRequested', $5::bigint))
     ON CONFLICT (name) DO UPDATE SET config = excluded.config, kind = excluded.kind, state = r.state || excluded.state
     RETURNING id`,
    [randomUUID(), args.name, args.kind, JSON.stringify(args.config), args.now],
  );
  return rows[0]?.id ?? '';
}

/** Leaves a note for the worker to sync soon. @returns false when there is no such repository */
export async function requestSync(client: PoolClient, id: string, now: EpochMs): Promise<boolean> {
  const { rowCount } = await client.query(
    `UPDATE repository SET state = state || jsonb_build_object('syncRequested', $2::bigint) WHERE id = $1`,
    [id, now],
  );
  return rowCount === 1;
}

export async function listRepositories(db: Queryable): Promise<object[]> {
  const { rows } = await db.query<object>(
    `SELECT id, name, kind, config, last_synced_at AS "lastSyncedAt", last_error AS "lastError",
            state -> 'syncRequested' AS "syncRequested",
            (SELECT count(*) FROM catalogue_package c WHERE c.repository_id = r.id AND c.withdrawn_at IS NULL) AS packages
       FROM repository r ORDER BY name`,
  );
  return rows;
}
