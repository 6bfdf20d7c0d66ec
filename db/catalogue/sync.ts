import type { Pool, PoolClient } from 'pg';
import type { CatalogueSink, CatalogueTransaction, SyncState } from '../../adapters/content/apt/sync.js';
import { type CatalogueEntry, relationsOf } from '../../domain/content/index.js';
import type { EpochMs } from '../../domain/time.js';
import { inTransaction } from '../pool.js';

/** Rows of one statement; enough that round trips don't count, few enough that no parameter grows huge. */
const BATCH = 5_000;

interface KnownRow {
  readonly sha256: string;
  readonly filename: string;
  readonly withdrawn: boolean;
  /** What it needs is known. */
  readonly read: boolean;
}

/**
 * Where a sync's entries go. Entries are compared with what is known as they arrive and only differences are kept, in
 * memory, until the commit: no transaction stays open while an index travels, and nothing is believed by half.
 */
export function createCatalogueSink(deps: { readonly pool: Pool; readonly clock: () => EpochMs }): CatalogueSink {
  const { pool, clock } = deps;
  return {
    begin: (repositoryId) => begin({ pool, clock, repositoryId }),
    async saveState(repositoryId, state) {
      await pool.query(
        `UPDATE repository SET state = $2, last_synced_at = to_timestamp($3 / 1000.0), last_error = NULL WHERE id = $1`,
        [repositoryId, JSON.stringify(state), clock()],
      );
    },
  };
}

const keyOf = (entry: { suite: string; name: string; arch: string; version: string }): string =>
  `${entry.suite} ${entry.name} ${entry.arch} ${entry.version}`;

async function begin(at: {
  readonly pool: Pool;
  readonly clock: () => EpochMs;
  readonly repositoryId: string;
}): Promise<CatalogueTransaction> {
  const { pool, repositoryId } = at;
  const { rows } = await pool.query('SELECT last_synced_at FROM repository WHERE id = $1', [repositoryId]);
  if (rows[0] === undefined) throw new Error(`there is no repository ${repositoryId}`);
  const syncedBefore: Date | null = rows[0].last_synced_at;
  const known = await loadKnown(pool, repositoryId);
  const unseen = new Set([...known].flatMap(([key, row]) => (row.withdrawn ? [] : [key])));
  const changed = new Map<string, CatalogueEntry>();
  return {
    async add(entries) {
      for (const entry of entries) {
        const key = keyOf(entry);
        const before = known.get(key);
        unseen.delete(key);
        const same =
          before?.sha256 === entry.sha256 && before.filename === entry.filename && !before.withdrawn && before.read;
        if (!same) changed.set(key, entry);
      }
    },
    commit: (state) =>
      inTransaction(pool, async (client) => {
        const { rows: now } = await client.query('SELECT last_synced_at FROM repository WHERE id = $1 FOR UPDATE', [
          repositoryId,
        ]);
        if (now[0]?.last_synced_at?.getTime() !== syncedBefore?.getTime()) {
          throw new Error(`repository ${repositoryId} was synced by somebody else meanwhile`);
        }
        await writeChanged(client, { ...at, entries: [...changed.values()] });
        await withdraw(client, { ...at, keys: [...unseen] });
        await client.query(
          `UPDATE repository SET state = $2, last_synced_at = to_timestamp($3 / 1000.0), last_error = NULL WHERE id = $1`,
          [repositoryId, JSON.stringify(state satisfies SyncState), at.clock()],
        );
      }),
    async rollback() {
      changed.clear();
      unseen.clear();
    },
  };
}

async function loadKnown(pool: Pool, repositoryId: string): Promise<Map<string, KnownRow>> {
  const { rows } = await pool.query(
    `SELECT suite, name, arch, version, sha256, filename, withdrawn_at IS NOT NULL AS withdrawn, depends IS NOT NULL AS read
       FROM catalogue_package WHERE repository_id = $1`,
    [repositoryId],
  );
  return new Map(rows.map((row) => [keyOf(row), row]));
}

async function writeChanged(
  client: PoolClient,
  args: { readonly repositoryId: string; readonly clock: () => EpochMs; readonly entries: readonly CatalogueEntry[] },
): Promise<void> {
  for (let from = 0; from < args.entries.length; from += BATCH) {
    const batch = args.entries.slice(from, from + BATCH);
    await client.query(
      `INSERT INTO catalogue_package (repository_id, name, arch, version, suite, source, source_version, sha256, size, filename,
                                      detail, first_seen, depends, provides, provided)
       SELECT $1, p.name, p.arch, p.version, p.suite, p.source, p.source_version, p.sha256, p.size, p.filename, p.detail,
              to_timestamp($2 / 1000.0), p.depends, p.provides, ARRAY(SELECT jsonb_array_elements_text(p.provided))
         FROM unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::bigint[],
                     $11::text[], $12::jsonb[], $13::text[], $14::text[], $15::jsonb[])
                AS p (name, arch, version, suite, source, source_version, sha256, size, filename, detail, depends, provides, provided)
       ON CONFLICT (repository_id, suite, name, arch, version) DO UPDATE
          SET source = excluded.source, source_version = excluded.source_version, sha256 = excluded.sha256,
              size = excluded.size, filename = excluded.filename, detail = excluded.detail, withdrawn_at = NULL,
              depends = excluded.depends, provides = excluded.provides, provided = excluded.provided`,
      [
        args.repositoryId,
        args.clock(),
        batch.map((e) => e.name),
        batch.map((e) => e.arch),
        batch.map((e) => e.version),
        batch.map((e) => e.suite),
        batch.map((e) => e.source),
        batch.map((e) => e.sourceVersion),
        batch.map((e) => e.sha256),
        batch.map((e) => e.size),
        batch.map((e) => e.filename),
        batch.map(detailOf),
        batch.map((e) => e.depends),
        batch.map((e) => e.provides),
        batch.map((e) => JSON.stringify([...new Set(relationsOf(e.provides).map(({ name }) => name))])),
      ],
    );
  }
}

function detailOf(entry: CatalogueEntry): string {
  const { pocket, component, origin, section, priority, essential, installedKiB, summary } = entry;
  return JSON.stringify({
    pocket,
    component,
    origin,
    section,
    priority,
    essential,
    protected: entry.protected,
    installedKiB,
    summary,
  });
}

/** What the index no longer names is kept: it may be what an endpoint has installed, and the way back to it. */
async function withdraw(
  client: PoolClient,
  args: { readonly repositoryId: string; readonly clock: () => EpochMs; readonly keys: readonly string[] },
): Promise<void> {
  for (let from = 0; from < args.keys.length; from += BATCH) {
    const parts = args.keys.slice(from, from + BATCH).map((key) => key.split(' '));
    await client.query(
      `UPDATE catalogue_package p SET withdrawn_at = to_timestamp($2 / 1000.0)
         FROM unnest($3::text[], $4::text[], $5::text[], $6::text[]) AS gone (suite, name, arch, version)
        WHERE p.repository_id = $1 AND p.suite = gone.suite AND p.name = gone.name AND p.arch = gone.arch
          AND p.version = gone.version AND p.withdrawn_at IS NULL`,
      [args.repositoryId, args.clock(), ...[0, 1, 2, 3].map((column) => parts.map((part) => part[column]))],
    );
  }
}
