import type { FileHandle } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { extract } from 'tar-stream';
import { type ByteSource, limited } from './bytes.js';
import { debMembers, readMember } from './deb-archive.js';
import { compressionOf, decompress } from './decompress.js';
import { ContentError } from './errors.js';
import type { ContentStore } from './store.js';

export type PackageChangelog =
  | {
      readonly kind: 'changelog';
      readonly text: string /** Older entries were cut off. */;
      readonly truncated: boolean;
    }
  | { readonly kind: 'none'; readonly reason: string };

export interface ChangelogLimits {
  /** Bytes of the changelog read, unpacked. The newest entries come first, so what is cut is old. */
  readonly maxBytes?: number;
  /** Bytes of the package's content looked through, unpacked. */
  readonly maxPackageBytes?: number;
}

const DEFAULTS = { maxBytes: 2 * 1024 * 1024, maxPackageBytes: 4 * 1024 * 1024 * 1024 };

/**
 * Reads the changelog out of a package file in the store: the Debian one where there is one, else the package's own
 * (Policy 12.7). A package without one (its documentation is a link to another's, or is left out) is an answer, not a failure.
 * @throws ContentError `notStored`, `archiveMalformed`, `compressionBroken`
 */
export async function readChangelog(
  store: Pick<ContentStore, 'open'>,
  pkg: { readonly sha256: string; readonly name: string },
  limits: ChangelogLimits = {},
): Promise<PackageChangelog> {
  const { handle, size } = await store.open(pkg.sha256);
  try {
    return await changelogOf({ handle, size, name: pkg.name, limits: { ...DEFAULTS, ...limits } });
  } finally {
    await handle.close();
  }
}

/** Best first; the names are below the package's documentation folder. */
const NAMES = [
  /^changelog\.Debian\.gz$/,
  /^changelog\.Debian$/,
  /^changelog\.Debian\.[a-z0-9-]+\.gz$/,
  /^changelog\.gz$/,
  /^changelog$/,
];

interface Input {
  readonly handle: FileHandle;
  readonly size: number;
  readonly name: string;
  readonly limits: Required<ChangelogLimits>;
}

async function changelogOf({ handle, size, name, limits }: Input): Promise<PackageChangelog> {
  const data = (await debMembers(handle, size)).find((member) => /^data\.tar(\.(gz|xz|zst))?$/.test(member.name));
  if (data === undefined) return { kind: 'none', reason: 'its content is packed in a way that is not read' };
  const content = limited(decompress(readMember(handle, data), compressionOf(data.name), data.name), {
    what: `${name}: content`,
    maxBytes: limits.maxPackageBytes,
  });
  const folder = `usr/share/doc/${name}`;
  const archive = extract();
  // A failure reaches the loop below through the archive; this promise only repeats it.
  const fed = pipeline(Readable.from(content), archive).catch(() => undefined);
  let best: { rank: number; text: string; truncated: boolean } | null = null;
  let reason = `has no ${folder}/changelog`;
  try {
    for await (const entry of archive) {
      const path = entry.header.name.replace(/^(\.?\/)+/, '').replace(/\/$/, '');
      const file = path.startsWith(`${folder}/`) ? path.slice(folder.length + 1) : null;
      const rank = file === null ? -1 : NAMES.findIndex((pattern) => pattern.test(file));
      const isLink = entry.header.type === 'symlink' || entry.header.type === 'link';
      if (isLink && (path === folder || rank >= 0)) reason = `${path} is a link to ${entry.header.linkname}`;
      if (entry.header.type === 'file' && rank >= 0 && (best === null || rank < best.rank)) {
        best = { rank, ...(await readText(entry as unknown as ByteSource, path, limits.maxBytes)) };
        // Nothing further on can be better.
        if (rank === 0) break;
      } else {
        entry.resume();
      }
    }
  } catch (error) {
    if (error instanceof ContentError) throw error;
    throw new ContentError('archiveMalformed', `${name}: ${(error as Error).message}`, {}, error);
  } finally {
    archive.destroy();
    await fed;
  }
  return best === null ? { kind: 'none', reason } : { kind: 'changelog', text: best.text, truncated: best.truncated };
}

/** The first bytes of a changelog, unpacked. */
async function readText(
  entry: ByteSource,
  path: string,
  maxBytes: number,
): Promise<{ text: string; truncated: boolean }> {
  const packed: Uint8Array[] = [];
  let packedSize = 0;
  // The archive goes on only behind an entry that was read to its end.
  for await (const chunk of entry) {
    if (packedSize < maxBytes) packed.push(chunk);
    packedSize += chunk.byteLength;
  }
  const cut = packedSize > maxBytes;
  const chunks: Uint8Array[] = [];
  let size = 0;
  try {
    for await (const chunk of decompress(from(packed), compressionOf(path), path)) {
      chunks.push(chunk.subarray(0, maxBytes - size));
      size += chunk.byteLength;
      if (size > maxBytes) break;
    }
  } catch (error) {
    // What was cut can't unpack to its end; what came before counts.
    if (!cut) throw error;
  }
  return { text: Buffer.concat(chunks).toString('utf8'), truncated: cut || size > maxBytes };
}

async function* from(chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* chunks;
}
