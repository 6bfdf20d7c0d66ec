import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync, renameSync, statSync } from 'node:fs';
import type { Account } from './account.js';
import { UpError } from './errors.js';
import { type PidFile, readLivePidFile, removePidFile, specDigest, writePidFile } from './pid-file.js';
import { identify, isRunning, type ProcessIdentity, signalProcess, waitForExit } from './process-identity.js';

/** Ask with `signal`, wait `waitMs` for the end; the next step follows when that is not enough. SIGKILL ends the list. */
export type StopStep = Readonly<{ signal: NodeJS.Signals; waitMs: number }>;

/** How to start one program, and how to end it. */
export type ProcessSpec = Readonly<{
  name: string;
  /** Program and arguments. */
  argv: readonly [string, ...string[]];
  /** The whole environment: nothing is inherited. */
  env: Readonly<Record<string, string>>;
  cwd: string;
  account?: Account | undefined;
  logFile: string;
  /** Kept from the files it makes; default: ours. */
  umask?: number;
  /** Part of the command line by which the process is recognised later. */
  marker: string;
  stop: readonly StopStep[];
}>;

export type RunningProcess = Readonly<{
  identity: ProcessIdentity;
  adopted: boolean;
  /** Settles with how it ended, in words. */
  ended: Promise<string>;
}>;

const LOG_LIMIT_BYTES = 20 * 1024 * 1024;

/**
 * Starts a program in a session of its own, so that Ctrl-C reaches only the supervisor, and writing straight to its log
 * file, so that it survives the supervisor's death. Its pid file exists when this returns.
 * @throws UpError when it can't be started.
 */
export async function startProcess(spec: ProcessSpec, pidsDir: string): Promise<RunningProcess> {
  const log = openLog(spec);
  const [command, ...args] = spec.argv;
  // Inherited at the spawn, which is synchronous, and ours again right after it.
  const umask = spec.umask === undefined ? process.umask() : process.umask(spec.umask);
  const child = spawn(command, args, {
    cwd: spec.cwd,
    env: spec.env,
    detached: true,
    stdio: ['ignore', log, log],
    ...(spec.account ? { uid: spec.account.uid, gid: spec.account.gid } : {}),
  });
  process.umask(umask);
  closeSync(log);
  const ended = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(`could not start: ${error.message}`));
    child.once('exit', (code, signal) => resolve(signal ? `killed by ${signal}` : `exit code ${code}`));
  });
  const identity = child.pid === undefined ? undefined : identify(child.pid);
  if (!identity) throw new UpError(`${spec.name} ${await ended}`, logTail(spec.logFile));
  writePidFile(pidsDir, spec.name, { identity, marker: spec.marker, spec: specOf(spec) });
  return { identity, adopted: false, ended };
}

/** The process left by an earlier supervisor, when it is exactly what `spec` would start. */
export function adoptProcess(spec: ProcessSpec, pidsDir: string): RunningProcess | undefined {
  const left = readLivePidFile(pidsDir, spec.name);
  if (!left || left.spec !== specOf(spec)) return undefined;
  // Not our child: its end is noticed by looking, and nobody tells its exit code.
  const ended = (async () => {
    while (isRunning(left.identity)) await new Promise((resolve) => setTimeout(resolve, 250));
    return 'gone';
  })();
  return { identity: left.identity, adopted: true, ended };
}

/** Ends what a pid file names, if it still is what we started, and removes the file. @returns whether there was something. */
export async function stopLeftover(name: string, stop: readonly StopStep[], pidsDir: string): Promise<boolean> {
  const left: PidFile | undefined = readLivePidFile(pidsDir, name);
  if (left) await endProcess(left.identity, stop);
  removePidFile(pidsDir, name);
  return left !== undefined;
}

/**
 * Ends a process step by step, SIGKILL to its whole group at last.
 * @param hurry when it fires, waits are cut to half a second.
 */
export async function endProcess(
  identity: ProcessIdentity,
  stop: readonly StopStep[],
  hurry?: AbortSignal,
): Promise<void> {
  for (const { signal, waitMs } of stop) {
    signalProcess(identity, signal);
    if (await waitOrHurry(identity, waitMs, hurry)) break;
  }
  if (isRunning(identity)) {
    try {
      process.kill(-identity.pid, 'SIGKILL');
    } catch {
      signalProcess(identity, 'SIGKILL');
    }
    await waitForExit(identity, 5_000);
  }
}

async function waitOrHurry(identity: ProcessIdentity, waitMs: number, hurry?: AbortSignal): Promise<boolean> {
  const deadline = performance.now() + waitMs;
  while (performance.now() < deadline) {
    if (await waitForExit(identity, Math.min(250, waitMs))) return true;
    if (hurry?.aborted) return waitForExit(identity, 500);
  }
  return false;
}

/** The last lines of a log, for an error's help. */
export function logTail(logFile: string, lines = 12): string[] {
  try {
    const text = readFileSync(logFile, 'utf8').trimEnd();
    return text === ''
      ? []
      : [
          `last lines of ${logFile}:`,
          ...text
            .split('\n')
            .slice(-lines)
            .map((line) => `  ${line}`),
        ];
  } catch {
    return [];
  }
}

function specOf({ argv, env, cwd, account }: ProcessSpec): string {
  return specDigest([argv, Object.entries(env).sort(), cwd, account ?? null]);
}

/** One old log is kept; a log is only ever turned over between two processes. */
function openLog(spec: ProcessSpec): number {
  if ((statSync(spec.logFile, { throwIfNoEntry: false })?.size ?? 0) > LOG_LIMIT_BYTES) {
    renameSync(spec.logFile, `${spec.logFile}.1`);
  }
  return openSync(spec.logFile, 'a', 0o600);
}
