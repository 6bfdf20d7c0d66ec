import type { Pool } from 'pg';
import type { Discovery } from '../adapters/content/apt/discover.js';
import type { AptRepository } from '../adapters/content/apt/repository.js';
import type { CatalogueSink, SyncOutcome, SyncState } from '../adapters/content/apt/sync.js';
import type * as CatalogueDb from '../db/catalogue/index.js';
import { INDEX_READING } from '../domain/content/index.js';
import type { EpochMs } from '../domain/time.js';

export interface CatalogueDeps {
  readonly pool: Pool;
  readonly db: typeof CatalogueDb;
  readonly clock: () => EpochMs;
  readonly sink: CatalogueSink;
  /** adapters/content/apt `syncRepository`, with its reader bound. */
  readonly sync: (repository: AptRepository, previous: SyncState | null, sink: CatalogueSink) => Promise<SyncOutcome>;
  /** adapters/content/apt `discoverRepositories`. */
  readonly discover: () => Promise<Discovery>;
}

export type RepositorySync =
  | { readonly kind: 'synced'; readonly entries: number; readonly refused: number }
  | { readonly kind: 'unchanged' }
  | { readonly kind: 'failed'; readonly error: string };

/** Repositories not looked at for this long are, when a change asks. */
const OLD_MS = 60 * 60 * 1_000;

/**
 * Keeps the catalogue: what can be believed about package files. A sync that fails leaves what was known as it was, and
 * the reason with the repository.
 */
export function createCatalogueActivities(deps: CatalogueDeps) {
  const { pool, db } = deps;

  const syncOne = async ({ repository, state }: CatalogueDb.RepositoryRow): Promise<RepositorySync> => {
    try {
      const outcome = await deps.sync(repository, state, deps.sink);
      if (outcome.kind === 'unchanged') {
        await deps.sink.saveState(repository.id, outcome.state);
        return { kind: 'unchanged' };
      }
      const total = (field: 'entries' | 'refused') => outcome.indexes.reduce((sum, index) => sum + index[field], 0);
      return { kind: 'synced', entries: total('entries'), refused: total('refused') };
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      await db.recordSyncError(pool, { repositoryId: repository.id, error: message });
      return { kind: 'failed', error: message };
    }
  };

  return {
    /** Takes over the package sources this server itself installs from. Those known already stay as they are. */
    async registerDefaultRepositories(): Promise<{ added: readonly string[]; problems: Discovery['problems'] }> {
      const { repositories, problems } = await deps.discover();
      return { added: await db.addRepositories(pool, repositories), problems };
    },

    async syncRepository({ repositoryId }: { readonly repositoryId: string }): Promise<RepositorySync> {
      const [row] = await db.loadRepositories(pool, { repositoryId });
      return row === undefined ? { kind: 'failed', error: `there is no repository ${repositoryId}` } : syncOne(row);
    },

    /** Syncs what was not synced for an hour (or `olderThanMs`), one after the other; never throws for a repository. */
    async refreshCatalogue(args: { readonly olderThanMs?: number } = {}): Promise<Record<string, RepositorySync>> {
      const due = deps.clock() - (args.olderThanMs ?? OLD_MS);
      const results: Record<string, RepositorySync> = {};
      for (const row of await db.loadRepositories(pool)) {
        const unread = row.state?.reading !== INDEX_READING;
        if (row.lastSyncedAt === null || row.lastSyncedAt <= due || row.lastError !== null || unread) {
          results[row.name] = await syncOne(row);
        }
      }
      return results;
    },
  };
}

export type CatalogueActivities = ReturnType<typeof createCatalogueActivities>;
