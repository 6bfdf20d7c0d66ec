/** The server's own disks: PostgreSQL, Temporal and the content store stop, or worse, when theirs is full. */

export interface WatchedDisk {
  /** What lives on it: `content`, `postgresql`, `temporal`, or as its operator calls it. */
  readonly name: string;
  readonly path: string;
  /** For whoever is not root; null when the folder can't be looked at. */
  readonly freeBytes: number | null;
  readonly totalBytes: number | null;
}

/** `low`: a person has time to act. `full`: nothing is fetched any more, so that what is left is the databases'. */
export type DiskState = 'ok' | 'low' | 'full' | 'unknown';

/** Told when less than so many times the reserve is free. */
const LOW_AT = 2;

/** @param reserveBytes never to be used by what is fetched */
export function stateOfDisk({ freeBytes }: Pick<WatchedDisk, 'freeBytes'>, reserveBytes: number): DiskState {
  if (freeBytes === null) return 'unknown';
  if (freeBytes < reserveBytes) return 'full';
  return freeBytes < LOW_AT * reserveBytes ? 'low' : 'ok';
}

/** Which disk, how much is left, and what follows; null when there is nothing to say of it. */
export function diskTrouble(disk: WatchedDisk, reserveBytes: number): string | null {
  const state = stateOfDisk(disk, reserveBytes);
  if (state === 'ok') return null;
  const where = `the disk of ${disk.name} (${disk.path})`;
  if (state === 'unknown') return `${where} can't be looked at`;
  const left = `${where} has ${mebibytes(disk.freeBytes)} of ${mebibytes(disk.totalBytes)} free`;
  return state === 'full' ? `${left}: nothing is fetched until there are ${mebibytes(reserveBytes)}` : left;
}

const mebibytes = (bytes: number | null): string => `${Math.floor((bytes ?? 0) / 1024 ** 2)} MiB`;
