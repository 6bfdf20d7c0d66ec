/** How full the server's disks are, for the heartbeat to tell. */
import { statfs } from 'node:fs/promises';
import type { WatchedDisk } from '../domain/server-disk.js';

export interface WatchedFolder {
  readonly name: string;
  readonly path: string;
}

export async function lookAtDisks(folders: readonly WatchedFolder[]): Promise<readonly WatchedDisk[]> {
  return Promise.all(
    folders.map(async (folder) => {
      const found = await statfs(folder.path).catch(() => null);
      if (found === null) return { ...folder, freeBytes: null, totalBytes: null };
      return { ...folder, freeBytes: found.bavail * found.bsize, totalBytes: found.blocks * found.bsize };
    }),
  );
}
