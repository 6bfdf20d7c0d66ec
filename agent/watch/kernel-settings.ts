/** Kernel settings as they hold, less what is read and not set. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { WatcherDeps } from './watcher.js';

/**
 * Readings and commands, not settings; and what each interface of a container brings and takes with it. What the kernel moves itself though people
 * set it (it lowers kernel.perf_event_max_sample_rate, which rules test) is none of these: a change that nobody made costs one look of the scanner.
 */
const NO_SETTING = [
  /^(?:debug|dev|sunrpc|user)\//,
  /^kernel\/(?:random|pty\/nr$|ns_last_pid|tainted|sched_domain)/,
  /^fs\/(?:dentry-state|file-nr|inode-|aio-nr|quota|binfmt_misc|nfs)/,
  /^vm\/(?:stat_refresh|drop_caches|compact_memory|nr_)/,
  /^net\/(?:netfilter\/nf_conntrack_(?:count|buckets)|nf_conntrack|.*(?:\/flush|stable_secret|_secret|fastopen_key)$)/,
  /^net\/ipv[46]\/(?:conf|neigh)\/(?!$|all\/|default\/)/,
];
/** A setting that differed at so many looks in a row is taken for a reading that nobody has told us of. */
const READING_AFTER = 4;
/** For so long, ms. Then it is looked at as before: somebody may only have been trying values. */
const READING_FOR = 3_600_000;

interface Known {
  readonly value: string;
  /** Looks in a row at which it was another one. */
  readonly changes: number;
}

/** @returns settings by their path below the folder, sorted. @param deps.now ms, of a clock that never goes back */
export function createKernelSettings(deps: {
  readonly root: string;
  readonly now: () => number;
  readonly log: WatcherDeps['log'];
}): () => readonly (readonly [string, string])[] {
  const { root } = deps;
  let known = new Map<string, Known>();
  const readingsUntil = new Map<string, number>();
  return () => {
    const at = deps.now();
    for (const [path, until] of readingsUntil) if (until <= at) readingsUntil.delete(path);
    const now = new Map<string, Known>();
    const visit = (below: string): void => {
      for (const entry of entriesOf(join(root, below))) {
        const path = below === '' ? entry.name : `${below}/${entry.name}`;
        if (readingsUntil.has(path)) continue;
        if (NO_SETTING.some((one) => one.test(entry.isDirectory() ? `${path}/` : path))) continue;
        if (entry.isDirectory()) visit(path);
        else {
          const value = readSetting(join(root, path));
          const before = known.get(path);
          if (value === null) continue;
          const changes = before === undefined || before.value === value ? 0 : before.changes + 1;
          if (changes < READING_AFTER) now.set(path, { value, changes });
          else {
            readingsUntil.set(path, at + READING_FOR);
            deps.log('a kernel setting differs at every look and is not watched for an hour', { setting: path });
          }
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
