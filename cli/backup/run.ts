/** What the commands do, put together: settings, the installation's place, and the steps. */
import { existsSync, readdirSync, renameSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { withSecretFiles } from '../../db/secret-files.js';
import { VERSION } from '../../domain/version.js';
import { UpError } from '../up/errors.js';
import { readSettings, type UpSettings } from '../up/settings.js';
import { noRootToRevoke } from './after-restore.js';
import { type BackupReport, createBackup } from './backup.js';
import { findBackup, listBackups, type Manifest } from './manifest.js';
import { readPassphrase } from './passphrase.js';
import { placeOf, temporalPid, withDatabase } from './place.js';
import { restoreInto, unsealed, verifiedManifest } from './restore.js';
import { keysToRevoke, type RevocationAnswer } from './revoked-keys.js';
import { collectFiles, writeSecretFiles } from './secrets.js';

export interface BackupOptions {
  readonly keys: boolean;
  readonly passphraseFile?: string;
}

export async function runBackup(
  dir: string,
  options: BackupOptions,
  say: (line: string) => void,
): Promise<BackupReport> {
  const place = placeOf(settingsHere(), process.env);
  const passphrase = options.keys
    ? await readPassphrase({ file: options.passphraseFile, env: process.env, twice: true })
    : null;
  return withDatabase(place, { idle: false, say }, (ownerUrl) =>
    createBackup(dir, {
      ownerUrl,
      contentDir: place.contentDir,
      temporalFile: place.temporalFile,
      temporalPid: temporalPid(place),
      version: VERSION,
      secrets:
        passphrase === null
          ? null
          : {
              passphrase,
              files: {
                ...collectFiles(place.folders.data, 'keys'),
                ...collectFiles(place.folders.data, 'secrets'),
                ...collectFiles(
                  dirname(place.keysDir),
                  place.keysDir.slice(dirname(place.keysDir).length + 1),
                  'keys/worker',
                ),
              },
            },
    }),
  );
}

export async function runVerify(dir: string, id: string | undefined): Promise<Manifest> {
  return verifiedManifest(dir, findBackup(dir, id));
}

export const backupsIn = listBackups;

export interface RestoreOptions extends BackupOptions, RevocationAnswer {
  readonly backup?: string;
  readonly replace: boolean;
}

/** @returns what a person should know */
export async function runRestore(
  dir: string,
  options: RestoreOptions,
  say: (line: string) => void,
): Promise<readonly string[]> {
  const folder = findBackup(dir, options.backup);
  say(`checking backup ${folder} …`);
  const manifest = await verifiedManifest(dir, folder);
  const settings = settingsHere();
  const now = Date.now();
  const revoked = keysToRevoke({ folder, manifest, answer: options, now });
  const secrets = options.keys
    ? unsealed(folder, manifest, await readPassphrase({ file: options.passphraseFile, env: process.env, twice: false }))
    : null;
  const rootFile = join(placeOf(settings, process.env).keysDir, 'root.pem');
  // One inside of the data folder is put aside with it.
  const rootStays = existsSync(rootFile) && relative(settings.dataDir, rootFile).startsWith('..');
  if (revoked.length > 0 && secrets?.['keys/worker/root.pem'] === undefined && !rootStays)
    throw noRootToRevoke(rootFile);
  const aside = clearPlace(settings.dataDir, options.replace);
  if (aside !== null) say(`what was in ${settings.dataDir} is kept in ${aside}`);
  const place = placeOf(settings, process.env);
  if (secrets !== null) {
    const own = Object.entries(secrets).filter(([path]) => !path.startsWith('keys/worker/'));
    const worker = Object.entries(secrets).flatMap(([path, bytes]) =>
      path.startsWith('keys/worker/') ? [[path.slice('keys/worker/'.length), bytes] as const] : [],
    );
    writeSecretFiles(place.folders.data, Object.fromEntries(own));
    writeSecretFiles(place.keysDir, Object.fromEntries(worker));
  }
  return withDatabase(place, { idle: true, say }, async (ownerUrl) => {
    say('restoring …');
    return restoreInto({
      dir,
      folder,
      manifest,
      revoked,
      now,
      target: {
        ownerUrl,
        contentDir: place.contentDir,
        temporalFile: place.temporalFile,
        keysDir: place.keysDir,
        replace: options.replace,
      },
    });
  });
}

/** What makes a data folder an installation. Logs and pid files alone do not. */
const PARTS = ['postgres', 'temporal.db', 'keys', 'content', 'secrets'];

/** @returns where the installation that was there went; null when there was none. @throws UpError when there is one and it may not be replaced */
function clearPlace(dataDir: string, replace: boolean): string | null {
  const occupied = PARTS.some((part) => {
    const path = join(dataDir, part);
    return existsSync(path) && !(part === 'keys' && isEmptyFolder(path));
  });
  if (!occupied) return null;
  if (!replace) {
    throw new UpError(`there is an installation in ${dataDir}`, [
      '--replace puts it aside and restores in its place; RINGMASTER_DATA chooses another folder.',
    ]);
  }
  const aside = `${dataDir}.before-${new Date().toISOString().replaceAll(/[:.]/g, '-')}`;
  renameSync(dataDir, aside);
  return aside;
}

/** `keys` with nothing but the worker's empty folder in it, as looking at an installation leaves it. */
function isEmptyFolder(path: string): boolean {
  return readdirSync(path, { withFileTypes: true }).every(
    (entry) => entry.isDirectory() && isEmptyFolder(join(path, entry.name)),
  );
}

function settingsHere(): UpSettings {
  const root = dirname(dirname(dirname(dirname(fileURLToPath(import.meta.url)))));
  try {
    return readSettings({ env: withSecretFiles(process.env), root, programsDir: join(root, 'dist') });
  } catch (error) {
    throw error instanceof UpError ? error : new UpError((error as Error).message);
  }
}
