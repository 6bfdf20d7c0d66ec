import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { listMigrations, migrate, SchemaTooNewError } from '../../db/migrate.js';
import { createDatabase, type TestDatabase } from '../helpers/postgres.js';

let database: TestDatabase;
let directory: string;

beforeEach(async () => {
  database = await createDatabase({ empty: true });
  directory = mkdtempSync(join(tmpdir(), 'ringmaster-migrations-'));
  write('0001-first', 'create table first (id int primary key); select pg_sleep(0.2);');
  write('0002-second', 'create table second (id int primary key);');
});

afterEach(async () => {
  rmSync(directory, { recursive: true, force: true });
  await database.drop();
});

const write = (name: string, sql: string) => writeFileSync(join(directory, `${name}.sql`), sql);
const run = () => migrate({ databaseUrl: database.url, directory });
const tables = async () => {
  const { rows } = await database.pool.query<{ name: string }>(
    "select relname as name from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace order by 1",
  );
  return rows.map((row) => row.name).filter((name) => name !== 'schema_migrations');
};

describe('migrate', () => {
  test('runs what is pending, once, in the order of the numbers', async () => {
    expect(await run()).toEqual(['0001-first', '0002-second']);
    expect(await run()).toEqual([]);
    write('0003-third', 'create table third (id int references second);');
    expect(await run()).toEqual(['0003-third']);
    expect(await tables()).toEqual(['first', 'second', 'third']);
  });

  test('racing starters: each migration runs once and none of them fails', async () => {
    const ran = await Promise.all([run(), run(), run(), run(), run()]);
    expect(ran.flat().sort()).toEqual(['0001-first', '0002-second']);
    expect(ran.filter((names) => names.length === 2)).toHaveLength(1);
  });

  test('an older release refuses a newer schema and changes nothing', async () => {
    write('0003-newer', 'create table newer (id int);');
    await run();
    rmSync(join(directory, '0003-newer.sql'));
    write('0004-mine', 'create table mine (id int);');
    await expect(run()).rejects.toThrow(SchemaTooNewError);
    await expect(run()).rejects.toThrow(/0003-newer/);
    expect(await tables()).not.toContain('mine');
  });

  test('a failing migration leaves nothing of its run, and the next run goes on', async () => {
    write('0003-broken', 'create table half (id int); select 1/0;');
    await expect(run()).rejects.toThrow(/division by zero/);
    expect(await tables()).toEqual([]);
    write('0003-broken', 'create table whole (id int);');
    await run();
    expect(await tables()).toEqual(['first', 'second', 'whole']);
  });

  test('a migration that comes before one already run is refused', async () => {
    await run();
    write('0001-a-forgotten-one', 'create table forgotten (id int);');
    await expect(run()).rejects.toThrow(/preceding already run/);
  });

  test('a comment that would make the runner skip part of a file is refused by name', async () => {
    write('0003-cut', 'create table kept (id int);\n-- Down Migration\ncreate table lost (id int);');
    await expect(run()).rejects.toThrow(/0003-cut.*Down migration/i);
  });

  test("this project's own migrations give the roles only their rights", async () => {
    expect(await migrate({ databaseUrl: database.url })).toEqual(listMigrations());
    const { rows } = await database.pool.query<{ allowed: boolean }>(
      "select has_table_privilege('ringmaster_api', 'audit_entry', 'delete') as allowed",
    );
    expect(rows).toEqual([{ allowed: false }]);
  });
});
