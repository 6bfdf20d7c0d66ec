/** Our database as files: each table by COPY, all of one snapshot. */
import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { createGzip } from 'node:zlib';
import type pg from 'pg';
import { copyOut } from './copy.js';
import type { Manifest } from './manifest.js';

/** Not kept: who was signed in, who guessed how often, and the feed, whose places are this server's transaction ids. */
const LEFT_OUT = ['schema_migrations', 'web_session', 'rate_limit', 'feed_event', 'feed_pruned'];

export const quotedName = (name: string): string => `"${name.replaceAll('"', '""')}"`;

export interface Table {
  readonly name: string;
  readonly columns: readonly string[];
}

/** Tables with what can be written of them, those first that others point to. */
export async function listTables(client: pg.ClientBase): Promise<readonly Table[]> {
  const { rows } = await client.query<{ name: string; columns: string[]; needs: string[] }>(
    `SELECT c.relname AS name,
            (SELECT array_agg(a.attname::text ORDER BY a.attnum) FROM pg_attribute a
              WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '') AS columns,
            coalesce((SELECT array_agg(DISTINCT f.confrelid::regclass::text) FROM pg_constraint f
              WHERE f.conrelid = c.oid AND f.contype = 'f' AND f.confrelid <> c.oid), '{}') AS needs
       FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE n.nspname = 'public' AND c.relkind = 'r' AND NOT c.relname = ANY ($1) ORDER BY c.relname`,
    [LEFT_OUT],
  );
  const waiting = new Map(rows.map((row) => [row.name, row]));
  const sorted: Table[] = [];
  while (waiting.size > 0) {
    const free = [...waiting.values()].filter(({ needs }) => needs.every((need) => !waiting.has(need)));
    if (free.length === 0) throw new Error(`tables point to each other in a circle: ${[...waiting.keys()].join(', ')}`);
    for (const { name, columns } of free) {
      sorted.push({ name, columns });
      waiting.delete(name);
    }
  }
  return sorted;
}

/** Begins the snapshot that everything read later on this connection is of. */
export async function beginSnapshot(client: pg.ClientBase): Promise<number> {
  await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
  const { rows } = await client.query<{ at: string }>(
    'SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint::text AS at',
  );
  return Number(rows[0]?.at);
}

/** Writes `database/<table>.gz` below `folder`, on a connection whose snapshot was begun. */
export async function dumpDatabase(client: pg.ClientBase, folder: string): Promise<Manifest['database']> {
  const { rows: migrations } = await client.query<{ name: string }>('SELECT name FROM schema_migrations ORDER BY id');
  const tables = await listTables(client);
  for (const table of tables) await dumpTable(client, table, join(folder, fileOf(table.name)));
  return {
    migrations: migrations.map((row) => row.name),
    tables: tables.map(({ name, columns }) => ({ name, columns: [...columns], file: fileOf(name) })),
    sequences: await readSequences(client),
  };
}

const fileOf = (table: string) => `database/${table}.gz`;

async function dumpTable(client: pg.ClientBase, table: Table, file: string): Promise<void> {
  const zip = createGzip({ level: 5 });
  const out = createWriteStream(file, { mode: 0o600 });
  const written = new Promise<void>((resolve, reject) => {
    out.once('finish', resolve);
    for (const stream of [zip, out]) stream.once('error', reject);
  });
  written.catch(() => undefined);
  zip.pipe(out);
  const columns = table.columns.map(quotedName).join(', ');
  await copyOut(client, `COPY public.${quotedName(table.name)} (${columns}) TO STDOUT`, (chunk) =>
    zip.write(chunk) ? undefined : new Promise((resolve) => zip.once('drain', () => resolve())),
  );
  zip.end();
  await written;
}

async function readSequences(client: pg.ClientBase): Promise<Manifest['database']['sequences']> {
  const { rows } = await client.query<{ table: string; column: string; sequence: string }>(
    `SELECT c.relname AS table, a.attname AS column, pg_get_serial_sequence('public.' || quote_ident(c.relname), a.attname) AS sequence
       FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid
      WHERE n.nspname = 'public' AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped AND NOT c.relname = ANY ($1)
        AND pg_get_serial_sequence('public.' || quote_ident(c.relname), a.attname) IS NOT NULL ORDER BY 1, 2`,
    [LEFT_OUT],
  );
  const values: Manifest['database']['sequences'] = [];
  for (const { table, column, sequence } of rows) {
    const { rows: last } = await client.query<{ value: string }>(`SELECT last_value::text AS value FROM ${sequence}`);
    values.push({ table, column, value: last[0]?.value ?? '1' });
  }
  return values;
}
