// Every host's systemd needs a few of the kernel's inotify instances, and the default is for a single system. The limit
// is raised while labs exist and put back when the last one goes.
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { labRoot } from './state.js';

const limitFile = '/proc/sys/fs/inotify/max_user_instances';
const instancesPerHost = 32;
const saved = () => join(labRoot(), 'inotify-before');

const limit = () => Number(readFileSync(limitFile, 'latin1'));

/** Makes room for this many more hosts; remembers the machine's own limit. Call under the lab lock. */
export function raiseInotifyLimit(hosts: number): void {
  const wanted = Math.max(1024, 256 + hosts * instancesPerHost);
  const now = limit();
  if (now >= wanted) return;
  if (!existsSync(saved())) writeFileSync(saved(), String(now));
  writeFileSync(limitFile, String(wanted));
}

/** Puts the machine's own limit back. Call under the lab lock, when no lab is left. */
export function restoreInotifyLimit(): void {
  if (!existsSync(saved())) return;
  writeFileSync(limitFile, readFileSync(saved(), 'latin1'));
  rmSync(saved());
}
