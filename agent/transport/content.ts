/** Files by digest: fetched once, resumed after a break, verified while they stream, and trusted for nothing but that. */
import { createHash, type Hash } from 'node:crypto';
import {
  closeSync,
  createReadStream,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeSync,
} from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { syncPath } from '../system/files.js';
import { freeBytesAt, hostMounts, mountOf, notEnough, SPACE_MARGIN } from '../system/mounts.js';
import { asTransportError, TransportError } from './http.js';

export interface ContentFile {
  /** Lower-case hex. */
  readonly sha256: string;
  /** Bytes. */
  readonly size: number;
}

/** The bytes that arrived are not the ones the order names. */
export class ContentDiffers extends Error {
  override readonly name = 'ContentDiffers';
}

export interface ContentCache {
  /** The file's path, fetching it if need be. @throws ContentDiffers | GatewayRefused | TransportError */
  ensure(
    file: ContentFile,
    options: { readonly bytesPerSecond: number | null; readonly signal?: AbortSignal },
  ): Promise<string>;
  has(file: ContentFile): boolean;
  /**
   * Why these files, and roughly what installing them takes, do not fit on the disk; null when they do. Asked before anything
   * is fetched; once the files are there, what they hold is asked of each filesystem (`footprint`).
   */
  spaceObjection(files: readonly ContentFile[]): string | null;
  /** Removes what no digest in `keep` names and nobody used for 30 days. */
  clean(keep: ReadonlySet<string>, now: number): void;
}

/** Unpacked files, the package database's copies and the download itself: about three times the packages' size. */
const SPACE_FACTOR = 3;
const UNUSED_MS = 30 * 24 * 3_600_000;

export function createContentCache(deps: {
  readonly dir: string;
  readonly fetch: (sha256: string, offset: number) => Promise<IncomingMessage>;
  /** The filesystem most of a package is unpacked to; default: the one that holds /usr. */
  readonly installRoot?: string;
  readonly freeBytes?: (path: string) => number;
  readonly sleep?: (ms: number) => Promise<void>;
}): ContentCache {
  mkdirSync(deps.dir, { recursive: true, mode: 0o755 });
  const pathOf = (file: ContentFile) => join(deps.dir, `${file.sha256}.deb`);
  const has = (file: ContentFile) => existsSync(pathOf(file)) && statSync(pathOf(file)).size === file.size;
  /** Read anew before each use: a disk that rots, or somebody's hand, must not reach the package manager. */
  const isWhole = async (file: ContentFile) => {
    const hash = createHash('sha256');
    await hashFile(pathOf(file), hash, file.size);
    return hash.digest('hex') === file.sha256;
  };
  const sleep = deps.sleep ?? ((ms) => new Promise((resolve) => setTimeout(resolve, ms)));

  return {
    has,
    async ensure(file, options) {
      const path = pathOf(file);
      if (has(file) && (await isWhole(file))) {
        utimesSync(path, new Date(), new Date());
        return path;
      }
      const part = join(deps.dir, `${file.sha256}.part`);
      const resumed = existsSync(part) ? Math.min(statSync(part).size, file.size) : 0;
      const hash = createHash('sha256');
      if (resumed > 0) await hashFile(part, hash, resumed);
      if (resumed < file.size) await download({ deps, file, part, hash, resumed, options, sleep });
      const digest = hash.digest('hex');
      if (digest !== file.sha256) {
        rmSync(part, { force: true });
        throw new ContentDiffers(`the bytes served as ${file.sha256} have the digest ${digest}`);
      }
      syncPath(part);
      renameSync(part, path);
      syncPath(deps.dir);
      return path;
    },
    spaceObjection(files) {
      const missing = files.filter((file) => !has(file)).reduce((sum, file) => sum + file.size, 0);
      const all = files.reduce((sum, file) => sum + file.size, 0);
      const free = deps.freeBytes ?? freeBytesAt;
      return (
        objection({ path: deps.installRoot ?? usrMount(), need: SPACE_FACTOR * all + SPACE_MARGIN, free }) ??
        objection({ path: deps.dir, need: missing + SPACE_MARGIN, free })
      );
    },
    clean(keep, now) {
      for (const name of readdirSync(deps.dir)) {
        const path = join(deps.dir, name);
        if (!keep.has(name.slice(0, 64)) && now - statSync(path).mtimeMs > UNUSED_MS) rmSync(path, { force: true });
      }
    },
  };
}

async function download(args: {
  readonly deps: Parameters<typeof createContentCache>[0];
  readonly file: ContentFile;
  readonly part: string;
  readonly hash: Hash;
  readonly resumed: number;
  readonly options: Parameters<ContentCache['ensure']>[1];
  readonly sleep: (ms: number) => Promise<void>;
}): Promise<void> {
  const reply = await args.deps.fetch(args.file.sha256, args.resumed);
  // A server that does not know ranges sends everything: then what we have is worth nothing.
  if (args.resumed > 0 && reply.statusCode !== 206) {
    reply.destroy();
    rmSync(args.part, { force: true });
    throw new TransportError('the server sent the whole file instead of its rest');
  }
  const fd = openSync(args.part, args.resumed > 0 ? 'r+' : 'w', 0o644);
  let at = args.resumed;
  const started = Date.now();
  try {
    for await (const chunk of reply as AsyncIterable<Buffer>) {
      if (at + chunk.length > args.file.size)
        throw new ContentDiffers(`more than ${args.file.size} bytes came for ${args.file.sha256}`);
      for (let done = 0; done < chunk.length; ) done += writeSync(fd, chunk, done, chunk.length - done, at + done);
      args.hash.update(chunk);
      at += chunk.length;
      if (args.options.signal?.aborted === true) throw new TransportError('fetching was stopped');
      await pace({
        bytes: at - args.resumed,
        ms: Date.now() - started,
        rate: args.options.bytesPerSecond,
        sleep: args.sleep,
      });
    }
    if (at < args.file.size) throw new TransportError(`the connection ended after ${at} of ${args.file.size} bytes`);
    fsyncSync(fd);
  } catch (error) {
    if (error instanceof ContentDiffers) rmSync(args.part, { force: true });
    throw error instanceof ContentDiffers || isDiskError(error) ? error : asTransportError(error);
  } finally {
    closeSync(fd);
    reply.destroy();
  }
}

async function pace(args: {
  bytes: number;
  ms: number;
  rate: number | null;
  sleep: (ms: number) => Promise<void>;
}): Promise<void> {
  if (args.rate === null) return;
  const ahead = (args.bytes / args.rate) * 1_000 - args.ms;
  if (ahead > 50) await args.sleep(ahead);
}

function isDiskError(error: unknown): boolean {
  return ['ENOSPC', 'EDQUOT', 'EIO', 'EROFS'].includes((error as NodeJS.ErrnoException).code ?? '');
}

async function hashFile(path: string, hash: Hash, bytes: number): Promise<void> {
  for await (const chunk of createReadStream(path, { end: bytes - 1 })) hash.update(chunk as Buffer);
}

function objection(args: { path: string; need: number; free: (path: string) => number }): string | null {
  const free = args.free(args.path);
  return free >= args.need ? null : notEnough({ mount: args.path, needed: args.need, free });
}

const usrMount = (): string =>
  mountOf(
    '/usr',
    [...hostMounts()].sort((a, b) => b.length - a.length),
  );
