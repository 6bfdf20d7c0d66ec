/** Files that must be whole after a power cut, and files we only trust when nobody but root could have written them. */
import {
  closeSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  statSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';

/** Writes so that after a crash either the old or the new content is there, whole. Makes the folder. */
export function writeFileDurably(path: string, content: string | Buffer, mode = 0o600): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const temporary = `${path}.new`;
  const bytes = Buffer.isBuffer(content) ? content : Buffer.from(content, 'utf8');
  const fd = openSync(temporary, 'w', mode);
  try {
    for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(temporary, path);
  syncPath(dirname(path));
}

/** Puts a file's or folder's own state on disk. */
export function syncPath(path: string): void {
  const fd = openSync(path, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** The file's text, or null when there is none. @throws on any other trouble reading it. */
export function readTextIfThere(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

export type TrustedProgram =
  | { readonly ok: true; readonly path: string }
  | { readonly ok: false; readonly reason: string };

/**
 * The program `name` in a folder its owner fills by hand (hooks.d, checks.d). It must be a plain executable file, not a
 * link, and like its folder belong to root and be writable by nobody else; else whoever can write it is root through us.
 * `name` comes from a signed order: letters, digits and dashes only, so it can't leave the folder.
 */
export function findTrustedProgram(args: {
  readonly dir: string;
  readonly name: string;
  readonly ownerUid: number;
}): TrustedProgram {
  const path = join(args.dir, args.name);
  if (!/^[a-z0-9][a-z0-9-]{0,63}$/.test(args.name)) return { ok: false, reason: 'is not a plain name' };
  try {
    const folder = statSync(realpathSync(args.dir));
    const file = lstatSync(path);
    if (!file.isFile()) return { ok: false, reason: 'is not a plain file' };
    if (folder.uid !== args.ownerUid || file.uid !== args.ownerUid)
      return { ok: false, reason: 'does not belong to root' };
    if ((file.mode & 0o022) !== 0 || (folder.mode & 0o022) !== 0)
      return { ok: false, reason: 'can be written by others than root' };
    if ((file.mode & 0o100) === 0) return { ok: false, reason: 'is not executable' };
    return { ok: true, path };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return { ok: false, reason: code === 'ENOENT' ? `is not installed in ${args.dir}` : `can't be read (${code})` };
  }
}
