// Control groups of hosts: how a host's processes are found and all killed at once. Works on the unified hierarchy (v2),
// on the hybrid of both, and on v1 alone, where systemd's own named hierarchy does for finding.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { signal, waitUntil } from './process.js';

/** Mount points of the hierarchies hosts are put into. */
export function cgroupRoots(mountInfo = readFileSync('/proc/self/mountinfo', 'utf8')): string[] {
  return mountInfo
    .split('\n')
    .map((line) => line.split(' - '))
    .filter(([, kind = '']) => /^cgroup2 /.test(kind) || (/^cgroup /.test(kind) && /\bname=systemd\b/.test(kind)))
    .map(([where = '']) => where.split(' ')[4] ?? '')
    .filter((path) => path.startsWith('/sys/fs/cgroup'));
}

/** A fresh, empty group by this name in every hierarchy; returns the `cgroup.procs` files to write a process id to. */
export function createCgroup(name: string): string[] {
  removeCgroup(name);
  return cgroupRoots().map((root) => {
    mkdirSync(join(root, name), { recursive: true });
    return join(root, name, 'cgroup.procs');
  });
}

/** Ids (in our own process namespace) of everything that runs in the group or below it. */
export function cgroupProcesses(name: string): number[] {
  const found = new Set<number>();
  for (const root of cgroupRoots())
    for (const dir of tree(join(root, name))) for (const pid of pids(dir)) found.add(pid);
  return [...found];
}

/**
 * SIGKILL to everything in the group: in one step by the kernel where it can (v2), else repeatedly until it is empty.
 * @throws Error when processes survive for ten seconds.
 */
export async function killCgroup(name: string): Promise<void> {
  for (const root of cgroupRoots()) {
    const kill = join(root, name, 'cgroup.kill');
    if (existsSync(kill)) writeFileSync(kill, '1');
  }
  await waitUntil(`the end of every process in ${name}`, 10_000, () => {
    const left = cgroupProcesses(name);
    for (const pid of left) signal(pid, 'SIGKILL');
    return left.length === 0;
  });
}

/** Removes the group and those below it; they must be empty. */
export function removeCgroup(name: string): void {
  for (const root of cgroupRoots()) for (const dir of tree(join(root, name)).reverse()) rmdirSync(dir);
}

/** Names of groups, in any hierarchy, that start with `prefix`. */
export function cgroupsNamed(prefix: string): string[] {
  const names = cgroupRoots().flatMap((root) => readdirSync(root).filter((name) => name.startsWith(prefix)));
  return [...new Set(names)];
}

/** The folder and all below, parents first; empty when it is not there. */
function tree(dir: string): string[] {
  try {
    const below = readdirSync(dir, { withFileTypes: true }).filter((entry) => entry.isDirectory());
    return [dir, ...below.flatMap((entry) => tree(join(dir, entry.name)))];
  } catch {
    return [];
  }
}

function pids(dir: string): number[] {
  try {
    return readFileSync(join(dir, 'cgroup.procs'), 'latin1').split('\n').filter(Boolean).map(Number);
  } catch {
    return []; // gone since it was listed
  }
}
