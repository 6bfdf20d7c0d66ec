/** Puts paths back as a snapshot has them. What is cut short may be done again: putting back twice is putting back once. */

import { createHash } from 'node:crypto';
import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fsyncSync,
  lchownSync,
  lutimesSync,
  mkdirSync,
  openSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import type { AttributeAccess, Attributes } from '../../system/attributes.js';
import type { FlagAccess } from '../../system/inode-flags.js';
import { lstatOr, piecesOf, type Tree } from './tree.js';

/** A new file beside the one it takes the place of. */
const freshOf = (path: string) => `${path}.ringmaster-new`;
/** New files of so many bytes together wait for their attributes before they take their places. */
const BATCH_BYTES = 64 * 1024 * 1024;

interface Was {
  readonly path: string;
  readonly kind: string;
  /** Digest, or a link's target. */
  readonly what: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

/**
 * What was not there goes first, deepest first; then folders before what is in them. A new file gets owner, mode and attributes before it
 * takes its place: whoever has the present one open keeps that, nobody reads half of it, and it is never open to more people than it was.
 * @returns what could not be put back, for people. @throws Error when a kept content is not what was kept
 */
export async function putBack(args: {
  readonly paths: readonly string[];
  readonly before: Tree;
  /** The folder with the contents. */
  readonly copies: string;
  readonly attributes: AttributeAccess;
  readonly flags: FlagAccess;
}): Promise<readonly string[]> {
  const { before } = args;
  const sorted = [...args.paths].sort();
  const problems: string[] = [];
  const flags = await withoutFlags(args);
  for (const path of [...sorted].reverse()) {
    for (const gone of [freshOf(path), ...(before.entries[path] === undefined ? [path] : [])])
      if (lstatOr(gone) !== null) rmSync(gone, { recursive: true });
  }
  const all = sorted.flatMap((path) => parse(path, before.entries[path]));
  const wanted = (was: Was): Attributes => before.attributes?.[was.path] ?? {};
  const give = async (attributes: ReadonlyMap<string, Attributes>): Promise<void> => {
    if (before.attributes !== null) problems.push(...(await args.attributes.write(attributes)));
  };

  const inPlace = new Map<string, Attributes>();
  for (const was of all) if (putInPlace(was)) inPlace.set(was.path, wanted(was));
  await give(inPlace);

  let batch: Was[] = [];
  let bytes = 0;
  const settle = async (): Promise<void> => {
    await give(new Map(batch.map((was) => [freshOf(was.path), wanted(was)])));
    for (const { path } of batch) {
      setTime(freshOf(path), before.times[path]);
      renameSync(freshOf(path), path);
    }
    batch = [];
    bytes = 0;
  };
  for (const was of all) {
    if (was.kind !== 'f' || !isKept(was)) continue;
    bytes += await writeFresh(was, args.copies);
    batch.push(was);
    if (bytes >= BATCH_BYTES) await settle();
  }
  await settle();
  // Last and deepest first, because making what is inside moves a folder's time.
  for (const { path, kind } of [...all].reverse()) if (kind === 'd' || kind === 'l') setTime(path, before.times[path]);
  const left = new Map([...flags].filter(([path]) => lstatOr(path) !== null));
  return [...problems, ...(await args.flags.write(left))];
}

/**
 * What is immutable or append-only can't be put back, nor what is in such a folder: it is not, for as long as that takes.
 * @returns the flags that each path is to have in the end
 */
async function withoutFlags(args: {
  readonly paths: readonly string[];
  readonly before: Tree;
  readonly flags: FlagAccess;
}): Promise<ReadonlyMap<string, number>> {
  const { before } = args;
  const touched = [...new Set([...args.paths, ...args.paths.map((path) => dirname(path))])];
  const now = (await args.flags.read(touched)) ?? {};
  await args.flags.write(new Map(Object.keys(now).map((path) => [path, 0])));
  const ours = new Set(args.paths);
  // A folder that is not to go back keeps what it has; cut short after this, it has what it had.
  const wanted = (path: string) =>
    before.flags && ours.has(path) ? before.flags[path] : (now[path] ?? before.flags?.[path]);
  const files = touched.filter((path) => now[path] !== undefined || before.flags?.[path] !== undefined);
  return new Map(files.map((path) => [path, wanted(path) ?? 0]));
}

/** `size-…`: written by agents that kept no large files. */
const isKept = ({ what }: Was): boolean => what !== '*' && !what.startsWith('size-');

function parse(path: string, was: string | undefined): Was[] {
  // Of sockets, pipes and devices nothing is put back.
  const match = /^([lfd]) (.*) (\d+) (\d+) (\d+)$/s.exec(was ?? '');
  if (match === null) return [];
  const [, kind = '', what = '', mode = '0', uid = '0', gid = '0'] = match;
  return [{ path, kind, what, mode: Number.parseInt(mode, 8), uid: Number(uid), gid: Number(gid) }];
}

/** All but the contents of files. @returns whether the path is now there with its owner and mode */
function putInPlace(was: Was): boolean {
  const { path, kind, what } = was;
  const now = lstatOr(path);
  if (kind === 'l') {
    rmSync(path, { recursive: true, force: true });
    symlinkSync(what, path);
    lchownSync(path, was.uid, was.gid);
    return true;
  }
  if (kind === 'd') {
    if (now !== null && !now.isDirectory()) rmSync(path, { force: true });
    mkdirSync(path, { recursive: true });
  } else if (kind === 'f' && isKept(was)) {
    if (now !== null && !now.isFile()) rmSync(path, { recursive: true, force: true });
    return false;
  } else if (now === null || !now.isFile()) return false;
  own(was);
  return true;
}

/** Through the open file, and only if it is still where its path says: somebody else may own a folder on the way (homes). */
function own({ path, mode, uid, gid }: Was): void {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    if (readlinkSync(`/proc/self/fd/${fd}`) !== path) throw new Error(`${path} is not where it was`);
    fchownSync(fd, uid, gid);
    fchmodSync(fd, mode);
  } finally {
    closeSync(fd);
  }
}

/** @returns bytes written */
async function writeFresh(was: Was, copies: string): Promise<number> {
  const fresh = freshOf(was.path);
  const hash = createHash('sha256');
  let bytes = 0;
  const fd = openSync(fresh, 'wx', 0o600);
  try {
    for await (const piece of piecesOf(join(copies, was.path))) {
      hash.update(piece);
      for (let done = 0; done < piece.length; ) done += writeSync(fd, piece, done);
      bytes += piece.length;
    }
    fchownSync(fd, was.uid, was.gid);
    fchmodSync(fd, was.mode);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  if (hash.digest('hex') !== was.what) {
    rmSync(fresh, { force: true });
    throw new Error(`what was kept of ${was.path} is damaged`);
  }
  return bytes;
}

function setTime(path: string, ms: number | undefined): void {
  if (ms !== undefined && lstatOr(path) !== null) lutimesSync(path, Date.now() / 1_000, ms / 1_000);
}
