/**
 * What fixes may touch, as it was: a copy of the folders' files and a list of every path with its content's digest, mode and owner.
 * What a fix did is the difference of two lists, and only that is ever put back.
 */
import { createHash } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  copyFileSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { dirname, join } from 'node:path';

/** Where configuration lives on Debian; fixes of baselines write nowhere else but there and to file modes. */
export const ROOTS = ['/etc', '/boot/grub', '/root', '/usr/lib/sysctl.d', '/var/spool/cron'] as const;
/** Only modes and owners are kept of what is below. */
export const MODE_ROOTS = ['/var/log', '/home', '/boot', '/usr/bin', '/usr/sbin', '/usr/local/bin'] as const;
const LARGEST_FILE = 16 * 1024 * 1024;
const MOST_PATHS = 200_000;

/** `kind digest-or-target mode uid gid`, in one text so that lists compare quickly. */
export type Listing = Readonly<Record<string, string>>;

export function listTree(roots: readonly string[] = ROOTS, modeRoots: readonly string[] = MODE_ROOTS): Listing {
  const found: Record<string, string> = {};
  let count = 0;
  const visit = (path: string, content: boolean): void => {
    const entry = lstatOr(path);
    if (entry === null) return;
    count += 1;
    if (count > MOST_PATHS) throw new Error(`there are more than ${MOST_PATHS} files to take a snapshot of`);
    const owner = `${(entry.mode & 0o7777).toString(8)} ${entry.uid} ${entry.gid}`;
    if (entry.isSymbolicLink()) found[path] = `l ${readlinkSync(path)} ${owner}`;
    else if (entry.isDirectory()) {
      found[path] = `d - ${owner}`;
      for (const name of readdirSync(path)) visit(join(path, name), content);
    } else if (entry.isFile()) {
      const digest = !content ? '*' : entry.size > LARGEST_FILE ? `size-${entry.size}` : digestOf(path);
      found[path] = `f ${digest} ${owner}`;
    }
  };
  for (const root of modeRoots) visit(root, false);
  for (const root of roots) visit(root, true);
  return found;
}

/** Copies every file of the listing whose content is kept. */
export function copyTree(listing: Listing, into: string): void {
  for (const [path, what] of Object.entries(listing)) {
    if (!what.startsWith('f ') || what.startsWith('f * ') || what.startsWith('f size-')) continue;
    const target = join(into, path);
    mkdirSync(dirname(target), { recursive: true, mode: 0o700 });
    copyFileSync(path, target);
    chmodSync(target, 0o600);
  }
}

/** Paths that differ, whichever of the two lists has them. */
export function differences(a: Listing, b: Listing): string[] {
  return [...new Set([...Object.keys(a), ...Object.keys(b)])].filter((path) => a[path] !== b[path]).sort();
}

/** Puts these paths back as the listing has them, contents from `copies`. What was not there goes first, deepest first; then folders before what is in them. */
export function putBack(args: {
  readonly paths: readonly string[];
  readonly before: Listing;
  readonly copies: string;
}): void {
  const sorted = [...args.paths].sort();
  for (const path of [...sorted].reverse()) {
    if (args.before[path] === undefined) rmSync(path, { recursive: true, force: true });
  }
  for (const path of sorted) {
    const was = args.before[path];
    if (was !== undefined) putOne(path, was, args.copies);
  }
}

function putOne(path: string, was: string, copies: string): void {
  const match = /^([lfd]) (.*) (\d+) (\d+) (\d+)$/s.exec(was);
  if (match === null) return;
  const [, kind, what = '', mode = '0', uid = '0', gid = '0'] = match;
  const now = lstatOr(path);
  if (kind === 'l') {
    rmSync(path, { recursive: true, force: true });
    symlinkSync(what, path);
    lchownSync(path, Number(uid), Number(gid));
    return;
  }
  if (kind === 'd') {
    if (now !== null && !now.isDirectory()) rmSync(path, { force: true });
    mkdirSync(path, { recursive: true });
  } else if (what !== '*' && !what.startsWith('size-')) {
    if (now !== null && !now.isFile()) rmSync(path, { recursive: true, force: true });
    // A new file in its place: whoever has the present one open keeps that, and nobody ever reads half of it.
    const fresh = `${path}.ringmaster-new`;
    copyFileSync(join(copies, path), fresh);
    chownSync(fresh, Number(uid), Number(gid));
    chmodSync(fresh, Number.parseInt(mode, 8));
    renameSync(fresh, path);
    return;
  } else if (now === null) return;
  chownSync(path, Number(uid), Number(gid));
  chmodSync(path, Number.parseInt(mode, 8));
}

function digestOf(path: string): string {
  return createHash('sha256').update(readFileSync(path)).digest('hex');
}

function lstatOr(path: string) {
  try {
    return lstatSync(path);
  } catch {
    return null;
  }
}
