/** A dump back into a database whose schema is the dump's: everything that was there goes, in one transaction with what came. */
import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { createGunzip } from 'node:zlib';
import type pg from 'pg';
import { UpError } from '../up/errors.js';
import { copyIn } from './copy.js';
import { listTables, quotedName } from './dump.js';
import type { Manifest } from './manifest.js';

/**
 * In the caller's transaction, as the schema's owner. Our own triggers rest meanwhile: what they did is in the dump.
 * @throws UpError when the schema is not the dump's
 */
export async function loadDatabase(client: pg.ClientBase, folder: string, dump: Manifest['database']): Promise<void> {
  const here = await listTables(client);
  const dumped = new Map(dump.tables.map((table) => [table.name, table]));
  for (const { name, columns } of here) {
    const table = dumped.get(name);
    if (table !== undefined && [...table.columns].sort().join() !== [...columns].sort().join())
      throw new UpError(`table ${name} has other columns here than in the backup`);
  }
  const missing = dump.tables.find((table) => !here.some(({ name }) => name === table.name));
  if (missing !== undefined) throw new UpError(`there is no table ${missing.name} here`);

  const { rows: all } = await client.query<{ name: string }>(
    `SELECT c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE n.nspname = 'public' AND c.relkind = 'r' AND c.relname <> 'schema_migrations' ORDER BY 1`,
  );
  const names = all.map(({ name }) => `public.${quotedName(name)}`);
  for (const name of names) await client.query(`ALTER TABLE ${name} DISABLE TRIGGER USER`);
  await client.query(`TRUNCATE ${names.join(', ')}`);
  for (const { name } of here) {
    const table = dumped.get(name);
    if (table === undefined) continue;
    const source = createReadStream(join(folder, table.file)).pipe(createGunzip());
    await copyIn(
      client,
      `COPY public.${quotedName(name)} (${table.columns.map(quotedName).join(', ')}) FROM STDIN`,
      source,
    );
  }
  for (const { table, column, value } of dump.sequences) {
    await client.query(`SELECT setval(pg_get_serial_sequence('public.' || quote_ident($1), $2), $3::bigint)`, [
      table,
      column,
      value,
    ]);
  }
  // Whoever watched before is told to start afresh.
  await client.query('INSERT INTO feed_pruned (xid) VALUES (pg_current_xact_id())');
  for (const name of names) await client.query(`ALTER TABLE ${name} ENABLE TRIGGER USER`);
}
