/**
 * A stamp of modes and owners where programs, logs and homes are, for the rules that look at them. There are far more files there than
 * people configure, so it is made more rarely than the host's stamp, only when a watched rule needs it, and never of more than fits its bounds.
 */
import { createHash } from 'node:crypto';
import { lstatSync, readdirSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { readTextIfThere } from '../system/files.js';
import { parseMounts } from '../system/mounts.js';
import type { WatcherDeps } from './watcher.js';

const PROGRAMS = ['/usr/bin', '/usr/sbin', '/usr/libexec', '/usr/local/bin', '/usr/local/sbin'] as const;
const LIBRARIES = ['/usr/lib', '/usr/lib64', '/usr/local/lib'] as const;
const HOMES = ['/home', '/root'] as const;
const LOGS = ['/var/log'] as const;

/**
 * Rules by the names that the data streams' templates give them. One that is neither known to look at no modes (or at those of what people
 * configure) nor at one of these places is taken to look at all but libraries.
 */
const LOOKS_AT_NONE =
  /^(?:account_|accounts_(?:password|passwords|tmout|umask|max|maximum|minimum|no|set)_|aide_|apt_|audit_|auditd_|chronyd_|configure_|disable_|grub2_|kernel_|mount_option_|package_|partition_|postfix_|rsyslog_(?!files_)|service_|set_|sshd_|sudo_|sudoers_|sysctl_|timer_)|_etc_|_sshd_|_grub2_|_systemmap$|_user_cfg$/;
const LOOKS_AT: readonly (readonly [RegExp, readonly string[]])[] = [
  [/library_dirs/, LIBRARIES],
  [/binary_dirs|system_commands_dirs|root_path_dirs/, PROGRAMS],
  [/home|user_dot|user_init_files/, HOMES],
  [/var_log|rsyslog_files/, LOGS],
];
const ALL = [...PROGRAMS, ...HOMES, ...LOGS];

/** Looked at so often, ms: with the scanner's time after it, within a minute. */
const EVERY_MS = 30_000;
/** Below each root, what is nearest to it first. */
const BOUNDS = { paths: 25_000, ms: 1_500 } as const;
/** Looked at before others get their turn. */
const PIECE = 500;
/** Its server may be away, and then whoever looks waits for ever. By the type in mountinfo. */
const OF_OTHERS = / - (?:nfs|cifs|smb|afs|ceph|glusterfs|lustre|9p|fuse|autofs|ncp|coda)/;

/** Where the rules look at modes and owners, beyond what the host's stamp holds anyway. @param rules ids */
export function modeRootsOf(rules: readonly string[]): readonly string[] {
  const roots = rules.flatMap((id) => {
    const name = id.replace(/^xccdf_.*?_rule_/, '');
    if (LOOKS_AT_NONE.test(name)) return [];
    const found = LOOKS_AT.flatMap(([names, places]) => (names.test(name) ? places : []));
    return found.length > 0 ? found : ALL;
  });
  return [...new Set(roots)].sort();
}

export interface ModesDeps {
  /** ms, of a clock that never goes back. */
  readonly now: () => number;
  readonly log: WatcherDeps['log'];
  readonly bounds?: { readonly paths: number; readonly ms: number };
  readonly mounts?: string;
}

interface Made {
  readonly stamp: string;
  readonly at: number;
  /** Paths that are looked at, from when until when: where time ran out once it is cut off at the same place for a while, or nothing would compare. */
  readonly cut: { readonly paths: number; readonly until: number } | null;
}
const CUT_FOR_MS = 3_600_000;

/** @returns the stamp of the roots, made anew when the last one is old enough; for no roots always the same */
export function createModesStamp(deps: ModesDeps): (roots: readonly string[]) => Promise<string> {
  const bounds = deps.bounds ?? BOUNDS;
  const made = new Map<string, Made>();
  const stampOf = async (root: string, mountedAway: () => ReadonlySet<string>): Promise<string> => {
    const before = made.get(root);
    const at = deps.now();
    if (before !== undefined && at - before.at < EVERY_MS) return before.stamp;
    const known = before?.cut && before.cut.until > at ? before.cut : null;
    const { stamp, cutAt } = await stampBelow({
      root,
      away: mountedAway(),
      paths: known?.paths ?? bounds.paths,
      ms: bounds.ms,
    });
    const cut = cutAt === null ? null : known?.paths === cutAt ? known : { paths: cutAt, until: at + CUT_FOR_MS };
    if (cut !== null && cut !== known)
      deps.log('modes and owners are not watched as deep as there are files; the rest waits for assessments', {
        below: root,
        looked: cut.paths,
      });
    made.set(root, { stamp, at, cut });
    return stamp;
  };
  return async (roots) => {
    const stamps: string[] = [];
    let away: ReadonlySet<string> | undefined;
    const mountedAway = () => {
      away ??= mountedElsewhere(deps.mounts ?? '/proc/self/mountinfo');
      return away;
    };
    for (const root of roots) stamps.push(await stampOf(root, mountedAway));
    return stamps.join(' ');
  };
}

/** Level by level, so that what is cut off is what lies deepest. @returns cutAt: how many paths were looked at, if there are more */
async function stampBelow(args: {
  readonly root: string;
  /** Not looked at. */
  readonly away: ReadonlySet<string>;
  readonly paths: number;
  readonly ms: number;
}): Promise<{ readonly stamp: string; readonly cutAt: number | null }> {
  const hash = createHash('sha256');
  const started = performance.now();
  const waiting = [realRoot(args.root)];
  for (let next = 0; next < waiting.length; next++) {
    if (next >= args.paths || performance.now() - started > args.ms) return { stamp: hash.digest('hex'), cutAt: next };
    if (next % PIECE === PIECE - 1) await setImmediate();
    const path = waiting[next] as string;
    if (args.away.has(path)) continue;
    try {
      const entry = lstatSync(path);
      if (entry.isSymbolicLink()) continue;
      hash.update(`${path}\0${entry.mode} ${entry.uid} ${entry.gid}\0`);
      if (entry.isDirectory()) for (const name of readdirSync(path).sort()) waiting.push(join(path, name));
    } catch {
      // Gone while we looked, or not there at all.
    }
  }
  return { stamp: hash.digest('hex'), cutAt: null };
}

/** Where file systems of other machines and of programs are mounted. */
function mountedElsewhere(mountinfo: string): ReadonlySet<string> {
  const lines = (readTextIfThere(mountinfo) ?? '').split('\n');
  return new Set(parseMounts(lines.filter((line) => OF_OTHERS.test(line)).join('\n')));
}

/** Somebody's homes may be a link to where there is room. */
function realRoot(root: string): string {
  try {
    return realpathSync(root);
  } catch {
    return root;
  }
}
