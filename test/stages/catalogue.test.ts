import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { createCatalogueActivities } from '../../activities/catalogue.js';
import type { CatalogueSink, SyncState } from '../../adapters/content/apt/sync.js';
import * as catalogueDb from '../../db/catalogue/index.js';
import { createCatalogueSink } from '../../db/catalogue/sync.js';
import { type CatalogueEntry, INDEX_READING } from '../../domain/content/index.js';
import { DAY } from '../../domain/time.js';
import { createDatabase, type TestDatabase } from '../helpers/postgres.js';
import { digestOf, NOW } from './fleet.js';

const STATE: SyncState = {
  config: 'c',
  etag: 'v1',
  lastModified: null,
  releaseDate: NOW,
  validUntil: null,
  indexes: {},
  reading: INDEX_READING,
};

function entry(name: string, version: string, changes: Partial<CatalogueEntry> = {}): CatalogueEntry {
  return {
    repositoryId: '',
    suite: 'stable',
    pocket: 'security',
    component: 'main',
    origin: 'Debian',
    name,
    arch: 'amd64',
    version,
    source: name,
    sourceVersion: version,
    sha256: digestOf(`${name} ${version}`),
    size: 1000,
    filename: `pool/${name}_${version}.deb`,
    section: null,
    priority: null,
    essential: false,
    protected: false,
    installedKiB: 5,
    summary: null,
    depends: '',
    provides: '',
    ...changes,
  };
}

describe('the catalogue', () => {
  let database: TestDatabase;
  let sink: CatalogueSink;
  let now = NOW;
  let id: string;

  const deps = (sync: Parameters<typeof createCatalogueActivities>[0]['sync']) =>
    createCatalogueActivities({
      pool: database.pool,
      db: catalogueDb,
      clock: () => now,
      sink,
      sync,
      discover: async () => ({
        repositories: [
          {
            name: 'http://deb.example/debian stable amd64',
            uri: 'http://deb.example/debian',
            suite: 'stable',
            components: ['main'],
            architecture: 'amd64',
            keyring: { files: ['/key'] },
          },
        ],
        problems: [],
      }),
    });
  /** A sync that finds just these packages. */
  const finds = (...batches: readonly CatalogueEntry[][]) =>
    deps(async (repository, _, to) => {
      const transaction = await to.begin(repository.id);
      for (const batch of batches) await transaction.add(batch);
      await transaction.commit(STATE);
      return { kind: 'synced', state: STATE, signers: [], indexes: [] };
    });
  const rows = async () =>
    (
      await database.pool.query(
        'SELECT name, version, sha256, first_seen, withdrawn_at FROM catalogue_package ORDER BY name, version',
      )
    ).rows;

  beforeEach(async () => {
    database = await createDatabase();
    now = NOW;
    sink = createCatalogueSink({ pool: database.pool, clock: () => now });
    await finds().registerDefaultRepositories();
    id = (await database.pool.query('SELECT id FROM repository')).rows[0].id;
  });
  afterEach(() => database.drop());

  test('takes over the configured repositories once, and leaves what an operator has set', async () => {
    await database.pool.query(`UPDATE repository SET config = config || '{"uri": "http://mirror.example"}'`);
    expect(await finds().registerDefaultRepositories()).toEqual({ added: [], problems: [] });
    const [row] = await catalogueDb.loadRepositories(database.pool);
    expect(row).toMatchObject({ repository: { id, uri: 'http://mirror.example', suite: 'stable' }, state: null });
  });

  test('what an index names is added; what it no longer names is kept, withdrawn; what comes back is offered again', async () => {
    await finds([entry('a', '1'), entry('b', '1')]).syncRepository({ repositoryId: id });
    now += DAY;
    await finds([entry('a', '1')], [entry('b', '2')]).syncRepository({ repositoryId: id });
    expect(await rows()).toMatchObject([
      { name: 'a', version: '1', first_seen: new Date(NOW), withdrawn_at: null },
      { name: 'b', version: '1', first_seen: new Date(NOW), withdrawn_at: new Date(now) },
      { name: 'b', version: '2', first_seen: new Date(now), withdrawn_at: null },
    ]);
    now += DAY;
    await finds([entry('a', '1'), entry('b', '1')]).syncRepository({ repositoryId: id });
    expect((await rows()).map((row) => [row.version, row.withdrawn_at !== null])).toEqual([
      ['1', false],
      ['1', false],
      ['2', true],
    ]);
  });

  test('a file that was built anew under the same version replaces the digest', async () => {
    await finds([entry('a', '1')]).syncRepository({ repositoryId: id });
    await finds([entry('a', '1', { sha256: digestOf('other') })]).syncRepository({ repositoryId: id });
    expect(await rows()).toMatchObject([{ sha256: digestOf('other'), first_seen: new Date(NOW) }]);
  });

  test('what is known of a package by less than is kept today is made whole, and stays as old as it is', async () => {
    await finds([entry('a', '1')]).syncRepository({ repositoryId: id });
    await database.pool.query(`UPDATE catalogue_package SET depends = NULL, provides = NULL`);
    now += DAY;
    await finds([entry('a', '1', { depends: 'b | c', provides: 'd (= 1), e, e' })]).syncRepository({
      repositoryId: id,
    });
    const { rows: whole } = await database.pool.query(
      'SELECT depends, provides, provided, first_seen FROM catalogue_package',
    );
    expect(whole).toEqual([
      { depends: 'b | c', provides: 'd (= 1), e, e', provided: ['d', 'e'], first_seen: new Date(NOW) },
    ]);
  });

  test('a repository that an earlier release read is looked at by the next refresh, however young that is', async () => {
    const { reading: _, ...earlier } = STATE;
    let syncs = 0;
    const counting = deps(async () => {
      syncs += 1;
      return { kind: 'unchanged', state: syncs === 1 ? earlier : STATE };
    });
    for (let i = 0; i < 3; i++) await counting.refreshCatalogue();
    expect(syncs).toBe(2);
  });

  test('an index of many batches is taken in whole', async () => {
    const many = Array.from({ length: 12_000 }, (_, i) => entry(`p${i}`, '1'));
    await finds(many.slice(0, 7_000), many.slice(7_000)).syncRepository({ repositoryId: id });
    expect(await rows()).toHaveLength(12_000);
  });

  test('a sync that fails leaves everything as it was, and says why', async () => {
    await finds([entry('a', '1')]).syncRepository({ repositoryId: id });
    const failing = deps(async (repository, _, to) => {
      const transaction = await to.begin(repository.id);
      await transaction.add([entry('z', '9')]);
      await transaction.rollback();
      throw new Error('InRelease: signed by an unknown key');
    });
    expect(await failing.syncRepository({ repositoryId: id })).toEqual({
      kind: 'failed',
      error: 'InRelease: signed by an unknown key',
    });
    expect((await rows()).map((row) => row.name)).toEqual(['a']);
    const [row] = await catalogueDb.loadRepositories(database.pool);
    expect(row).toMatchObject({ lastError: 'InRelease: signed by an unknown key', lastSyncedAt: NOW, state: STATE });
  });

  test('of two syncs at once the later one is refused, not mixed in', async () => {
    const first = await sink.begin(id);
    const second = await sink.begin(id);
    await first.add([entry('a', '1')]);
    await second.add([entry('b', '1')]);
    await first.commit(STATE);
    now += 1;
    await expect(second.commit(STATE)).rejects.toThrow('synced by somebody else');
    expect((await rows()).map((row) => row.name)).toEqual(['a']);
  });

  test('a refresh looks only at what is old or failed', async () => {
    let syncs = 0;
    const counting = deps(async (_, state) => {
      syncs += 1;
      return { kind: 'unchanged', state: state ?? STATE };
    });
    await counting.refreshCatalogue();
    await counting.refreshCatalogue();
    expect(syncs).toBe(1);
    now += 2 * 60 * 60 * 1_000;
    await counting.refreshCatalogue();
    expect(syncs).toBe(2);
    await database.pool.query(`UPDATE repository SET last_error = 'unreachable'`);
    await counting.refreshCatalogue();
    expect(syncs).toBe(3);
  });
});
