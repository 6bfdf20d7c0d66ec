/**
 * What fixes may touch, as it is: a list of every path with its content's digest, mode and owner, and beside it when a file was last
 * written and which extended attributes it carries. What a fix did is the difference of two lists, and only that is ever put back.
 */
import { createHash } from 'node:crypto';
import { closeSync, lstatSync, openSync, readdirSync, readlinkSync, readSync, realpathSync, type Stats } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import type { AttributeAccess, Attributes } from '../../system/attributes.js';
import type { FlagAccess } from '../../system/inode-flags.js';

/** Where configuration lives on Debian; fixes of baselines write nowhere else but there and to file modes. */
export const ROOTS = ['/etc', '/boot/grub', '/root', '/usr/lib/sysctl.d', '/var/spool/cron'] as const;
/**
 * Only modes, owners and attributes are kept of files and folders below. What comes and goes there is other people's (logs, homes), so it is
 * neither taken away nor missed.
 */
export const MODE_ROOTS = ['/var/log', '/home', '/boot', '/usr/bin', '/usr/sbin', '/usr/local/bin'] as const;
const MOST_PATHS = 200_000;
/** Read in pieces of this size. */
const PIECE = 1024 * 1024;

export interface Roots {
  readonly content: readonly string[];
  readonly modes: readonly string[];
}
export const HOST_ROOTS: Roots = { content: ROOTS, modes: MODE_ROOTS };

/**
 * `kind digest-or-target mode uid gid`, in one text so that lists compare quickly. Kinds: `f`ile, `d`irectory, `l`ink, `o`ther
 * (socket, pipe, device); a digest of `*`: what is in it is not kept.
 */
export type Listing = Readonly<Record<string, string>>;

export interface Tree {
  readonly entries: Listing;
  /** When it was last written, ms; of paths whose content is kept. */
  readonly times: Readonly<Record<string, number>>;
  /** Of paths that carry any. Null: this host has nothing to look with. */
  readonly attributes: Readonly<Record<string, Attributes>> | null;
  /** As chattr(1) sets them, of files and folders that carry any. Null: as for attributes; left out by agents before this one. */
  readonly flags?: Readonly<Record<string, number>> | null;
}

/** The digest of a file's content, in hex; a snapshot copies the file while it is at it. */
export type Digest = (path: string, stat: Stats) => Promise<string>;

/** @throws Error when there is too much to look at */
export async function listTree(args: {
  readonly roots: Roots;
  readonly attributes: AttributeAccess;
  readonly flags: FlagAccess;
  readonly digest?: Digest;
}): Promise<Tree> {
  const digest = args.digest ?? digestOf;
  const entries: Record<string, string> = {};
  const times: Record<string, number> = {};
  const note = async (path: string, entry: Stats, content: boolean): Promise<void> => {
    const owner = `${(entry.mode & 0o7777).toString(8)} ${entry.uid} ${entry.gid}`;
    if (content) times[path] = Math.floor(entry.mtimeMs);
    if (entry.isDirectory()) entries[path] = `d ${content ? '-' : '*'} ${owner}`;
    else if (entry.isFile()) entries[path] = `f ${content ? await digest(path, entry) : '*'} ${owner}`;
    else if (content) entries[path] = entry.isSymbolicLink() ? `l ${readlinkSync(path)} ${owner}` : `o - ${owner}`;
  };
  for (const [roots, content] of [
    [args.roots.modes, false],
    [args.roots.content, true],
  ] as const)
    for (const [path, entry] of walk(roots)) {
      try {
        await note(path, entry, content);
      } catch (error) {
        // Gone while we looked. Anything else would leave a gap where there must be none.
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      }
    }
  const paths = Object.keys(entries);
  const flags = await args.flags.read(paths.filter((path) => /^[fd]/.test(entries[path] ?? '')));
  return { entries, times, attributes: await args.attributes.read(paths), flags };
}

/** Every path below, folders before what is in them. @throws Error when there are too many */
export function* walk(roots: readonly string[]): Generator<readonly [string, Stats]> {
  let count = 0;
  const stack = roots.map(realPlace).reverse();
  for (let path = stack.pop(); path !== undefined; path = stack.pop()) {
    const entry = lstatOr(path);
    if (entry === null) continue;
    count += 1;
    if (count > MOST_PATHS) throw new Error(`there are more than ${MOST_PATHS} files to take a snapshot of`);
    yield [path, entry];
    if (entry.isDirectory()) for (const name of namesIn(path)) stack.push(join(path, name));
  }
}

/**
 * Paths that differ, whichever of the two has them. Times do not count unless asked: a file that was written anew with what it had before
 * is the same to everybody but us.
 */
export function differences(a: Tree, b: Tree, options: { readonly times?: boolean } = {}): string[] {
  const attributes = a.attributes !== null && b.attributes !== null;
  const inBoth = (path: string) => a.entries[path] !== undefined && b.entries[path] !== undefined;
  const paths = new Set([...Object.keys(a.entries), ...Object.keys(b.entries)]);
  return [...paths]
    .filter(
      (path) =>
        entriesDiffer(a.entries[path], b.entries[path]) ||
        (attributes && inBoth(path) && !sameAttributes(a.attributes?.[path], b.attributes?.[path])) ||
        (inBoth(path) && !sameFlags(a, b, path)) ||
        (options.times === true && (a.times[path] ?? b.times[path]) !== (b.times[path] ?? a.times[path])),
    )
    .sort();
}

function entriesDiffer(a: string | undefined, b: string | undefined): boolean {
  if (a !== undefined && b !== undefined) return a !== b;
  return a !== b && !/^[fd] \* /.test(a ?? b ?? '');
}

export function sameAttributes(a: Attributes = {}, b: Attributes = {}): boolean {
  const names = Object.keys(a);
  return names.length === Object.keys(b).length && names.every((name) => a[name] === b[name]);
}

/** Where one of the two does not know flags, nothing differs. */
export const sameFlags = (a: Tree, b: Tree, path: string): boolean =>
  !a.flags || !b.flags || (a.flags[path] ?? 0) === (b.flags[path] ?? 0);

/** Digests of large files that have not been written since (another inode, size or change time says so) are not made twice. */
const known = new Map<string, { readonly stamp: string; readonly digest: string }>();

export async function digestOf(path: string, stat: Stats): Promise<string> {
  const stamp = `${stat.dev} ${stat.ino} ${stat.size} ${stat.mtimeMs} ${stat.ctimeMs}`;
  const before = known.get(path);
  if (before?.stamp === stamp) return before.digest;
  const hash = createHash('sha256');
  for await (const piece of piecesOf(path)) hash.update(piece);
  const digest = hash.digest('hex');
  if (stat.size > PIECE) known.set(path, { stamp, digest });
  return digest;
}

/** A file's content as it is read; lets others work in between. */
export async function* piecesOf(path: string): AsyncGenerator<Buffer> {
  const fd = openSync(path, 'r');
  try {
    const piece = Buffer.alloc(Math.min(PIECE, Math.max(4_096, lstatSync(path).size)));
    for (let read = readSync(fd, piece); read > 0; read = readSync(fd, piece)) {
      yield piece.subarray(0, read);
      if (read === PIECE) await setImmediate();
    }
  } finally {
    closeSync(fd);
  }
}

/** With the links on the way followed, but not the root itself: what is below is then named as the kernel names it. */
function realPlace(root: string): string {
  try {
    return join(realpathSync(dirname(root)), basename(root));
  } catch {
    return root;
  }
}

export function lstatOr(path: string): Stats | null {
  try {
    return lstatSync(path);
  } catch {
    return null;
  }
}

function namesIn(path: string): string[] {
  try {
    return readdirSync(path).sort().reverse();
  } catch (error) {
    // Gone while we looked, or somebody's own mount that not even root may look into.
    if (['ENOENT', 'EACCES'].includes((error as NodeJS.ErrnoException).code ?? '')) return [];
    throw error;
  }
}
