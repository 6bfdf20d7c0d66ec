/** Child processes: argument arrays only, a fixed environment, bounded output, a time-out that ends the whole group. */
import { spawn } from 'node:child_process';

export interface RunResult {
  /** Exit status; 128 + signal when killed; 127 when the program does not exist. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly timedOut: boolean;
}

export interface RunOptions {
  readonly timeoutMs?: number;
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: string;
  readonly cwd?: string;
  /** Bytes of each stream that are kept; the rest is read and dropped. */
  readonly maxOutput?: number;
}

export type Run = (argv: readonly string[], options?: RunOptions) => Promise<RunResult>;

/** What every child sees, and nothing of ours: output in one language, no questions asked. */
export const CHILD_ENV: Readonly<Record<string, string>> = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  HOME: '/root',
  LC_ALL: 'C.UTF-8',
  LANGUAGE: '',
  DEBIAN_FRONTEND: 'noninteractive',
  DEBIAN_PRIORITY: 'critical',
  APT_LISTCHANGES_FRONTEND: 'none',
  UCF_FORCE_CONFFOLD: '1',
  NEEDRESTART_MODE: 'l',
};

const DEFAULT_TIMEOUT_MS = 120_000;
const DEFAULT_OUTPUT = 32 * 1024 * 1024;

/** Runs a program to its end. Never rejects: a program that can't be started has code 127 and the reason in `stderr`. */
export const run: Run = (argv, options = {}) =>
  new Promise((resolve) => {
    const [program = '', ...args] = argv;
    const child = spawn(program, args, {
      env: { ...CHILD_ENV, ...options.env },
      stdio: ['pipe', 'pipe', 'pipe'],
      detached: true,
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    });
    const max = options.maxOutput ?? DEFAULT_OUTPUT;
    const out = collector(max);
    const err = collector(max);
    child.stdout.on('data', out.add);
    child.stderr.on('data', err.add);
    let timedOut = false;
    const timer = setTimeout(() => {
      timedOut = true;
      killGroup(child.pid);
    }, options.timeoutMs ?? DEFAULT_TIMEOUT_MS);
    let settled = false;
    const settle = (code: number, extra = '') => {
      if (settled) return;
      settled = true;
      clearTimeout(timer);
      resolve({ code, stdout: out.text(), stderr: err.text() + extra, timedOut });
    };
    child.once('error', (error) => settle(127, error.message));
    child.once('close', (code, signal) => settle(code ?? 128 + (signal === 'SIGKILL' ? 9 : 15)));
    // A grandchild may keep our pipes open after a kill; do not wait for it longer than this.
    child.once('exit', (code, signal) => {
      if (timedOut) setTimeout(() => settle(code ?? 128 + (signal === 'SIGKILL' ? 9 : 15)), 500).unref();
    });
    child.stdin.on('error', () => undefined);
    child.stdin.end(options.stdin ?? '');
  });

/** Ends a process group at once. */
export function killGroup(pid: number | undefined): void {
  if (pid === undefined || pid <= 1) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // Already gone.
  }
}

/** The end of a program's output, for people: at most `max` characters, whole lines where possible. */
export function tail(text: string, max = 1_500): string {
  const trimmed = text.trim();
  if (trimmed.length <= max) return trimmed;
  const cut = trimmed.slice(-max);
  return cut.slice(cut.indexOf('\n') + 1);
}

function collector(max: number) {
  const chunks: Buffer[] = [];
  let size = 0;
  return {
    add(chunk: Buffer) {
      if (size < max) chunks.push(chunk.subarray(0, max - size));
      size += chunk.length;
    },
    text: () => Buffer.concat(chunks).toString('utf8'),
  };
}
