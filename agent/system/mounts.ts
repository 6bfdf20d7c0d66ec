/** Which filesystem a path is on, and whether what will be written fits on each. */
import { realpathSync, statfsSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { readTextIfThere } from './files.js';

/** Bytes that will come to be at a path. */
export interface Write {
  readonly path: string;
  readonly bytes: number;
}

export interface MountSpace {
  /** Mount points of this host. */
  readonly mounts: () => readonly string[];
  readonly freeBytes: (mount: string) => number;
  /** The path with its folders' links followed, as far as they are there. */
  readonly real: (path: string) => string;
  /** Same text: the same filesystem, mounted twice. */
  readonly filesystem: (mount: string) => string;
}

/** Left free on every filesystem that is written to. */
export const SPACE_MARGIN = 64 * 1024 * 1024;
const MEGABYTE = 1024 * 1024;

/**
 * Why this does not fit, by the first filesystem it does not fit on; null when it does. @param space of this host; tests
 * give another
 */
export function spaceObjection(writes: readonly Write[], space: MountSpace = hostSpace()): string | null {
  const mounts = [...space.mounts()].sort((a, b) => b.length - a.length);
  const needs = new Map<string, { mount: string; bytes: number }>();
  const folders = new Map<string, string>();
  for (const { path, bytes } of writes) {
    const folder = dirname(path);
    const mount = folders.get(folder) ?? mountOf(space.real(folder), mounts);
    folders.set(folder, mount);
    const key = space.filesystem(mount);
    const before = needs.get(key);
    needs.set(key, { mount: before?.mount ?? mount, bytes: (before?.bytes ?? SPACE_MARGIN) + bytes });
  }
  for (const { mount, bytes } of needs.values()) {
    const free = space.freeBytes(mount);
    if (free < bytes) return notEnough({ mount, needed: bytes, free });
  }
  return null;
}

export function notEnough(args: { readonly mount: string; readonly needed: number; readonly free: number }): string {
  const megabytes = (bytes: number) => `${Math.ceil(bytes / MEGABYTE)} MB`;
  return `not enough disk space on ${args.mount}: ${args.needed} bytes (${megabytes(args.needed)}) needed, ${args.free} bytes (${megabytes(args.free)}) free`;
}

/** The mount point a path is below; `mounts` longest first. */
export function mountOf(path: string, mounts: readonly string[]): string {
  return mounts.find((mount) => mount === '/' || path === mount || path.startsWith(`${mount}/`)) ?? '/';
}

/** Mount points from the text of /proc/self/mountinfo (proc(5)): the fifth field, blanks and such written in octal. */
export function parseMounts(mountinfo: string): string[] {
  return mountinfo
    .split('\n')
    .flatMap((line) => line.split(' ')[4] ?? [])
    .map((field) => field.replace(/\\([0-7]{3})/g, (_, octal) => String.fromCharCode(Number.parseInt(octal, 8))));
}

export function freeBytesAt(path: string): number {
  const { bavail, bsize } = statfsSync(path);
  return bavail * bsize;
}

export const hostMounts = (): readonly string[] => parseMounts(readTextIfThere('/proc/self/mountinfo') ?? '');

function hostSpace(): MountSpace {
  return {
    mounts: hostMounts,
    freeBytes: freeBytesAt,
    real: realFolder,
    filesystem: (mount) => String(statSync(mount).dev),
  };
}

/** Packages name `/lib/…` where that is a link into `/usr`; what is not there yet is below what is. */
function realFolder(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path === '/'
      ? '/'
      : `${realFolder(dirname(path))}/${path.slice(dirname(path).length).replace(/^\/+/, '')}`.replace(/^\/\//, '/');
  }
}
