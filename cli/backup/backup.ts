/** `ringmaster backup DIR`: one moment of an installation, beside the earlier ones; running or not. */
import {
  chmodSync,
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import pg from 'pg';
import { UpError } from '../up/errors.js';
import { beginSnapshot, dumpDatabase } from './dump.js';
import { CONTENT_LIST, contentPath, digestFile, type Manifest, writeManifest } from './manifest.js';
import { type SecretFiles, sealSecrets } from './secrets.js';

export const SECRETS_FILE = 'keys.sealed';
export const TEMPORAL_FOLDER = 'temporal';

export interface BackupSource {
  readonly ownerUrl: string;
  readonly contentDir: string;
  /** SQLite file of our own Temporal; null: somebody else's Temporal. */
  readonly temporalFile: string | null;
  /** Its process, if it runs. */
  readonly temporalPid: number | undefined;
  /** Null: without keys. */
  readonly secrets: { readonly files: SecretFiles; readonly passphrase: string } | null;
  readonly version: string;
}

export interface BackupReport {
  readonly id: string;
  readonly folder: string;
  readonly tables: number;
  readonly contentFiles: number;
  /** Of those, how many were not in the folder yet. */
  readonly newContentFiles: number;
}

/**
 * The database's snapshot begins while Temporal stands still, so that Temporal is never ahead of the rows: what a restored worker
 * finds is what a crash at that moment would have left. @throws UpError; nothing that looks like a backup is left then
 */
export async function createBackup(dir: string, source: BackupSource): Promise<BackupReport> {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const client = new pg.Client({ connectionString: source.ownerUrl, application_name: 'ringmaster-backup' });
  client.on('error', () => undefined);
  await client.connect();
  const partial = join(dir, `.partial-${process.pid}-${Date.now()}`);
  try {
    for (const folder of ['database', TEMPORAL_FOLDER])
      mkdirSync(join(partial, folder), { recursive: true, mode: 0o700 });
    chmodSync(partial, 0o700);
    const at = await standingStill(source.temporalPid, async () => {
      const begun = await beginSnapshot(client);
      if (source.temporalFile !== null) copyTemporal(source.temporalFile, join(partial, TEMPORAL_FOLDER));
      return begun;
    });
    const id = new Date(at).toISOString().replaceAll(/[:.]/g, '-');
    if (existsSync(join(dir, id))) throw new UpError(`there is a backup ${id} already`);
    const database = await dumpDatabase(client, partial);
    const content = await copyContent(dir, partial, { client, contentDir: source.contentDir });
    await client.query('COMMIT');
    if (source.secrets !== null) {
      const { files, passphrase } = source.secrets;
      writeFileSync(join(partial, SECRETS_FILE), sealSecrets(files, passphrase), { mode: 0o600 });
    }
    const files: Manifest['files'] = [];
    for (const path of filesBelow(partial)) {
      const full = join(partial, path);
      files.push({ path, sha256: await digestFile(full), bytes: statSync(full).size });
    }
    writeManifest(partial, {
      format: 1,
      id,
      at,
      version: source.version,
      files,
      database,
      temporal: source.temporalFile === null ? 'elsewhere' : 'embedded',
      secrets: source.secrets !== null,
    });
    renameSync(partial, join(dir, id));
    return { id, folder: join(dir, id), tables: database.tables.length, ...content };
  } finally {
    rmSync(partial, { recursive: true, force: true });
    await client.end().catch(() => undefined);
  }
}

/** A process that stands still writes nothing: what lies on its disk then is what a power cut would have left, which it can read. */
async function standingStill<T>(pid: number | undefined, work: () => Promise<T>): Promise<T> {
  if (pid === undefined) return work();
  process.kill(pid, 'SIGSTOP');
  try {
    return await work();
  } finally {
    process.kill(pid, 'SIGCONT');
  }
}

/** The database file with its write-ahead log: together they are its state. The index of the log (-shm) is made anew. */
function copyTemporal(file: string, to: string): void {
  for (const suffix of ['', '-wal', '-journal']) {
    if (existsSync(`${file}${suffix}`)) copyFileSync(`${file}${suffix}`, join(to, `temporal.db${suffix}`));
  }
}

/** Files by digest never change, so each is copied once for all backups of a folder. What the database names is what is needed. */
async function copyContent(
  dir: string,
  partial: string,
  source: { readonly client: pg.Client; readonly contentDir: string },
): Promise<{ readonly contentFiles: number; readonly newContentFiles: number }> {
  const { rows } = await source.client.query<{ sha256: string }>('SELECT sha256 FROM content ORDER BY sha256');
  const lines: string[] = [];
  let fresh = 0;
  for (const { sha256 } of rows) {
    const from = join(source.contentDir, sha256.slice(0, 2), sha256.slice(2, 4), sha256);
    // Recorded but gone: an installation without it fetches it again, or says what can't be had.
    if (!existsSync(from)) continue;
    const bytes = statSync(from).size;
    const to = contentPath(dir, sha256);
    lines.push(`${sha256} ${bytes}\n`);
    if (existsSync(to) && statSync(to).size === bytes) continue;
    mkdirSync(dirname(to), { recursive: true, mode: 0o700 });
    copyFileSync(from, `${to}.new`);
    if ((await digestFile(`${to}.new`)) !== sha256) {
      rmSync(`${to}.new`);
      throw new UpError(`${from} is damaged: its content is not what its name says`);
    }
    renameSync(`${to}.new`, to);
    fresh += 1;
  }
  writeFileSync(join(partial, CONTENT_LIST), lines.join(''), { mode: 0o600 });
  return { contentFiles: lines.length, newContentFiles: fresh };
}

function filesBelow(root: string, folder = ''): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true })
    .flatMap((entry) => {
      const path = folder === '' ? entry.name : `${folder}/${entry.name}`;
      return entry.isDirectory() ? filesBelow(root, path) : [path];
    })
    .sort();
}

/** Into the installation's content store; what is there already stays. */
export function restoreContent(dir: string, contentDir: string, digests: readonly string[]): void {
  for (const digest of digests) {
    const to = join(contentDir, digest.slice(0, 2), digest.slice(2, 4), digest);
    if (existsSync(to)) continue;
    mkdirSync(dirname(to), { recursive: true, mode: 0o755 });
    try {
      linkSync(contentPath(dir, digest), `${to}.new`);
    } catch {
      copyFileSync(contentPath(dir, digest), `${to}.new`);
    }
    renameSync(`${to}.new`, to);
  }
}
