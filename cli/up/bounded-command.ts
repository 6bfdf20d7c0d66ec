import { spawn } from 'node:child_process';

export type CommandOptions = Readonly<{
  argv: readonly [string, ...string[]];
  timeoutMs: number;
  cwd?: string;
  env?: Readonly<Record<string, string>>;
  /** Asked every second; ends the command when it gives a reason. */
  giveUp?: () => string | undefined;
}>;

export type CommandResult = Readonly<{ ok: true; output: string }> | Readonly<{ ok: false; reason: string }>;

/**
 * Runs a command to its end, at most `timeoutMs`; afterwards nothing of its process group is left running.
 * Never throws: a reason in one line is what the callers list.
 */
export function runBounded(options: CommandOptions): Promise<CommandResult> {
  const [command, ...args] = options.argv;
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd: options.cwd,
      env: { ...process.env, ...options.env },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        output = (output + text).slice(-20_000);
      });
    }
    let ended: string | undefined;
    const killGroup = () => {
      try {
        if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
      } catch {
        // The group is gone already.
      }
    };
    const end = (reason: string) => {
      ended = reason;
      killGroup();
    };
    const timer = setTimeout(() => end(`no end after ${options.timeoutMs / 1000} s`), options.timeoutMs);
    const watch = setInterval(() => {
      const reason = options.giveUp?.();
      if (reason !== undefined) end(reason);
    }, 1_000);
    // Ours dies with us: a download must not go on without anybody to use it.
    process.once('exit', killGroup);
    const settle = (result: CommandResult) => {
      clearTimeout(timer);
      clearInterval(watch);
      process.removeListener('exit', killGroup);
      killGroup();
      resolve(result);
    };
    child.once('error', (error: NodeJS.ErrnoException) =>
      settle({ ok: false, reason: error.code === 'ENOENT' ? `${command} not found` : error.message }),
    );
    child.once('close', (code, signal) => {
      if (code === 0 && ended === undefined) return settle({ ok: true, output });
      const last = output
        .trim()
        .split('\n')
        .filter((line) => !line.startsWith('[notice]'))
        .slice(-2)
        .join(' ')
        .slice(0, 400);
      settle({ ok: false, reason: ended ?? `${signal ?? `exit code ${code}`}${last ? `: ${last}` : ''}` });
    });
  });
}
