import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { adoptDatabase, keepPasswords } from '../../cli/up/database-roles.js';
import { createDatabase, type TestDatabase, testPostgres } from '../helpers/postgres.js';

let database: TestDatabase;
let keysDir: string;
beforeEach(async () => {
  database = await createDatabase({ empty: true });
  keysDir = mkdtempSync(join(tmpdir(), 'ringmaster-keys-'));
});
afterEach(async () => {
  rmSync(keysDir, { recursive: true, force: true });
  await database.drop();
});

describe("a database of the operator's own", () => {
  test('is used as it is when every URL is given', async () => {
    const urls = { databaseUrl: database.url, apiUrl: 'postgresql://a@h/d', workerUrl: 'postgresql://w@h/d' };
    expect(await adoptDatabase({ ...urls, keysDir })).toEqual({
      owner: database.url,
      api: urls.apiUrl,
      worker: urls.workerUrl,
    });
  });

  test('roles made by an earlier start are used again', async () => {
    const { passwords } = await testPostgres();
    writeFileSync(join(keysDir, 'database.json'), JSON.stringify(passwords));
    expect(await adoptDatabase({ databaseUrl: database.url, keysDir })).toEqual({
      owner: database.url,
      api: database.apiUrl,
      worker: database.workerUrl,
    });
  });

  test("roles of somebody else's installation are not touched, and the error names what to set", async () => {
    const error = await adoptDatabase({ databaseUrl: database.url, keysDir }).catch((reason: unknown) => reason);
    expect(error).toMatchObject({
      message: expect.stringMatching(/ringmaster_api exists, with a password not kept here/),
    });
    expect(error).toMatchObject({
      help: expect.arrayContaining([expect.stringMatching(/RINGMASTER_API_DATABASE_URL/)]),
    });
    await expect(database.pool.query('select 1')).resolves.toBeDefined();
  });

  test('a damaged password file is reported, never replaced', () => {
    writeFileSync(join(keysDir, 'database.json'), '{"owner":');
    expect(() => keepPasswords(keysDir)).toThrow(/database\.json is damaged/);
  });
});
