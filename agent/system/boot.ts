/** Which boot this is. In containers the kernel's boot id is the machine's, so PID 1's start time is part of it. */
import { readOr } from './lenient-reads.js';

/** Changes with each boot of this host, real or contained, and with nothing else (the clock may be set in between). */
export function readBootId(proc = '/proc'): string {
  const kernel = readOr(`${proc}/sys/kernel/random/boot_id`, 'unknown').trim();
  return `${kernel}/${startTicksOf(1, proc) ?? 'unknown'}`;
}

/** Clock ticks after the kernel's start at which a process started: with its id, names it for good. Null: no such process. */
export function startTicksOf(pid: number, proc = '/proc'): string | null {
  const stat = readOr(`${proc}/${pid}/stat`);
  // The second field is the program's name in parentheses and may hold anything, so count from the last ")".
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? null;
}

/** The host's own id, as systemd and D-Bus know it; null where there is none. */
export function readMachineId(root = ''): string | null {
  const id = (readOr(`${root}/etc/machine-id`) || readOr(`${root}/var/lib/dbus/machine-id`)).trim();
  return /^[0-9a-f]{32}$/.test(id) ? id : null;
}
