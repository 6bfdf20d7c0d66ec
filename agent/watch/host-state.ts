/**
 * A stamp of what rules of a baseline look at and a host can change between scans: files of configuration, kernel settings as they hold, mounts,
 * packages and services. It differs when any of that does; no program is run, and of files no content is read.
 */
import { createHash } from 'node:crypto';
import { lstatSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

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
  files: ['/etc', '/usr/local/etc', '/usr/lib/sysctl.d', '/run/sysctl.d', '/boot/grub', '/var/spool/cron'],
  settings: '/proc/sys',
  mounts: ['/proc/1/mountinfo', '/proc/self/mountinfo'],
  packages: '/var/lib/dpkg/status',
};

/** Readings and commands, not settings; and what each interface of a container brings and takes with it. */
const NO_SETTING = [
  /^(?:debug|dev|sunrpc|user)\//,
  /^kernel\/(?:random|pty\/nr$|ns_last_pid|tainted|perf_event_max_sample_rate|sched_domain)/,
  /^fs\/(?:dentry-state|file-nr|inode-|aio-nr|quota|binfmt_misc|nfs)/,
  /^vm\/(?:stat_refresh|drop_caches|compact_memory|nr_)/,
  /^net\/(?:netfilter\/nf_conntrack_(?:count|buckets)|nf_conntrack|.*(?:\/flush|stable_secret|_secret|fastopen_key)$)/,
  /^net\/ipv[46]\/(?:conf|neigh)\/(?!$|all\/|default\/)/,
];
/** A setting that differed at so many looks in a row is a reading that nobody has told us of. */
const READING_AFTER = 4;
/** Mounts that come and go with sessions and containers. */
const PASSING_MOUNT =
  /^\/(?:run\/(?:user|docker|containerd|netns|credentials)|var\/lib\/(?:docker|containers|containerd|kubelet|lxc)|proc|sys\/fs\/cgroup)(?:\/|$)/;

/** @returns the stamp of now */
export function createHostStamp(places: HostPlaces): () => string {
  const settings = createSettings(places.settings);
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

/** Changes when a file is written, made, removed, or gets another mode. */
function filesStamp(roots: readonly string[]): string {
  let newest = 0;
  let count = 0;
  const visit = (path: string): void => {
    try {
      const entry = lstatSync(path);
      count += 1;
      newest = Math.max(newest, entry.ctimeMs);
      if (entry.isDirectory()) for (const name of readdirSync(path)) visit(join(path, name));
    } catch {
      // Gone while we looked.
    }
  };
  for (const root of roots) visit(root);
  return `${newest} ${count}`;
}

interface Known {
  readonly value: string;
  /** Looks in a row at which it was another one. */
  readonly changes: number;
}

/** Settings by their path below the folder, less what turned out to be readings. */
function createSettings(root: string): () => readonly (readonly [string, string])[] {
  let known = new Map<string, Known>();
  const readings = new Set<string>();
  return () => {
    const now = new Map<string, Known>();
    const visit = (below: string): void => {
      for (const entry of entriesOf(join(root, below))) {
        const path = below === '' ? entry.name : `${below}/${entry.name}`;
        if (readings.has(path) || NO_SETTING.some((one) => one.test(entry.isDirectory() ? `${path}/` : path))) continue;
        if (entry.isDirectory()) visit(path);
        else {
          const value = readSetting(join(root, path));
          const before = known.get(path);
          if (value === null) continue;
          const changes = before === undefined || before.value === value ? 0 : before.changes + 1;
          if (changes >= READING_AFTER) readings.add(path);
          else now.set(path, { value, changes });
        }
      }
    };
    visit('');
    known = now;
    return [...now].map(([path, { value }]) => [path, value] as const).sort(([a], [b]) => (a < b ? -1 : 1));
  };
}

function entriesOf(path: string) {
  try {
    return readdirSync(path, { withFileTypes: true });
  } catch {
    return [];
  }
}

/** Null: it can only be written, or not be read just now. */
function readSetting(path: string): string | null {
  try {
    return readFileSync(path, 'latin1').slice(0, 4_096);
  } catch {
    return null;
  }
}

/** Where something is mounted, with its options, kind and source (proc_pid_mountinfo(5)); not the numbers that are new at each boot. */
function mountsOf(files: readonly string[]): readonly string[] {
  for (const file of files) {
    const text = readSettingWhole(file);
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

function readSettingWhole(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
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
