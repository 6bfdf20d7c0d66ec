import { createHash, randomUUID } from 'node:crypto';
import { type FileHandle, mkdir, open, readdir, rename, rm, stat, statfs, utimes } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { isSha256 } from '../../domain/content/canonical.js';
import type { EpochMs } from '../../domain/time.js';
import { type ByteSource, verified } from './bytes.js';
import { ContentError, messageOf } from './errors.js';

export interface StoredContent {
  readonly sha256: string;
  /** Bytes. */
  readonly size: number;
}

export interface PutInput extends StoredContent {
  /** What it is, for messages: a file name, a package. */
  readonly what: string;
  readonly stream: ByteSource;
}

/** Files by their SHA-256, on disk. A name in the store is a promise: what is there was whole and genuine when it was put. */
export interface ContentStore {
  /**
   * Stores a stream once its size and digest are what they should be; else nothing remains of it. Already there: nothing is read.
   * @throws ContentError `sizeMismatch`, `digestMismatch`, `noSpace`, `badDigest`, and whatever the stream throws.
   */
  put(input: PutInput): Promise<StoredContent & { readonly existed: boolean }>;
  has(sha256: string): Promise<boolean>;
  /** Bytes, or null when not stored. */
  size(sha256: string): Promise<number | null>;
  /** Whether a file of that size is stored; if so it counts as used now, and garbage collection leaves it alone. */
  touch(content: StoredContent): Promise<boolean>;
  /** The file, to be closed by the caller. @throws ContentError `notStored` */
  open(sha256: string): Promise<{ readonly handle: FileHandle; readonly size: number }>;
  /** Reads the file again. False: it rotted, and was taken away so that it can be fetched anew. @throws ContentError `notStored` */
  verify(sha256: string): Promise<boolean>;
  /**
   * Makes sure that so many bytes fit, beside what is being written and the reserve.
   * @throws ContentError `noSpace`, with `needed` and `available` bytes.
   */
  ensureSpace(bytes: number): Promise<void>;
  /**
   * Removes what is not in `keep` and was last put before `unusedSince`, and the remains of writers that died. The grace protects what
   * was fetched after the keep-set was drawn up.
   */
  collectGarbage(input: {
    keep: ReadonlySet<string>;
    unusedSince: EpochMs;
    /** Files at most; default: all. */
    most?: number;
  }): Promise<{ removed: number; freedBytes: number }>;
}

export interface ContentStoreOptions {
  /** Folder; made when missing. */
  readonly root: string;
  /** Bytes of the disk never to be used. */
  readonly reserveBytes?: number;
  /** Folders on other disks that must not run full either: while one is below the reserve, nothing is put. */
  readonly alsoSpare?: readonly { readonly name: string; readonly path: string }[];
  /** For tests: bytes free on the disk that holds a folder. */
  readonly freeBytes?: (folder: string) => Promise<number>;
}

const DEFAULT_RESERVE = 512 * 1024 * 1024;
const PARTIAL = 'partial';

/**
 * Opens a content store at `root`; files are at `ab/cd/<sha256>`.
 * @throws ContentError `storeUnusable` when the folder can't be made or written.
 */
export async function openContentStore(options: ContentStoreOptions): Promise<ContentStore> {
  const { root, reserveBytes = DEFAULT_RESERVE, alsoSpare = [], freeBytes = freeBytesOf } = options;
  const partial = join(root, PARTIAL);
  await mkdir(partial, { recursive: true, mode: 0o755 }).catch((error: unknown) => {
    throw new ContentError('storeUnusable', `content store ${root}: ${messageOf(error)}`, {}, error);
  });
  let promised = 0;

  const pathOf = (sha256: string): string => {
    if (!isSha256(sha256))
      throw new ContentError('badDigest', `${JSON.stringify(sha256)} is not a lower-case hex SHA-256`);
    return join(root, sha256.slice(0, 2), sha256.slice(2, 4), sha256);
  };
  const size = async (sha256: string): Promise<number | null> => {
    const found = await stat(pathOf(sha256)).catch(nullIfMissing);
    return found === null || !found.isFile() ? null : found.size;
  };
  const touch: ContentStore['touch'] = async (content) => {
    if ((await size(content.sha256)) !== content.size) return false;
    const now = new Date();
    const gone = await utimes(pathOf(content.sha256), now, now).catch(nullIfMissing);
    return gone !== null;
  };
  const openStored: ContentStore['open'] = async (sha256) => {
    const handle = await open(pathOf(sha256), 'r').catch(nullIfMissing);
    if (handle === null) throw new ContentError('notStored', `content ${sha256} is not in the store`, { sha256 });
    return { handle, size: (await handle.stat()).size };
  };
  const ensureSpace = async (bytes: number): Promise<void> => {
    const available = Math.max(0, (await freeBytes(root)) - reserveBytes - promised);
    if (bytes > available) throw noSpace(root, { needed: bytes, available });
    for (const { name, path } of bytes === 0 ? [] : alsoSpare) {
      // One that can't be looked at is told in the heartbeat; it says nothing about space.
      const free = await freeBytes(path).catch(() => reserveBytes);
      if (free < reserveBytes)
        throw new ContentError(
          'noSpace',
          `the disk of ${name} (${path}) has ${free} bytes free, ${reserveBytes} are kept free: nothing is fetched meanwhile`,
          { needed: bytes, available: 0 },
        );
    }
  };

  return {
    size,
    touch,
    open: openStored,
    ensureSpace,
    has: async (sha256) => (await size(sha256)) !== null,

    async put({ sha256, size: expected, what, stream }) {
      const path = pathOf(sha256);
      if (await touch({ sha256, size: expected })) return { sha256, size: expected, existed: true };
      await ensureSpace(expected);
      promised += expected;
      const part = join(partial, `${sha256}.${randomUUID()}`);
      try {
        await writeDurably(part, verified(stream, { what, sha256, size: expected }));
        await mkdir(dirname(path), { recursive: true });
        await rename(part, path);
        await syncFolders(root, path);
        return { sha256, size: expected, existed: false };
      } catch (error) {
        await rm(part, { force: true });
        if (isDiskFull(error)) {
          const available = await freeBytes(root).catch(() => 0);
          throw noSpace(root, { needed: expected, available }, error);
        }
        throw error;
      } finally {
        promised -= expected;
      }
    },

    async verify(sha256) {
      const { handle } = await openStored(sha256);
      const hash = createHash('sha256');
      try {
        for await (const chunk of handle.createReadStream({ autoClose: false })) hash.update(chunk as Buffer);
      } finally {
        await handle.close();
      }
      if (hash.digest('hex') === sha256) return true;
      await rm(pathOf(sha256), { force: true });
      return false;
    },

    async collectGarbage({ keep, unusedSince, most = Number.POSITIVE_INFINITY }) {
      let removed = 0;
      let freedBytes = 0;
      for await (const path of filesBelow(root)) {
        if (removed >= most) break;
        const name = path.slice(path.lastIndexOf('/') + 1);
        const found = await stat(path).catch(nullIfMissing);
        if (found === null || found.mtimeMs >= unusedSince || keep.has(name)) continue;
        await rm(path, { force: true });
        removed += 1;
        freedBytes += found.size;
      }
      return { removed, freedBytes };
    },
  };
}

/** Writes and flushes a new file; a name must never appear in the store before its bytes are on the disk. */
async function writeDurably(path: string, stream: ByteSource): Promise<void> {
  const handle = await open(path, 'wx', 0o644);
  try {
    for await (const chunk of stream) {
      for (let done = 0; done < chunk.byteLength; ) {
        done += (await handle.write(chunk, done, chunk.byteLength - done)).bytesWritten;
      }
    }
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Flushes the folders between the root and a file, so that its name survives a power cut. */
async function syncFolders(root: string, path: string): Promise<void> {
  for (let folder = dirname(path); folder.length >= root.length; folder = dirname(folder)) {
    const handle = await open(folder, 'r');
    await handle.sync().finally(() => handle.close());
    if (folder === dirname(folder)) return;
  }
}

async function* filesBelow(root: string): AsyncGenerator<string> {
  const partial = join(root, PARTIAL);
  for (const name of await readdir(partial)) yield join(partial, name);
  const isPair = (name: string): boolean => /^[0-9a-f]{2}$/.test(name);
  for (const first of (await readdir(root)).filter(isPair)) {
    for (const second of (await readdir(join(root, first))).filter(isPair)) {
      for (const name of await readdir(join(root, first, second))) {
        if (isSha256(name)) yield join(root, first, second, name);
      }
    }
  }
}

async function freeBytesOf(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder);
  return bavail * bsize;
}

function noSpace(root: string, space: { needed: number; available: number }, cause?: unknown): ContentError {
  const text = `content store ${root}: ${space.needed} bytes needed, ${space.available} available`;
  return new ContentError('noSpace', text, space, cause);
}

const codeOf = (error: unknown): unknown => (error as { code?: unknown } | null)?.code;
const isDiskFull = (error: unknown): boolean => ['ENOSPC', 'EDQUOT'].includes(String(codeOf(error)));

function nullIfMissing(error: unknown): null {
  if (codeOf(error) === 'ENOENT') return null;
  throw error;
}
