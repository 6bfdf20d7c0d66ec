/** The snapshot of what fixes may touch: taken whole before anything is touched, or not at all; and the way back to it. */
import { createHash } from 'node:crypto';
import {
  closeSync,
  existsSync,
  fsyncSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  rmSync,
  type Stats,
  writeSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { type AttributeAccess, canPutBack } from '../../system/attributes.js';
import { readTextIfThere, writeFileDurably } from '../../system/files.js';
import type { FlagAccess } from '../../system/inode-flags.js';
import { spaceObjection } from '../../system/mounts.js';
import type { Run } from '../../system/run.js';
import type { SnapshotTaken } from '../provider.js';
import { putBack } from './put-back.js';
import {
  differences,
  digestOf,
  type Listing,
  listTree,
  piecesOf,
  type Roots,
  sameAttributes,
  sameFlags,
  type Tree,
  walk,
} from './tree.js';

export interface SnapshotDeps {
  readonly run: Run;
  readonly attributes: AttributeAccess;
  readonly flags: FlagAccess;
  readonly roots: Roots;
  /** Where copies of large files are, by digest: snapshots of the same file are one copy. Beside them, so that they can be linked. */
  readonly large: string;
  /** As `spaceObjection`; tests have less. */
  readonly spaceObjection?: typeof spaceObjection;
}

/** What is to go back: decided once, before the first path is touched, so that half of it done does not look like somebody else's work. */
interface WayBack {
  readonly ours: readonly string[];
  /** Changed by others since, and left alone. */
  readonly foreign: readonly string[];
}

const decisionIn = (at: string) => join(at, 'decided-back.json');
/** Agents before this one decided only when they began to put back. */
const earlierDecisionIn = (at: string) => join(at, 'way-back.json');
const files = (dir: string) => join(dir, 'files');
const MOST_NAMED = 5;
const LARGE_BYTES = 1024 * 1024;

/** @param dir the snapshot's own folder; what an earlier try left there goes. On disk when it returns. */
export async function takeSnapshot(deps: SnapshotDeps, dir: string): Promise<SnapshotTaken> {
  rmSync(dir, { recursive: true, force: true });
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  try {
    const kept = keptAlready(deps.large);
    const room = await roomObjection(deps, dir, kept);
    if (room !== null) return { ok: false, reason: room };
    const before = await listTree({
      ...deps,
      digest: (path, stat) => keep(deps, { path, stat, to: join(files(dir), path), kept }),
    });
    const strange = foreignAttributes(before);
    if (strange.decisive.length > 0)
      return { ok: false, reason: `no snapshot: can not put back ${strange.decisive.slice(0, MOST_NAMED).join(', ')}` };
    await deps.run(['sync', '-f', dir], { timeoutMs: 10 * 60_000 });
    writeFileDurably(join(dir, 'before.json'), JSON.stringify(before));
    return { ok: true, notKept: notKept(before, strange.other) };
  } catch (error) {
    // Nothing has been touched yet, and nothing will be.
    return { ok: false, reason: `no snapshot: ${(error as Error).message}` };
  }
}

export const hasSnapshot = (dir: string): boolean => existsSync(join(dir, 'before.json'));

/** Once the fixes have run: what differs now is their doing. */
export async function noteAfter(deps: SnapshotDeps, dir: string): Promise<void> {
  writeFileDurably(join(dir, 'after.json'), JSON.stringify(await listTree(deps)));
}

/**
 * Decides what goes back, or says what was decided before. `at`: the folder of the order that goes back.
 * @throws Error when there is no snapshot
 */
export async function wayBack(
  deps: SnapshotDeps,
  args: { readonly dir: string; readonly at: string },
): Promise<WayBack> {
  const file = decisionIn(args.at);
  const decided = readTextIfThere(earlierDecisionIn(args.at)) ?? readTextIfThere(file);
  if (decided !== null) return JSON.parse(decided) as WayBack;
  const before = readTree(args.dir, 'before.json');
  if (before === null) throw new Error('there is no snapshot to go back to');
  const now = await listTree(deps);
  const after = readTree(args.dir, 'after.json') ?? now;
  const made = new Set(differences(before, after, { times: true }));
  const still = differences(before, now, { times: true }).filter((path) => made.has(path));
  const left = new Set(differences(after, now));
  // A new folder into which others have put something stays for its sake.
  const others = Object.keys(now.entries).filter((path) => before.entries[path] === undefined && !made.has(path));
  const held = new Set(others.flatMap(foldersAbove));
  const stays = (path: string) => left.has(path) || (before.entries[path] === undefined && held.has(path));
  const decision = {
    ours: still.filter((path) => !stays(path)),
    foreign: still.filter(stays),
  };
  writeFileDurably(file, JSON.stringify(decision));
  return decision;
}

/** As long as nothing has gone back, others may still change what would: then it is decided anew. */
export const forgetWayBack = (at: string): void => rmSync(decisionIn(at), { force: true });

/** That one left no other trace of having begun. */
export const wentBackUnderEarlierAgent = (at: string): boolean => existsSync(earlierDecisionIn(at));

function foldersAbove(path: string): string[] {
  const folder = dirname(path);
  return folder === path ? [] : [folder, ...foldersAbove(folder)];
}

/** @returns what is not as it was, for people; empty: everything is */
export async function goBackTo(
  deps: SnapshotDeps,
  args: { readonly dir: string; readonly at: string },
): Promise<readonly string[]> {
  const { ours } = await wayBack(deps, args);
  const before = readTree(args.dir, 'before.json');
  if (before === null) throw new Error('there is no snapshot to go back to');
  const problems = await putBack({ paths: ours, before, copies: files(args.dir), ...deps });
  return [...(await notAsBefore(deps, { before, paths: ours })), ...problems];
}

/** Of these paths, the ones that differ from the snapshot. */
export async function notAsBefore(
  deps: SnapshotDeps,
  args: { readonly before: Tree; readonly paths: readonly string[] },
): Promise<readonly string[]> {
  const ours = new Set(args.paths);
  return differences(args.before, await listTree(deps)).filter((path) => ours.has(path));
}

/** Paths that are again, or still, as the fixes left them. Null: they have not been looked at after their end. */
export async function asFixesLeftThem(
  deps: SnapshotDeps,
  args: { readonly dir: string; readonly paths: readonly string[] },
): Promise<readonly string[]> {
  const [before, after] = [readTree(args.dir, 'before.json'), readTree(args.dir, 'after.json')];
  if (before === null || after === null) return [];
  const now = await listTree(deps);
  const gone = new Set(differences(before, now));
  return args.paths.filter(
    (path) =>
      gone.has(path) &&
      now.entries[path] === after.entries[path] &&
      sameAttributes(now.attributes?.[path], after.attributes?.[path]) &&
      sameFlags(now, after, path),
  );
}

/** Agents before this one kept entries only. */
function readTree(dir: string, file: string): Tree | null {
  const text = readTextIfThere(join(dir, file));
  if (text === null) return null;
  const parsed = JSON.parse(text) as Tree | Listing;
  return typeof parsed.entries === 'object'
    ? (parsed as Tree)
    : { entries: parsed as Listing, times: {}, attributes: null };
}

/** Sizes of the large files there are copies of: what has none of these need not be read to know that it is none of them. */
type Kept = Set<number>;

function keptAlready(large: string): Kept {
  return new Set(existsSync(large) ? readdirSync(large).map((name) => lstatSync(join(large, name)).size) : []);
}

const mayBeKept = ({ size }: Stats, kept: Kept): boolean => size > LARGE_BYTES && kept.has(size);

/** Twice what is copied: the way back writes each file anew before that takes the place of the one that is there. */
async function roomObjection(deps: SnapshotDeps, dir: string, kept: Kept): Promise<string | null> {
  let bytes = 0;
  let largest = { path: '', size: 0 };
  for (const [path, stat] of walk(deps.roots.content)) {
    if (!stat.isFile()) continue;
    const { size } = stat;
    const there = mayBeKept(stat, kept) && existsSync(join(deps.large, await digestOf(path, stat)));
    bytes += there ? size : 2 * size;
    if (size > largest.size) largest = { path, size };
  }
  const objection = (deps.spaceObjection ?? spaceObjection)([{ path: files(dir), bytes }]);
  if (objection === null) return null;
  return `no snapshot: ${objection}; the largest of what would be copied is ${largest.path} with ${largest.size} bytes`;
}

interface Keeping {
  readonly path: string;
  readonly stat: Stats;
  readonly to: string;
  readonly kept: Kept;
}

/** The digest is of what was kept, whatever happens to the file meanwhile. */
async function keep(deps: SnapshotDeps, args: Keeping): Promise<string> {
  mkdirSync(dirname(args.to), { recursive: true, mode: 0o700 });
  if (args.stat.size <= LARGE_BYTES) return copyOf(args);
  if (mayBeKept(args.stat, args.kept)) {
    const known = join(deps.large, await digestOf(args.path, args.stat));
    if (existsSync(known)) {
      linkSync(known, args.to);
      return basename(known);
    }
  }
  const digest = await copyOf(args);
  args.kept.add(args.stat.size);
  mkdirSync(deps.large, { recursive: true, mode: 0o700 });
  if (!existsSync(join(deps.large, digest))) linkSync(args.to, join(deps.large, digest));
  return digest;
}

async function copyOf({ path, stat, to }: Omit<Keeping, 'kept'>): Promise<string> {
  const hash = createHash('sha256');
  const fd = openSync(to, 'wx', 0o600);
  try {
    for await (const piece of piecesOf(path)) {
      hash.update(piece);
      for (let done = 0; done < piece.length; ) done += writeSync(fd, piece, done);
    }
    // Others will rely on its name.
    if (stat.size > LARGE_BYTES) fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  return hash.digest('hex');
}

/** Attributes that are not ours to make: decisive where contents are kept, because there the file itself is made anew. */
function foreignAttributes(tree: Tree): { readonly decisive: readonly string[]; readonly other: readonly string[] } {
  const found = Object.entries(tree.attributes ?? {}).flatMap(([path, attributes]) =>
    Object.keys(attributes).flatMap((name) => (canPutBack(name) ? [] : [{ path, words: `${name} of ${path}` }])),
  );
  const words = (kept: boolean) =>
    found.filter(({ path }) => (tree.times[path] !== undefined) === kept).map((one) => one.words);
  return { decisive: words(true), other: words(false) };
}

function notKept(tree: Tree, attributes: readonly string[]): readonly string[] {
  const others = Object.entries(tree.entries).flatMap(([path, what]) => (what.startsWith('o ') ? [path] : []));
  const some = (list: readonly string[]) =>
    list.slice(0, MOST_NAMED).join(', ') + (list.length > MOST_NAMED ? ` and ${list.length - MOST_NAMED} more` : '');
  return [
    ...(tree.attributes === null
      ? ['extended attributes, ACLs and flags (chattr): this host has nothing to read them with (perl)']
      : []),
    ...(attributes.length === 0 ? [] : [some(attributes)]),
    ...(others.length === 0 ? [] : [`neither file, folder nor link: ${some(others)}`]),
  ];
}
