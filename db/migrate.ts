import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runner } from 'node-pg-migrate';
import pg from 'pg';

/** `db/migrations`, beside this file in the sources as in `dist/`. */
export const migrationsDirectory = join(dirname(fileURLToPath(import.meta.url)), 'migrations');

const MIGRATIONS_TABLE = 'schema_migrations';
/** Ours alone in this database; any constant will do, as long as every release uses the same. */
const LOCK_KEY = 823_041_977;

/** The database was migrated by a newer release than this one, which therefore must not touch it. */
export class SchemaTooNewError extends Error {
  override readonly name = 'SchemaTooNewError';
  constructor(readonly unknown: readonly string[]) {
    super(
      `the database has ${unknown.length === 1 ? 'a migration' : 'migrations'} this release does not know ` +
        `(${unknown.join(', ')}): it belongs to a newer Ringmaster. Start that release, or restore an older backup.`,
    );
  }
}

export type MigrateOptions = Readonly<{
  /** A role that owns the schema. */
  databaseUrl: string;
  /** Folder of `0001-name.sql`, `0002-name.sql`, …; default: this project's. */
  directory?: string;
  /** The last migration to run, by name; default: all. */
  upTo?: string;
  /** Longest wait for another starter's migration, in milliseconds. */
  lockTimeoutMs?: number;
}>;

/** The migrations in a folder, by name without `.sql`, in the order they run. */
export function listMigrations(directory = migrationsDirectory): string[] {
  return readdirSync(directory)
    .filter((file) => file.endsWith('.sql'))
    .map((file) => file.slice(0, -'.sql'.length))
    .sort();
}

/**
 * Brings the schema up to this release, forward only: all pending migrations in one transaction, or none.
 * Safe to call from any number of processes at once: they queue on an advisory lock and the later ones find nothing to do.
 * @returns the names of the migrations this call ran.
 * @throws SchemaTooNewError when the database knows migrations this release does not.
 * @throws the database's error when a migration fails; then nothing of this call stays.
 * @throws Error naming a migration file that can't be run forward only.
 */
export async function migrate(options: MigrateOptions): Promise<string[]> {
  const directory = options.directory ?? migrationsDirectory;
  const known = listMigrations(directory);
  for (const name of known) refuseSections(directory, name);
  const client = new pg.Client({ connectionString: options.databaseUrl, application_name: 'ringmaster-migrate' });
  // A lost connection already rejects the query in progress; the event would end the process on top of it.
  client.on('error', () => {});
  await client.connect();
  try {
    await client.query('select set_config($1, $2, false)', ['lock_timeout', `${options.lockTimeoutMs ?? 120_000}ms`]);
    // Session-level, not transaction-level: it must hold around the runner's own transaction. Ending the session frees it.
    await client.query('select pg_advisory_lock($1)', [LOCK_KEY]);
    await client.query('reset lock_timeout');
    const unknown = (await appliedMigrations(client)).filter((name) => !known.includes(name));
    if (unknown.length > 0) throw new SchemaTooNewError(unknown);
    if (known.length === 0) return [];
    const wanted = options.upTo === undefined ? known.length : known.indexOf(options.upTo) + 1;
    const count = wanted - (await appliedMigrations(client)).length;
    if (count <= 0) return [];
    const ran = await runner({
      dbClient: client,
      dir: directory,
      ignorePattern: '(?!.*\\.sql$).*',
      direction: 'up',
      count,
      migrationsTable: MIGRATIONS_TABLE,
      checkOrder: true,
      singleTransaction: true,
      noLock: true,
      log: () => {},
    });
    return ran.map((migration) => migration.name);
  } finally {
    await client.end();
  }
}

/** The runner would cut a file at such a comment and silently leave a part of it out; ours have one direction. */
function refuseSections(directory: string, name: string): void {
  const marker = /^\s*--[\s-]*(up|down)\s+migration/im.exec(readFileSync(join(directory, `${name}.sql`), 'utf8'));
  if (marker) throw new Error(`migration ${name}: a comment must not begin with "${marker[1]} migration"`);
}

async function appliedMigrations(client: pg.Client): Promise<string[]> {
  const { rows: found } = await client.query<{ table: string | null }>('select to_regclass($1)::text as table', [
    `public.${MIGRATIONS_TABLE}`,
  ]);
  if (!found[0]?.table) return [];
  const { rows } = await client.query<{ name: string }>(`select name from public.${MIGRATIONS_TABLE} order by id`);
  return rows.map((row) => row.name);
}
