/**
 * Runs a hook that its operator installed on this server: no shell, no arguments from anywhere, facts as JSON on standard input,
 * bounded in time and output. It must be exactly the bytes the policy names, and nobody but root or ourselves may be able to
 * write it.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { lstat, readFile, realpath, stat } from 'node:fs/promises';
import { join } from 'node:path';

/** Of each stream; the rest is read and dropped. */
const MOST_OUTPUT = 64 * 1024;
const MOST_PROBLEM = 400;
const PLAIN_NAME = /^[a-z0-9][a-z0-9-]{0,63}$/;

export interface HookProgram {
  readonly name: string;
  readonly sha256: string;
  readonly timeoutSeconds: number;
}

/** Returns why it did not succeed, as a sentence without its subject; null when it did. Never rejects. */
export async function runHookProgram(args: {
  /** Where hooks are installed. */
  readonly dir: string;
  readonly hook: HookProgram;
  /** Told as JSON on standard input. */
  readonly facts: object;
  /** Beside the few every child has. */
  readonly env: Readonly<Record<string, string>>;
  /** Ends it early, as its time-out would. */
  readonly signal: AbortSignal;
}): Promise<string | null> {
  const objection = await objectionTo(args).catch((error: NodeJS.ErrnoException) =>
    error.code === 'ENOENT' ? `is not installed in ${args.dir}` : `can't be read (${error.code ?? error.message})`,
  );
  return objection ?? runToEnd(args);
}

async function objectionTo({
  dir,
  hook,
}: {
  readonly dir: string;
  readonly hook: HookProgram;
}): Promise<string | null> {
  if (!PLAIN_NAME.test(hook.name)) return 'is not a plain name';
  const path = join(dir, hook.name);
  const folder = await stat(await realpath(dir));
  const file = await lstat(path);
  if (!file.isFile()) return 'is not a plain file';
  const trusted = [0, process.getuid?.() ?? 0];
  if (!trusted.includes(folder.uid) || !trusted.includes(file.uid)) return 'does not belong to root or the worker';
  if ((file.mode & 0o022) !== 0 || (folder.mode & 0o022) !== 0) return 'can be written by others';
  if ((file.mode & 0o111) === 0) return 'is not executable';
  const digest = createHash('sha256')
    .update(await readFile(path))
    .digest('hex');
  return digest === hook.sha256 ? null : `is not what the policy names: its digest is ${digest}`;
}

function runToEnd(args: Parameters<typeof runHookProgram>[0]): Promise<string | null> {
  const { hook, signal } = args;
  return new Promise((resolve) => {
    const child = spawn(join(args.dir, hook.name), [], {
      env: { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C.UTF-8', ...args.env },
      stdio: ['pipe', 'pipe', 'pipe'],
      cwd: args.dir,
      // A group of its own, so that it ends with everything it started.
      detached: true,
    });
    const output = new Tail();
    child.stdout.on('data', (chunk: Buffer) => output.add(chunk));
    child.stderr.on('data', (chunk: Buffer) => output.add(chunk));
    let ended: string | null = null;
    const end = (why: string) => {
      ended ??= why;
      killGroup(child.pid);
    };
    const timer = setTimeout(() => end(`did not end within ${hook.timeoutSeconds} s`), hook.timeoutSeconds * 1_000);
    const stopped = () => end('was stopped with its worker');
    signal.addEventListener('abort', stopped);
    const settle = (problem: string | null) => {
      clearTimeout(timer);
      signal.removeEventListener('abort', stopped);
      resolve(problem);
    };
    child.once('error', (error) => settle(`can't be started: ${error.message}`));
    child.once('exit', (code, killedBy) => {
      if (ended !== null) return settle(ended);
      // What is in the pipes still belongs to it; a grandchild that keeps them open is not waited for.
      setTimeout(() => {
        const failed = code === 0 ? null : `failed (${code ?? killedBy}): ${output.text()}`;
        settle(failed);
      }, 50);
    });
    child.stdin.on('error', () => undefined);
    child.stdin.end(`${JSON.stringify(args.facts)}\n`);
    if (signal.aborted) stopped();
  });
}

function killGroup(pid: number | undefined): void {
  if (pid === undefined || pid <= 1) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // Already gone.
  }
}

/** The last of what was said, for people. */
class Tail {
  private said = '';
  private taken = 0;

  add(chunk: Buffer): void {
    if (this.taken > MOST_OUTPUT) return;
    this.taken += chunk.length;
    this.said = (this.said + chunk.toString('utf8')).slice(-MOST_PROBLEM);
  }

  text(): string {
    return this.said.trim() || 'it said nothing';
  }
}
