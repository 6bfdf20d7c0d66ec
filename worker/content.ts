import { Readable } from 'node:stream';
import type { Pool } from 'pg';
import type { CatalogueActivities } from '../activities/catalogue.js';
import { createCatalogueActivities } from '../activities/catalogue.js';
import type { ContentSource } from '../activities/stage-deps.js';
import {
  createPackageFetcher,
  createRepositoryReader,
  discoverRepositories,
  syncRepository,
} from '../adapters/content/apt/index.js';
import { readChangelog } from '../adapters/content/changelog.js';
import { type ContentStore, openContentStore } from '../adapters/content/store.js';
import * as catalogueDb from '../db/catalogue/index.js';
import type { EpochMs } from '../domain/time.js';
import type { WorkerSettings } from './settings.js';

/** The content store, the configured repositories, and how the one is filled from the other. */
export async function composeContent(args: {
  readonly pool: Pool;
  readonly clock: () => EpochMs;
  readonly settings: Pick<WorkerSettings, 'contentDir' | 'watched' | 'diskReserveBytes'>;
}): Promise<{
  readonly store: ContentStore;
  readonly content: ContentSource;
  readonly catalogue: CatalogueActivities;
}> {
  const { pool, clock, settings } = args;
  const store = await openContentStore({
    root: settings.contentDir,
    reserveBytes: settings.diskReserveBytes,
    // Its own is looked at in any case.
    alsoSpare: settings.watched.filter(({ path }) => path !== settings.contentDir),
  });
  const reader = createRepositoryReader();
  const fetcher = createPackageFetcher({
    store,
    reader,
    repository: async (repositoryId) =>
      (await catalogueDb.loadRepositories(pool, { repositoryId }))[0]?.repository ?? null,
  });
  return {
    store,
    content: {
      fetchPackage: (wanted) => fetcher.fetchPackage(wanted),
      keep: async ({ sha256, what, bytes }) => {
        await store.put({ sha256, size: bytes.length, what, stream: Readable.from([bytes]) });
      },
      ensureSpace: (bytes) => store.ensureSpace(bytes),
      size: (sha256) => store.size(sha256),
      touch: (file) => store.touch(file),
      readChangelog: (file) => readChangelog(store, file),
    },
    catalogue: createCatalogueActivities({
      pool,
      db: catalogueDb,
      clock,
      sink: catalogueDb.createCatalogueSink({ pool, clock }),
      sync: (repository, previous, sink) => syncRepository(repository, previous, { reader, sink, now: clock }),
      discover: () => discoverRepositories({}),
    }),
  };
}
