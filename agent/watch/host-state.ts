/**
 * A stamp of what rules of a baseline look at and a host can change between scans: files of configuration, kernel settings as they hold, mounts,
 * packages and services. It differs when any of that does; no program is run, and of files no content is read.
 */
import { createHash } from 'node:crypto';
import { lstatSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { readOr } from '../system/lenient-reads.js';
import { createKernelSettings } from './kernel-settings.js';
import type { WatcherDeps } from './watcher.js';

export interface HostPlaces {
  /** Looked at with all that is below them. */
  readonly files: readonly string[];
  /** Folder of kernel settings. */
  readonly settings: string;
  /** The first that can be read counts: of the host, then of whatever namespace we are in. */
  readonly mounts: readonly string[];
  readonly packages: string;
  readonly services: () => readonly string[];
}

/** Everything a person configures. What packages bring besides comes with them. */
export const HOST: Omit<HostPlaces, 'services'> = {
  files: ['/etc', '/usr/local/etc', '/usr/lib/sysctl.d', '/run/sysctl.d', '/boot', '/var/spool/cron'],
  settings: '/proc/sys',
  mounts: ['/proc/1/mountinfo', '/proc/self/mountinfo'],
  packages: '/var/lib/dpkg/status',
};

/** Mounts that come and go with sessions and containers. */
const PASSING_MOUNT =
  /^\/(?:run\/(?:user|docker|containerd|netns|credentials)|var\/lib\/(?:docker|containers|containerd|kubelet|lxc)|proc|sys\/fs\/cgroup)(?:\/|$)/;

/** @returns the stamp of now */
export function createHostStamp(
  places: HostPlaces,
  deps: { readonly now: () => number; readonly log: WatcherDeps['log'] },
): () => string {
  const settings = createKernelSettings({ root: places.settings, ...deps });
  return () => {
    const hash = createHash('sha256');
    for (const part of [
      filesStamp(places.files),
      JSON.stringify(settings()),
      JSON.stringify(mountsOf(places.mounts)),
      packagesStamp(places.packages),
      JSON.stringify([...places.services()].sort()),
    ])
      hash.update(part).update('\0');
    return hash.digest('hex');
  };
}

/**
 * Changes when a file is written, made, removed, or gets another mode. By each path, not by the newest: a clock that was once ahead leaves a change
 * time that no later one exceeds.
 */
function filesStamp(roots: readonly string[]): string {
  const hash = createHash('sha256');
  const visit = (path: string): void => {
    try {
      const entry = lstatSync(path);
      hash.update(`${path}\0${entry.ctimeMs} ${entry.mtimeMs} ${entry.size} ${entry.ino} ${entry.mode}\0`);
      if (entry.isDirectory()) for (const name of readdirSync(path).sort()) visit(join(path, name));
    } catch {
      // Gone while we looked.
    }
  };
  for (const root of roots) visit(root);
  return hash.digest('hex');
}

/** Where something is mounted, with its options, kind and source (proc_pid_mountinfo(5)); not the numbers that are new at each boot. */
function mountsOf(files: readonly string[]): readonly string[] {
  for (const file of files) {
    const text = readOr(file, null);
    if (text === null) continue;
    return text
      .split('\n')
      .map((line) => line.split(' '))
      .filter(([, , , , at]) => at !== undefined && !PASSING_MOUNT.test(at))
      .map((fields) => [...fields.slice(3, 6), ...fields.slice(fields.indexOf('-') + 1)].join(' '))
      .sort();
  }
  return [];
}

/** dpkg writes its database anew whenever a package comes, goes or changes. */
function packagesStamp(path: string): string {
  try {
    const { mtimeMs, size, ino } = statSync(path);
    return `${mtimeMs} ${size} ${ino}`;
  } catch {
    return '';
  }
}
