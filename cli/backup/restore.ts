/** `ringmaster restore DIR`: a backup into an installation that is not running, verified first and made safe to start. */
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import pg from 'pg';
import { listMigrations, migrate } from '../../db/migrate.js';
import { UpError } from '../up/errors.js';
import { makeSafe } from './after-restore.js';
import { restoreContent, SECRETS_FILE, TEMPORAL_FOLDER } from './backup.js';
import { loadDatabase } from './load.js';
import { checkBackup, type Manifest, readContentList, readManifest } from './manifest.js';
import { openSecrets, type SecretFiles } from './secrets.js';

export interface RestoreTarget {
  readonly ownerUrl: string;
  readonly contentDir: string;
  readonly temporalFile: string | null;
  readonly keysDir: string;
  /** Whatever is in the database is replaced; else it must be empty. */
  readonly replace: boolean;
}

/** Reads the whole backup. @throws UpError naming what is wrong with it */
export async function verifiedManifest(dir: string, folder: string): Promise<Manifest> {
  const manifest = readManifest(folder);
  const wrong = await checkBackup(dir, folder, manifest);
  if (wrong.length > 0) throw new UpError(`the backup ${manifest.id} is not whole`, wrong.slice(0, 20));
  const known = listMigrations();
  const unknown = manifest.database.migrations.filter((name) => !known.includes(name));
  if (unknown.length > 0)
    throw new UpError(`the backup ${manifest.id} is of a newer release (${unknown.join(', ')})`, ['Use that release.']);
  return manifest;
}

/** @throws UpError without keys in it, or with another passphrase */
export function unsealed(folder: string, manifest: Manifest, passphrase: string): SecretFiles {
  if (!manifest.secrets) throw new UpError(`the backup ${manifest.id} was made without keys`);
  return openSecrets(readFileSync(join(folder, SECRETS_FILE), 'utf8'), passphrase);
}

/**
 * Database, Temporal's data and content, in this order; the database comes halted.
 * @returns what a person should know
 */
export async function restoreInto(args: {
  readonly dir: string;
  readonly folder: string;
  readonly manifest: Manifest;
  readonly target: RestoreTarget;
  /** See {@link keysToRevoke}. */
  readonly revoked: readonly string[];
  readonly now: number;
}): Promise<readonly string[]> {
  const { dir, folder, manifest, target } = args;
  const client = new pg.Client({ connectionString: target.ownerUrl, application_name: 'ringmaster-restore' });
  client.on('error', () => undefined);
  await client.connect();
  let told: readonly string[];
  try {
    await refuseOccupied(client, target);
    await migrateTo(target.ownerUrl, manifest);
    await client.query('BEGIN');
    await loadDatabase(client, folder, manifest.database);
    await haltRows(client);
    await client.query('COMMIT');
    // A backup of an older release becomes one of this release before our own code looks at it.
    await migrate({ databaseUrl: target.ownerUrl });
    await client.query('BEGIN');
    const { id: backupId, at: backupAt } = manifest;
    told = await makeSafe(client as unknown as pg.PoolClient, {
      backupId,
      backupAt,
      now: args.now,
      keysDir: target.keysDir,
      revoked: args.revoked,
    });
    await client.query('COMMIT');
  } finally {
    await client.end().catch(() => undefined);
  }
  if (target.temporalFile !== null && manifest.temporal === 'embedded') placeTemporal(folder, target.temporalFile);
  restoreContent(
    dir,
    target.contentDir,
    readContentList(folder).map((entry) => entry.sha256),
  );
  const temporal =
    target.temporalFile === null
      ? 'Temporal is not ours: restore its own backup of the same moment or an earlier one before you start.'
      : manifest.temporal === 'elsewhere'
        ? 'The backup holds nothing of Temporal: open changes stay halted and say that their workflow is unknown.'
        : null;
  return temporal === null ? told : [...told, temporal];
}

/** With the data itself, in words that every release's schema knows: not even for a moment is there anything that would be let out. */
async function haltRows(client: pg.Client): Promise<void> {
  await client.query(
    `UPDATE change SET halted = true, halt_verb = 'stopAll', halted_by = 'restore' WHERE closed_at IS NULL`,
  );
  await client.query(
    `UPDATE ring r SET halted = true, halt_reason = 'being restored', halted_by = 'restore', halted_at = now()
       FROM change c WHERE c.id = r.change_id AND c.closed_at IS NULL AND NOT r.halted`,
  );
}

async function refuseOccupied(client: pg.Client, target: RestoreTarget): Promise<void> {
  if (target.replace) return;
  const { rows } = await client.query<{ there: string | null }>(`SELECT to_regclass('public.endpoint')::text AS there`);
  if (rows[0]?.there == null) return;
  const { rows: used } = await client.query<{ used: boolean }>(
    'SELECT EXISTS (SELECT FROM endpoint) OR EXISTS (SELECT FROM change) OR EXISTS (SELECT FROM account) AS used',
  );
  if (used[0]?.used === true)
    throw new UpError('the database is in use by an installation', [
      '--replace restores over it: everything in it goes.',
    ]);
}

/** The schema the dump was made with, where there is none yet; a later one that is there already must have its columns. */
async function migrateTo(ownerUrl: string, manifest: Manifest): Promise<void> {
  await migrate({ databaseUrl: ownerUrl, upTo: manifest.database.migrations.at(-1) as string });
}

function placeTemporal(folder: string, file: string): void {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  for (const suffix of ['', '-wal', '-shm', '-journal']) {
    const from = join(folder, TEMPORAL_FOLDER, `temporal.db${suffix}`);
    rmSync(`${file}${suffix}`, { force: true });
    if (existsSync(from)) copyFileSync(from, `${file}${suffix}`);
  }
}
