import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { z } from 'zod';
import { UpError } from './errors.js';

export const DATABASE = 'ringmaster';
const ROLES = { owner: 'ringmaster_owner', api: 'ringmaster_api', worker: 'ringmaster_worker' } as const;

const passwordsSchema = z.object({
  superuser: z.string().min(16),
  owner: z.string().min(16),
  api: z.string().min(16),
  worker: z.string().min(16),
});

export type DatabasePasswords = z.infer<typeof passwordsSchema>;

/** How each program reaches the database. */
export type DatabaseUrls = Readonly<{ owner: string; api: string; worker: string }>;

export function generatePasswords(): DatabasePasswords {
  const password = () => randomBytes(24).toString('base64url');
  return { superuser: password(), owner: password(), api: password(), worker: password() };
}

/**
 * Reads `<keysDir>/database.json`, or makes it (mode 0600) before anything depends on it.
 * @throws UpError when the file is there but damaged: making new passwords would lock everybody out.
 */
export function keepPasswords(keysDir: string): DatabasePasswords {
  const path = join(keysDir, 'database.json');
  if (!existsSync(path)) {
    const passwords = generatePasswords();
    writeFileSync(`${path}.new`, `${JSON.stringify(passwords)}\n`, { mode: 0o600 });
    renameSync(`${path}.new`, path);
    return passwords;
  }
  try {
    return passwordsSchema.parse(JSON.parse(readFileSync(path, 'utf8')));
  } catch (cause) {
    throw new UpError(`${path} is damaged`, ['Restore it from a backup: it holds the database passwords.'], { cause });
  }
}

/**
 * In our own server: makes roles and database where missing, and sets the passwords. The owner migrates; `api` and
 * `worker` get only what migrations grant them.
 */
export async function prepareDatabase(superuserUrl: string, passwords: DatabasePasswords): Promise<DatabaseUrls> {
  const client = new pg.Client({ connectionString: superuserUrl });
  await client.connect();
  try {
    for (const key of ['owner', 'api', 'worker'] as const) await setRole(client, ROLES[key], passwords[key]);
    const { rowCount } = await client.query('select from pg_database where datname = $1', [DATABASE]);
    if (rowCount === 0) {
      await client.query(`create database ${DATABASE} owner ${ROLES.owner}`);
    }
    await restrictDatabase(client, DATABASE);
  } finally {
    await client.end();
  }
  return urlsOf({ base: superuserUrl, database: DATABASE, passwords });
}

/** Only our three roles may connect. `database` must be a plain identifier. */
export async function restrictDatabase(client: pg.ClientBase, database: string): Promise<void> {
  await client.query(`revoke all on database ${database} from public`);
  await client.query(`grant connect, temporary on database ${database} to ${ROLES.api}, ${ROLES.worker}`);
}

/** Creates or updates a login role; the statement is put together by the server's own quoting. */
export async function setRole(client: pg.ClientBase, role: string, password: string): Promise<void> {
  const { rowCount } = await client.query('select from pg_roles where rolname = $1', [role]);
  const verb = rowCount === 0 ? 'create' : 'alter';
  const { rows } = await client.query<{ statement: string }>(
    "select format($1 || ' role %I login nosuperuser nocreatedb nocreaterole password %L', $2::text, $3::text) as statement",
    [verb, role, password],
  );
  await client.query((rows[0] as { statement: string }).statement);
}

/** The same server as `base`, as each of the roles. */
export function urlsOf(
  options: Readonly<{ base: string; database: string; passwords: Omit<DatabasePasswords, 'superuser'> }>,
): DatabaseUrls {
  const urlFor = (key: keyof DatabaseUrls) => {
    const url = new URL(options.base);
    url.username = ROLES[key];
    url.password = options.passwords[key];
    url.pathname = `/${options.database}`;
    return url.href;
  };
  return { owner: urlFor('owner'), api: urlFor('api'), worker: urlFor('worker') };
}

/**
 * With a server of the operator's own (`DATABASE_URL`, a role that owns the schema): `api` and `worker` connect by the
 * URLs given for them, else as roles made here, which needs the right to create roles. An existing role whose
 * password we don't keep is never changed: it may belong to another installation in the same server.
 * @throws UpError saying which URL or right is missing.
 */
export async function adoptDatabase(
  options: Readonly<{
    databaseUrl: string;
    apiUrl?: string | undefined;
    workerUrl?: string | undefined;
    keysDir: string;
  }>,
): Promise<DatabaseUrls> {
  const { databaseUrl, apiUrl, workerUrl } = options;
  if (apiUrl && workerUrl) return { owner: databaseUrl, api: apiUrl, worker: workerUrl };
  const passwords = keepPasswords(options.keysDir);
  const database = decodeURIComponent(new URL(databaseUrl).pathname.slice(1)) || 'postgres';
  const made = urlsOf({ base: databaseUrl, database, passwords });
  const wanted = [
    ...(apiUrl ? [] : [{ role: ROLES.api, password: passwords.api, url: made.api }]),
    ...(workerUrl ? [] : [{ role: ROLES.worker, password: passwords.worker, url: made.worker }]),
  ];
  const client = new pg.Client({ connectionString: databaseUrl, connectionTimeoutMillis: 5_000 });
  client.on('error', () => {});
  try {
    await client.connect();
    for (const { role, password, url } of wanted) {
      const { rowCount } = await client.query('select from pg_roles where rolname = $1', [role]);
      if (rowCount === 0) await setRole(client, role, password);
      else if (!(await canConnect(url))) throw new Error(`role ${role} exists, with a password not kept here`);
    }
  } catch (cause) {
    throw new UpError(
      `cannot prepare the database of DATABASE_URL: ${cause instanceof Error ? cause.message : cause}`,
      [
        'DATABASE_URL must be reachable, and its role own the schema and be allowed to create roles.',
        `Or make the roles ${ROLES.api} and ${ROLES.worker} yourself, and set RINGMASTER_API_DATABASE_URL and RINGMASTER_WORKER_DATABASE_URL.`,
      ],
      { cause },
    );
  } finally {
    await client.end().catch(() => {});
  }
  return { owner: databaseUrl, api: apiUrl ?? made.api, worker: workerUrl ?? made.worker };
}

async function canConnect(url: string): Promise<boolean> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000 });
  client.on('error', () => {});
  return client.connect().then(
    () => client.end().then(() => true),
    () => false,
  );
}
