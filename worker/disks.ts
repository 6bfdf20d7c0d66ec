/** How full the server's disks are, for the heartbeat to tell. */
import { statfs } from 'node:fs/promises';
import type { WatchedDisk } from '../domain/server-disk.js';

export interface WatchedFolder {
  readonly name: string;
  readonly path: string;
}

export interface DiskWatch {
  /** One that does not answer in time (a mount whose server is away) counts as one that can't be looked at. */
  readonly look: () => Promise<readonly WatchedDisk[]>;
}

const PATIENCE_MS = 3_000;

/** @param size bytes of the disk that holds a folder, free and in all */
export function watchDisks(folders: readonly WatchedFolder[], size = sizeOf, patienceMs = PATIENCE_MS): DiskWatch {
  // Each look that hangs holds one of the process's few threads for files: never two at one folder.
  const underWay = new Map<string, Promise<Size>>();
  const ask = (path: string): Promise<Size> => {
    const asked = underWay.get(path) ?? size(path).finally(() => underWay.delete(path));
    underWay.set(path, asked);
    return asked;
  };
  return {
    look: () =>
      Promise.all(
        folders.map(async (folder) => ({
          ...folder,
          ...(await within(ask(folder.path), patienceMs).catch(() => UNKNOWN)),
        })),
      ),
  };
}

type Size = Pick<WatchedDisk, 'freeBytes' | 'totalBytes'>;
const UNKNOWN: Size = { freeBytes: null, totalBytes: null };

async function sizeOf(path: string): Promise<Size> {
  const { bavail, blocks, bsize } = await statfs(path);
  return { freeBytes: bavail * bsize, totalBytes: blocks * bsize };
}

/** @throws Error when it takes longer; it goes on all the same. */
async function within<T>(work: Promise<T>, ms: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${ms} ms`)), ms);
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}
