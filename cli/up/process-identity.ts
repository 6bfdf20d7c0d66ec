import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/**
 * Names one process for good: process ids are reused, but not with the same start time within the same boot.
 * `startTicks` is field 22 of `/proc/<pid>/stat` (clock ticks since boot).
 */
export type ProcessIdentity = Readonly<{ pid: number; startTicks: string; bootId: string }>;

const bootId = () => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();

/** Who holds a process id now; undefined when nobody does, or only a zombie that its parent has yet to collect. */
export function identify(pid: number): ProcessIdentity | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The second field is the program's name in parentheses, which may itself contain spaces and parentheses.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const [state, threads, startTicks] = [fields[0], Number(fields[17]), fields[19]];
    // The first thread may be a zombie while others still hold the process's files and ports.
    const ended = state === 'X' || (state === 'Z' && threads <= 1);
    if (ended || startTicks === undefined) return undefined;
    return { pid, startTicks, bootId: bootId() };
  } catch {
    return undefined;
  }
}

/** Whether exactly this process still runs. */
export function isRunning(identity: ProcessIdentity): boolean {
  const now = identify(identity.pid);
  return now?.startTicks === identity.startTicks && now.bootId === identity.bootId;
}

/** A process's arguments; empty when it is gone. */
export function commandLine(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').slice(0, -1);
  } catch {
    return [];
  }
}

/** Every process whose working directory is `directory` (a real path). Those we may not look into are left out. */
export function processesWorkingIn(directory: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        return readlinkSync(`/proc/${pid}/cwd`) === directory;
      } catch {
        return false;
      }
    })
    .map(Number);
}

/** Sends a signal to exactly this process, never to another that got its id. @returns whether it was sent. */
export function signalProcess(identity: ProcessIdentity, signal: NodeJS.Signals): boolean {
  if (!isRunning(identity)) return false;
  try {
    return process.kill(identity.pid, signal);
  } catch {
    return false;
  }
}

/** Waits until the process is gone. @returns false when it still runs after `timeoutMs`. */
export async function waitForExit(identity: ProcessIdentity, timeoutMs: number): Promise<boolean> {
  const deadline = performance.now() + timeoutMs;
  while (isRunning(identity)) {
    if (performance.now() >= deadline) return false;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  return true;
}
