// Child processes for the lab: argument arrays only, output collected, time-outs that also reach grandchildren.
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** What a finished command left: its exit code (128 + signal number when killed) and its whole output as UTF-8. */
export type RunResult = { code: number; stdout: string; stderr: string };

export type RunOptions = {
  stdin?: string | Buffer;
  /** Milliseconds until the command and every process in its group get SIGKILL; none by default. */
  timeoutMs?: number;
  env?: Record<string, string | undefined>;
  cwd?: string;
};

/** A command that had to succeed did not; carries what it printed. */
export class CommandFailed extends Error {
  constructor(
    readonly argv: readonly string[],
    readonly result: RunResult,
  ) {
    const tail = (result.stderr.trim() || result.stdout.trim()).split('\n').slice(-15).join('\n');
    super(`${argv.join(' ')}: exit ${result.code}${tail ? `\n${tail}` : ''}`);
    this.name = 'CommandFailed';
  }
}

/** A command did not end within its time; it and its process group were killed. */
export class CommandTimedOut extends Error {
  constructor(
    readonly argv: readonly string[],
    readonly timeoutMs: number,
  ) {
    super(`${argv.join(' ')}: not finished after ${timeoutMs} ms`);
    this.name = 'CommandTimedOut';
  }
}

/**
 * Runs a command to its end. Any exit code is a result, not an error.
 * @throws CommandTimedOut after `timeoutMs`; the spawn error when the program does not exist.
 */
export async function runCommand(argv: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const { code, stdout, stderr } = await runForBytes(argv, options);
  return { code, stdout: stdout.toString('utf8'), stderr: stderr.toString('utf8') };
}

/** As `runCommand`, for output that is not text. */
export function runForBytes(
  argv: readonly string[],
  options: RunOptions = {},
): Promise<{ code: number; stdout: Buffer; stderr: Buffer }> {
  const [program, ...args] = argv;
  if (program === undefined) throw new TypeError('no command: empty argv');
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      stdio: ['pipe', 'pipe', 'pipe'],
      detached: true, // a group of its own, so that a time-out can kill all of it
      env: options.env ?? process.env,
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    });
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    let timedOut = false;
    const timer =
      options.timeoutMs === undefined
        ? undefined
        : setTimeout(() => {
            timedOut = true;
            killGroup(child.pid);
          }, options.timeoutMs);
    child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => err.push(chunk));
    child.stdin.on('error', () => {}); // the command may end without reading its input
    child.stdin.end(options.stdin ?? '');
    child.on('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
    // 'exit' may come with a daemon still holding the pipe open; its output is not ours to wait for.
    child.on('exit', (code, signal) => {
      clearTimeout(timer);
      const done = () => {
        child.stdout.destroy();
        child.stderr.destroy();
        if (timedOut) reject(new CommandTimedOut(argv, options.timeoutMs ?? 0));
        else
          resolve({ code: code ?? 128 + signalNumber(signal), stdout: Buffer.concat(out), stderr: Buffer.concat(err) });
      };
      const grace = setTimeout(done, 500);
      child.once('close', () => {
        clearTimeout(grace);
        done();
      });
    });
  });
}

/**
 * Runs a command that must exit 0 and returns its standard output.
 * @throws CommandFailed naming the command and the end of what it printed.
 */
export async function mustRun(argv: readonly string[], options: RunOptions = {}): Promise<string> {
  const result = await runCommand(argv, options);
  if (result.code !== 0) throw new CommandFailed(argv, result);
  return result.stdout;
}

/** A process, told apart from a later one with the same id by its start time (clock ticks since the machine's boot). */
export type ProcessIdentity = { pid: number; startTicks: number };

/** The identity of a live process, or undefined when there is none with this id (a zombie counts as none). */
export function identify(pid: number): ProcessIdentity | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (fields[0] === 'Z' || fields[0] === 'X') return undefined;
    return { pid, startTicks: Number(fields[19]) };
  } catch {
    return undefined;
  }
}

/** Whether exactly this process (not a later one with its id) still runs. */
export function isAlive(identity: ProcessIdentity): boolean {
  return identify(identity.pid)?.startTicks === identity.startTicks;
}

/** Sends a signal (name or number) if the process is there; true when it was. */
export function signal(pid: number, signalName: NodeJS.Signals | number): boolean {
  try {
    process.kill(pid, signalName);
    return true;
  } catch {
    return false;
  }
}

/** Polls until `probe` returns something other than undefined or false. @throws Error naming `what` after `timeoutMs`. */
export async function waitUntil<T>(
  what: string,
  timeoutMs: number,
  probe: () => Promise<T | undefined | false> | T | undefined | false,
): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const value = await probe();
    if (value !== undefined && value !== false) return value;
    if (Date.now() >= deadline) throw new Error(`${what}: not within ${timeoutMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function killGroup(pid: number | undefined): void {
  if (pid !== undefined) signal(-pid, 'SIGKILL');
}

function signalNumber(name: NodeJS.Signals | null): number {
  return name === 'SIGKILL' ? 9 : name === 'SIGTERM' ? 15 : name === 'SIGINT' ? 2 : 1;
}
