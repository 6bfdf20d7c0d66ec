import { randomUUID } from 'node:crypto';
import type { AptRepository } from '../../adapters/content/apt/repository.js';
import type { SyncState } from '../../adapters/content/apt/sync.js';
import type { EpochMs } from '../../domain/time.js';
import type { Queryable } from '../pool.js';

export interface RepositoryRow {
  readonly repository: AptRepository;
  readonly name: string;
  /** Null before the first sync. */
  readonly state: SyncState | null;
  readonly lastSyncedAt: EpochMs | null;
  readonly lastError: string | null;
}

/** Configured repositories, all or one. */
export async function loadRepositories(
  db: Queryable,
  args: { readonly repositoryId?: string } = {},
): Promise<RepositoryRow[]> {
  const { rows } = await db.query(
    `SELECT id, name, config, state, last_synced_at, last_error FROM repository
      WHERE kind = 'apt' AND ($1::uuid IS NULL OR id = $1) ORDER BY name`,
    [args.repositoryId ?? null],
  );
  return rows.map((row) => ({
    repository: { ...row.config, id: row.id },
    name: row.name,
    state: 'releaseDate' in row.state ? row.state : null,
    lastSyncedAt: row.last_synced_at?.getTime() ?? null,
    lastError: row.last_error,
  }));
}

/** Adds repositories that are not known by their name; those that are stay as an operator may have set them. */
export async function addRepositories(
  db: Queryable,
  found: readonly (Omit<AptRepository, 'id'> & { readonly name: string })[],
): Promise<string[]> {
  const { rows } = await db.query<{ name: string }>(
    `INSERT INTO repository (id, name, kind, config)
     SELECT id, name, 'apt', config FROM unnest($1::uuid[], $2::text[], $3::jsonb[]) AS r (id, name, config)
     ON CONFLICT (name) DO NOTHING RETURNING name`,
    [
      found.map(() => randomUUID()),
      found.map((one) => one.name),
      found.map(({ name: _, ...config }) => JSON.stringify(config)),
    ],
  );
  return rows.map((row) => row.name);
}

/** Keeps why a sync failed, beside what was known before, which still stands. */
export async function recordSyncError(
  db: Queryable,
  args: { readonly repositoryId: string; readonly error: string },
): Promise<void> {
  await db.query('UPDATE repository SET last_error = $2 WHERE id = $1', [args.repositoryId, args.error]);
}
