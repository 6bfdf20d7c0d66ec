// One host's power switch and the ways into it.
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cgroupProcesses, createCgroup, killCgroup, removeCgroup } from './cgroups.js';
import { setCable } from './network.js';
import { identify, type RunOptions, runCommand, runForBytes, signal, waitUntil } from './process.js';
import { hostDir, labDir, linkName, machineName, namespaceName } from './state.js';

/** The host is powered off, so nothing can be run in it. */
export class HostIsOff extends Error {
  constructor(index: number) {
    super(`host ${index} is off`);
    this.name = 'HostIsOff';
  }
}

/** Where the lab's shared, read-only folder appears in every host. */
export const shareInHost = '/opt/lab';
export const shareDir = (id: string) => join(labDir(id), 'share');

const environment = [
  'env',
  '-i',
  'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  'HOME=/root',
  'LC_ALL=C',
  'DEBIAN_FRONTEND=noninteractive',
];
/** systemd's real-time signals to PID 1 (systemd(1), "Signals"): SIGRTMIN+4 and +5, with SIGRTMIN 34 as glibc has it. */
const poweroffSignal = 38;
const rebootSignal = 39;

/** Writes a file into a host's disk while it is off. */
export function writeDisk(id: string, index: number, path: string, content: string): void {
  const file = join(hostDir(id, index), 'upper', path);
  mkdirSync(dirname(file), { recursive: true, mode: 0o755 });
  writeFileSync(file, content, { mode: 0o644 });
}

/** Makes the host's empty disk, with what makes it this host. `zone` is an IANA name. */
export function createDisk(host: { id: string; index: number; zone: string; files: Record<string, string> }): void {
  const dir = hostDir(host.id, host.index);
  for (const name of ['upper/etc', 'work', 'root']) mkdirSync(join(dir, name), { recursive: true, mode: 0o755 });
  writeDisk(host.id, host.index, 'etc/hostname', `host${host.index}\n`);
  writeDisk(host.id, host.index, 'etc/machine-id', `${randomUUID().replaceAll('-', '')}\n`);
  writeDisk(host.id, host.index, 'etc/timezone', `${host.zone}\n`);
  symlinkSync(`/usr/share/zoneinfo/${host.zone}`, join(dir, 'upper/etc/localtime'));
  for (const [path, content] of Object.entries(host.files)) writeDisk(host.id, host.index, path, content);
}

/** Presses the power button of a host that is off (nothing happens when it is on); returns before it has booted. */
export async function powerOn(host: {
  id: string;
  index: number;
  layers: readonly string[];
  /** Whether what the host syncs reaches the disk; it need not as long as the machine itself stays up. */
  sync: boolean;
}): Promise<void> {
  const { id, index } = host;
  const name = machineName(id, index);
  if (isOn(id, index)) return;
  const groups = createCgroup(name);
  const dir = hostDir(id, index);
  const log = openSync(join(dir, 'console'), 'a');
  const nspawn = [
    '--quiet',
    '--boot',
    '--register=no', // needs no systemd outside
    '--keep-unit',
    '--settings=no',
    '--console=pipe',
    '--resolv-conf=off',
    '--timezone=off',
    '--link-journal=no',
    `--directory=${join(dir, 'root')}`,
    `--hostname=host${index}`,
    `--machine=${name}`,
    `--network-namespace-path=/run/netns/${namespaceName(id, index)}`,
    `--bind-ro=${shareDir(id)}:${shareInHost}`,
  ];
  const overlay = `lowerdir=${host.layers.join(':')}${host.sync ? '' : ',volatile'}`;
  const script = join(dirname(fileURLToPath(import.meta.url)), 'boot-host.sh');
  const child = spawn('sh', [script, 'join', dir, overlay, linkName(id, index), groups.join(':'), '--', ...nspawn], {
    detached: true,
    stdio: ['ignore', log, log],
  });
  closeSync(log);
  child.unref();
  let ended = false;
  child.on('exit', () => {
    ended = true;
  });
  await waitUntil(`power of host ${index}`, 10_000, () => ended || isOn(id, index));
}

/** Whether the host draws power: booting, running, or shutting down. */
export function isOn(id: string, index: number): boolean {
  return cgroupProcesses(machineName(id, index)).length > 0;
}

/** The host's PID 1 as we see it from outside, once its system has started; undefined while it has not. */
export function initProcess(id: string, index: number): number | undefined {
  for (const pid of cgroupProcesses(machineName(id, index))) {
    try {
      const status = readFileSync(`/proc/${pid}/status`, 'latin1');
      // Two ids: ours, and 1 in the host. Before systemd is executed it is still a process of nspawn's.
      if (/^NSpid:\t\d+\t1$/m.test(status) && /^Name:\tsystemd$/m.test(status)) return pid;
    } catch {
      // ended since it was listed
    }
  }
  return undefined;
}

/**
 * What tells one boot of a host from the next: its PID 1's start, in clock ticks since the machine's own boot. (Kernel,
 * boot id and uptime are shared by all hosts.) Undefined while the host is off.
 */
export function bootMark(id: string, index: number): number | undefined {
  const pid = initProcess(id, index);
  return pid === undefined ? undefined : identify(pid)?.startTicks;
}

/** The command that runs `argv` in a host, as root, with a clean environment. @throws HostIsOff */
export function enterArgv(id: string, index: number, argv: readonly string[]): string[] {
  const pid = initProcess(id, index);
  if (pid === undefined) throw new HostIsOff(index);
  const namespaces = ['--mount', '--uts', '--ipc', '--net', '--pid', '--cgroup', '--root', '--wd'];
  return ['nsenter', '--target', String(pid), ...namespaces, ...environment, ...argv];
}

/** Runs a command in a host; any exit code is a result. @throws HostIsOff, CommandTimedOut */
export async function execInHost(
  at: { id: string; index: number },
  argv: readonly string[],
  options: RunOptions = {},
): Promise<{ code: number; stdout: string; stderr: string }> {
  return runCommand(enterArgv(at.id, at.index, argv), options);
}

/** As `execInHost`, for output that is not text. */
export async function execForBytes(at: { id: string; index: number }, argv: readonly string[]) {
  return runForBytes(enterArgv(at.id, at.index, argv));
}

/**
 * Waits until systemd says the host has booted ("running", or "degraded" with a failed unit).
 * @throws Error with the end of the host's console when it has not within `timeoutMs`.
 */
export async function waitBooted(id: string, index: number, timeoutMs = 60_000): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const left = deadline - Date.now();
    if (left <= 0) throw new Error(`host ${index} has not booted in ${timeoutMs} ms\n${consoleTail(id, index)}`);
    try {
      const state = await execInHost({ id, index }, ['systemctl', 'is-system-running', '--wait'], { timeoutMs: left });
      if (/^(running|degraded)$/m.test(state.stdout)) return;
    } catch (error) {
      if (!(error instanceof HostIsOff)) continue;
      if (!isOn(id, index)) throw new Error(`host ${index} did not stay on\n${consoleTail(id, index)}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** Restarts the host in order and waits until it is up again. @throws HostIsOff */
export async function rebootHost(id: string, index: number): Promise<void> {
  const before = bootMark(id, index);
  const pid = initProcess(id, index);
  if (pid === undefined) throw new HostIsOff(index);
  signal(pid, rebootSignal);
  await waitUntil(`the reboot of host ${index}`, 120_000, () => {
    const now = bootMark(id, index);
    return now !== undefined && now !== before;
  });
  await waitBooted(id, index);
}

/** Shuts the host down in order and waits until it is off. */
export async function shutDown(id: string, index: number): Promise<void> {
  const pid = initProcess(id, index);
  if (pid !== undefined) signal(pid, poweroffSignal);
  await waitUntil(`the shutdown of host ${index}`, 120_000, () => !isOn(id, index));
  removeCgroup(machineName(id, index));
}

/**
 * Takes the power away: the cable goes dead first, so that no peer hears connections close, then every process of the
 * host is killed at once. What the host had written but not synced is still on its disk afterwards: the page cache is
 * the machine's, so this tests interrupted work, not lost writes.
 */
export async function cutPower(id: string, index: number): Promise<void> {
  await setCable(id, index, false);
  const pid = initProcess(id, index);
  if (pid !== undefined) signal(pid, 'SIGKILL'); // takes the host's whole process namespace with it
  await killCgroup(machineName(id, index));
  removeCgroup(machineName(id, index));
}

/** The last lines a host printed while booting, for error messages. */
export function consoleTail(id: string, index: number): string {
  const file = join(hostDir(id, index), 'console');
  return existsSync(file) ? readFileSync(file, 'utf8').split('\n').slice(-20).join('\n') : '';
}
